"""What every benchmark has in common: figures, turns, the parts they run on, and how results are kept and shown."""
