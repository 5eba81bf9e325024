"""Which SQL runs, in which steps, and what it may change (the footprint)."""
