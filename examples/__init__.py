"""What Everwhen is for, in two programs that run: ``examples.bank`` and ``examples.flights``."""
