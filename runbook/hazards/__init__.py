"""What preflight can know beforehand, with a remedy for each hazard."""

from runbook.hazards.catalogue import CATALOGUE, Definition
from runbook.hazards.inspect import inspect_database
from runbook.hazards.inspect_file import file_hazards, inspect_file

__all__ = [
    "CATALOGUE",
    "Definition",
    "file_hazards",
    "inspect_database",
    "inspect_file",
]
