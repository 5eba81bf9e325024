"""Which database a run belongs to, and the row that its migration leaves there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Identity:
    """Which database it is: `kind` is `sqlite` or `d1`; `place` a path or an account's name."""

    kind: str
    name: str
    place: str
    bytes: int = 0
    details: Mapping[str, str] = field(default_factory=dict)

    def change_of(self, now: Mapping[str, str], names: Mapping[str, str]) -> str:
        """The first detail that is another in `now`, in words; an empty text where none is.

        Args:
            now: the details as they are now; what either side does not hold is not compared.
            names: which details are compared, each with its name for people.
        """
        for key, name in names.items():
            was, new = self.details.get(key), now.get(key)
            if was is not None and new is not None and was != new:
                return f"its {name} was {was or 'none'} and is {new or 'none'}"
        return ""


@dataclass(frozen=True)
class LedgerRow:
    """The row that the migration leaves in the target, in its own transaction."""

    migration: str
    run: str
    checksum: str
    applied_at: str


@dataclass(frozen=True)
class D1Conditions:
    """What wrangler and the folder of migrations say of a D1 database."""

    name: str
    """Name of the migration's file, as wrangler notes it."""
    applied: tuple[str, ...]
    pending: tuple[str, ...]
    """Other files that wrangler would apply."""
    unnoted: tuple[str, ...]
    """Files that wrangler would apply, although what they make is there."""
    renumbered: bool
    """Whether the file has another number than the plan's name."""
    in_the_way: bool
    transaction_words: bool
    carriage_returns: bool
    """Whether the script holds any, in the text of a trigger that it makes again."""
    refused: str | None
    seconds: float
    """How long the migration took on a copy in the same engine; 0 where it was not tried."""
    remote: bool
    chunk_rows: int
    """Rows of one chunk; 0 where the migration is one unit."""
    wrangler: str = ""
    """The version that is used."""
    own_wrangler: str = ""
    """The version that the application brings, "" where it brings none."""
