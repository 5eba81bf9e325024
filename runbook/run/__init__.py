"""The run folder: records, the stages allowed next, lock, versions."""
