"""Which target a database's name means."""

from __future__ import annotations

from pathlib import Path

from runbook.targets.protocol import Target


def open_target(database: str, options: dict[str, str] | None = None) -> Target:
    """The target that `database` names: `d1:NAME`, or the path of a SQLite file.

    Raises:
        TargetError: there is no such database.
    """
    if database.startswith("d1:"):
        from runbook.targets.d1.target import D1Target

        return D1Target(database, options)
    from runbook.targets.sqlite import SqliteTarget

    return SqliteTarget(Path(database))
