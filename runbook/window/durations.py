"""Durations as people type them: `24h`, `5m`, `90s`, `1h30m`."""

from __future__ import annotations

import re

from runbook.errors import BadInput

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])\s*", re.IGNORECASE)


def read_duration(text: str) -> float:
    """Seconds of a duration.

    Raises:
        BadInput: it is no duration, has no unit, or is not longer than nothing.
    """
    rest, seconds = text.strip(), 0.0
    while rest:
        part = _PART.match(rest)
        if part is None:
            break
        seconds += float(part[1]) * _UNITS[part[2].lower()]
        rest = rest[part.end() :]
    if rest or seconds <= 0:
        without = " without a unit" if re.fullmatch(r"[\d.\s]+", text) else ""
        raise BadInput(
            f'"{text}" is not a valid duration{without}; write one like 24h, 5m, 90s or 1h30m.'
        )
    return seconds
