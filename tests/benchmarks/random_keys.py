"""The sample with keys as real applications have them: random, in no order at all."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from runbook.sample import rows
from runbook.sample.make import make_sample

_MASK = (1 << 64) - 1


def mixed(number: int) -> int:
    """A 64-bit number that looks random, another for each number (the mixer of SplitMix64)."""
    z = (number + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def make_random_sample(path: Path, users: int, projects: int) -> None:
    """The sample of so many rows, whose users and projects have random keys of 64 bits."""
    with (
        mock.patch.object(rows, "user_key", lambda number: f"usr_{mixed(number):016x}"),
        mock.patch.object(rows, "project_key", lambda number: f"prj_{mixed(number):016x}"),
    ):
        make_sample(path, users=users, projects=projects)
