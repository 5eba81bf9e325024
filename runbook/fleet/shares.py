"""Numbers of databases as they are typed: `10` of them, or `10%` of all."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from runbook.errors import BadInput


@dataclass(frozen=True)
class Share:
    """A number of databases, or a percentage of all."""

    value: float
    percent: bool = False

    def of(self, total: int) -> int:
        """How many that are of `total`; a part of a database counts as one."""
        return min(total, math.ceil(total * self.value / 100) if self.percent else int(self.value))


ALL = Share(100, percent=True)
NONE = Share(0)


def read_share(text: str, option: str) -> Share:
    """A share as it was typed.

    Raises:
        BadInput: it is neither a whole number nor a percentage.
    """
    match = re.fullmatch(r"\s*(\d+)(?:(\.\d+)?\s*(%))?\s*", text)
    if match is None or (match[3] and float(match[1] + (match[2] or "")) > 100):
        raise BadInput(
            f'"{text}" is no number of databases; {option} takes numbers and percentages, such as '
            "10 or 5%."
        )
    return Share(float(match[1] + (match[2] or "")), percent=bool(match[3]))


def read_waves(text: str) -> tuple[Share, ...]:
    """How far each wave goes, from `1,10,100%`.

    Raises:
        BadInput: there is none, or one is no share.
    """
    return tuple(read_share(part, "--waves") for part in text.split(","))


def fewer_of(share: Share, total: int) -> int:
    """The same where a part of a database does not count: for what is allowed to fail."""
    return int(total * share.value / 100) if share.percent else int(share.value)
