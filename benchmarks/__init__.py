"""Measurements of what Everwhen promises about time and space. Their results stand in ``docs/performance.md``."""
