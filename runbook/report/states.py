"""The database in its three states beside each other: before, migrated, and after the way back."""

from __future__ import annotations

from dataclasses import dataclass

from runbook.report.contents import Contents
from runbook.run.records import TableSince
from runbook.script.migration import LEDGER, NEW_TABLES


@dataclass(frozen=True)
class TableStates:
    """Rows of one table before, migrated, and now; None where it was or is not there.

    `later` says what was written to it after the migration and kept.
    """

    table: str
    before: int | None
    migrated: int | None
    now: int | None
    later: TableSince | None = None

    @property
    def moved(self) -> bool:
        """Whether the table is not the same in all three states."""
        return self.later is not None or len({self.before, self.migrated, self.now}) > 1


def states(contents: Contents) -> tuple[TableStates, ...]:
    """Every table of a migration that was taken back; nothing where it was not.

    What is there now is known because the rollback was proven against the backup: every row that
    was not written since is as it was before.
    """
    back, taken = contents.rollback, contents.snapshot
    if back is None or not back.done or taken is None:
        return ()
    before = {d.table: d.rows for d in taken.digests}
    migrated = dict(contents.verify.rows_after) if contents.verify else {}
    assessed = back.assessment
    kept = {t.table: t for t in (*assessed.resources, *assessed.others)} if assessed else {}
    if back.how == "restore":
        kept = {}
    gone = {*NEW_TABLES, LEDGER}
    names = dict.fromkeys([*before, *migrated, *kept])
    return tuple(
        TableStates(
            name,
            before.get(name),
            migrated.get(name),
            None if name in gone - before.keys() else _now(name, before, kept),
            kept[name] if name in kept and kept[name].written else None,
        )
        for name in names
    )


def _now(name: str, before: dict[str, int], kept: dict[str, TableSince]) -> int | None:
    return kept[name].rows if name in kept else before.get(name)
