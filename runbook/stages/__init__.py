"""The stages, one module for each notebook and named like it."""
