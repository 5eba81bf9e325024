"""The report and its archive: views of the records in a run folder."""
