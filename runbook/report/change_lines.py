"""The footprint as a plan is read: grouped by object, one line for each change.

`+ table organizations (33 rows, 2 indexes)`, `~ projects.organization_id (300 rows)`,
`+ index idx_projects_organization on projects`: the same lines in notebooks, report and terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from runbook.run.findings import WITNESS_NAMES, WITNESSES
from runbook.script.footprint import FootprintLine
from runbook.wording import counted, visible

Sign = Literal["+", "~", "-", "="]  # new, changed, gone, identical

ALL_ELSE = "Everything else stays identical, or nothing is committed."


@dataclass(frozen=True)
class ChangeLine:
    """One change of one object.

    `table` is the object that it belongs to; `extent` what it comprises besides rows; `rule` why
    it happens. `predicted` and `counts` (by witness) are in rows; None and empty where no rows
    are counted, as of an index.
    """

    sign: Sign
    what: str
    table: str
    rule: str = ""
    extent: tuple[str, ...] = ()
    predicted: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    allowed: bool = True

    @property
    def rows(self) -> int | None:
        """The rows as counted, where all who counted agree, else as predicted."""
        numbers = set(self.counts.values())
        return numbers.pop() if len(numbers) == 1 else self.predicted

    @property
    def off(self) -> dict[str, int]:
        """What each witness counted, if one of them did not count what was predicted."""
        numbers = set(self.counts.values())
        if len(numbers) > 1 or (self.predicted is not None and numbers - {self.predicted}):
            return dict(self.counts)
        return {}

    @property
    def as_predicted(self) -> bool | None:
        """Whether all who counted got the number predicted; None where there is nothing to hold."""
        if not self.counts or (self.predicted is None and not self.off):
            return None
        return not self.off

    @property
    def text(self) -> str:
        """The whole line."""
        rows = [] if self.rows is None else [counted(self.rows, "row")]
        if self.off:
            rows = ["not predicted" if self.predicted is None else f"{self.predicted:,} predicted"]
            rows += [f"{witness_name(who)} {number:,}" for who, number in self.off.items()]
        parts = [*rows, *self.extent, *["not allowed"][: not self.allowed]]
        return f"{self.sign} {self.what}" + (f" ({', '.join(parts)})" if parts else "")


def change_lines(footprint: Iterable[FootprintLine]) -> tuple[ChangeLine, ...]:
    """The footprint grouped by table, in its order; a new table or column and its rows are one."""
    tables: dict[str, list[FootprintLine]] = {}
    for line in footprint:
        tables.setdefault(line.table, []).append(line)
    return tuple(change for lines in tables.values() for change in _of_table(lines))


def counted_by(footprint: Iterable[FootprintLine]) -> tuple[str, ...]:
    """The names of those who counted, in their order."""
    known = {who for line in footprint for who in line.counts}
    return tuple(witness_name(who) for who in WITNESSES if who in known)


def witness_name(who: str) -> str:
    """A witness as it is written: `gate`, `SQLite`."""
    return WITNESS_NAMES.get(who, who)


def block(heading: str, footprint: Sequence[FootprintLine], closing: str = ALL_ELSE) -> list[str]:
    """The lines for a terminal, under a heading; nothing where no footprint is known."""
    lines = [f"  {line.text}" for line in change_lines(footprint)]
    return [heading, *lines, *[f"  {closing}"][: bool(closing)]] if lines else []


def _of_table(lines: Sequence[FootprintLine]) -> Iterator[ChangeLine]:
    """The changes of one table: itself, its columns, its indexes."""
    whole = [line for line in lines if not line.column and not line.index]
    created = next((line for line in whole if line.change == "created"), None)
    indexes = [line for line in lines if line.index]
    if created is not None:
        whole.remove(created)
        added = next((line for line in whole if line.change == "added"), None)
        if added is not None:
            whole.remove(added)
        extent = (counted(len(indexes), "index", "indexes"),) if indexes else ()
        yield _line("+", f"table {created.table}", added or created, extent)
    for line in whole:
        unknown = line.change == "added" and line.predicted is None and not line.counts
        extent = ("number not predicted",) if unknown else ()
        yield _line(_SIGN[line.change], f"{_WHOLE[line.change]} {line.table}", line, extent)
    columns: dict[str, list[FootprintLine]] = {}
    for line in lines:
        if line.column:
            columns.setdefault(line.column, []).append(line)
    for column, each in columns.items():
        yield _of_column(f"{each[0].table}.{column}", each)
    for line in indexes:
        yield _line("+", f"index {line.index} on {line.table}", line, rule="")


_SIGN: Mapping[str, Sign] = {
    "created": "+",
    "added": "+",
    "changed": "~",
    "removed": "-",
    "dropped": "-",
    "identical": "=",
}

_WHOLE = {
    "created": "table",
    "added": "rows in",
    "changed": "rows in",
    "removed": "rows in",
    "dropped": "table",
    "identical": "table",
}


def _of_column(what: str, lines: Sequence[FootprintLine]) -> ChangeLine:
    """One line of a column; where it is new, the reason says so and the rows are what it holds."""
    filled = next((line for line in lines if line.change != "created"), lines[0])
    new = any(line.change == "created" for line in lines)
    if filled.change == "created":
        return _line("+", what, filled)
    rule = f"a new column: {filled.rule}" if new else filled.rule
    return _line(_SIGN[filled.change], what, filled, rule=rule)


def _line(
    sign: Sign,
    what: str,
    line: FootprintLine,
    extent: tuple[str, ...] = (),
    rule: str | None = None,
) -> ChangeLine:
    return ChangeLine(
        sign,
        visible(what),
        line.table,
        line.rule if rule is None else rule,
        extent,
        line.predicted,
        dict(line.counts),
        line.allowed,
    )
