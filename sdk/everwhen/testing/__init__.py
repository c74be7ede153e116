"""For tests of Everwhen's adapters and of its users: conformance suites and real parts to run them on."""
