"""Remedies as scripts: what is no statement is a comment, whatever names and texts stand in it."""

from __future__ import annotations

from collections.abc import Iterable

_LATER = "-- and after the run, with the application's own connection:"


def with_way_back(script: Iterable[str], back: Iterable[str]) -> str:
    """A script for before the run, and in comments below it the one that undoes it afterwards."""
    lines = "\n".join(back).split("\n")  # a statement may have several
    return "\n".join([*script, _LATER, *(f"-- {line}" for line in lines)])


def comment(text: str) -> str:
    """The text as a comment at the end of a line, which no newline in a name can leave."""
    return " -- " + " ".join(text.split())
