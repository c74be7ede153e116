"""The suite of benchmarks: its arithmetic, what it writes, and that its limits do the same work."""
