"""What Everwhen is for, in programs that run: ``bank``, ``flights``, ``concerts`` and ``orders``."""
