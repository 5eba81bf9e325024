"""Preflight's hazards: a catalogue, and the probes that look for each."""

from runbook.hazards.catalogue import CATALOGUE
from runbook.hazards.definition import Definition
from runbook.hazards.inspect import advice, find_all, find_hazards
from runbook.hazards.inspect_file import find_all_hazards, find_file_hazards

__all__ = [
    "CATALOGUE",
    "Definition",
    "advice",
    "find_all",
    "find_all_hazards",
    "find_file_hazards",
    "find_hazards",
]
