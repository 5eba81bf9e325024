"""Many databases on Dask: one plan, canaries, waves, one verdict."""
