"""What the core needs from the world: a log, a store, a clock. Protocols and plain values only."""
