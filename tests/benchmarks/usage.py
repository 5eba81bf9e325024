"""Seconds and memory of a piece of work in this process."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


@dataclass
class Usage:
    """Seconds by the clock and of all processors; megabytes at the peak, and beyond the start.

    Memory is what the process has resident, which includes SQLite's cache. Where there is no
    /proc the peak is that of the whole process.
    """

    wall: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0
    more_mb: float = 0.0


@contextlib.contextmanager
def used() -> Iterator[Usage]:
    """Measures what happens inside; the result is filled in at the end."""
    usage = Usage()
    with contextlib.suppress(OSError):
        _RESET.write_text("5")  # the peak so far is forgotten
    began, cpu, memory = time.perf_counter(), _cpu(), _megabytes("VmRSS")
    try:
        yield usage
    finally:
        usage.wall = round(time.perf_counter() - began, 3)
        usage.cpu = round(_cpu() - cpu, 3)
        usage.peak_mb = round(_megabytes("VmHWM"), 1)
        usage.more_mb = round(usage.peak_mb - memory, 1)


def _cpu() -> float:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, who))


def _megabytes(field: str) -> float:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
