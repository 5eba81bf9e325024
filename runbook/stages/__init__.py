"""One module for each notebook, named like it: opens the run, does its work, records it."""
