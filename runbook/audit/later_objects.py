"""Tables, indexes, views and triggers that came, went or changed since the migration."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from runbook.audit.gate import column_added
from runbook.plan.plan import Plan
from runbook.plan.shape import words
from runbook.script.footprint import new_indexes
from runbook.script.migration import LEDGER, NEW_TABLES
from runbook.sqlite.compare_objects import ObjectDifference, compare_objects
from runbook.sqlite.quoting import fold_name, quote_name
from runbook.sqlite.tables import SchemaObject, read_objects

_EXPECTED_COLUMNS = {
    "organizations": 8,
    "organization_memberships": 9,
}


@dataclass(frozen=True)
class ObjectsSince:
    """What a rollback keeps as it is now, what it discards, and what stands in its way."""

    kept: tuple[str, ...]
    discarded: tuple[str, ...]
    obstacles: tuple[str, ...]


def objects_since(connection: sqlite3.Connection, plan: Plan) -> ObjectsSince:
    """Compares the schema of `main`, migrated, with its backup in `before`."""
    kept, discarded, obstacles = [], list(_columns_since(connection)), []
    resources = {fold_name(r.table) for r in plan.resources}
    tables = {o.name: fold_name(o.tbl_name) for o in read_objects(connection)}
    changed = set()
    for difference in compare_objects(connection, "before", "main"):
        name = fold_name(difference.name)
        title = f'{difference.type} "{difference.name}"'
        on = tables.get(difference.name, "")
        if difference.type == "table" and name in resources:
            changed.add(name)
            if not column_added(difference.before or "", difference.after or ""):
                obstacles.append(
                    f"the {title} was altered since the migration; undo that, or restore the backup"
                )
        elif _made_by_migration(connection, difference, on, plan):
            continue
        elif on in NEW_TABLES:
            discarded.append(title)
        elif difference.after is not None and _needs_what_goes(difference):
            obstacles.append(
                f"the {title}, {difference.change} since, mentions what goes; drop it first "
                f"(DROP {difference.type.upper()} {quote_name(difference.name)}) and create it "
                "anew afterwards, without that"
            )
        elif difference.after is None or not difference.after.startswith("(automatic"):
            kept.append(f"{title} ({difference.change})")
    obstacles += [
        f'the table "{r.table}" has no organization_id any more; restore the backup instead'
        for r in plan.resources
        if fold_name(r.table) not in changed
    ]
    return ObjectsSince(tuple(kept), tuple(discarded), tuple(obstacles))


def broken_object(connection: sqlite3.Connection) -> str:
    """What SQLite says of a view or trigger that is broken; an empty text where none is.

    A broken one stops DROP COLUMN in any table. One that was broken before the migration and is
    not now, because it reads the new column, will be broken again once that is gone.
    """
    return _broken_in(connection) or _broken_before(connection)


def _broken_in(connection: sqlite3.Connection) -> str:
    """As SQLite says when it drops a column of an empty table, which is not kept."""
    connection.execute("SAVEPOINT runbook_probe")
    try:
        connection.execute("CREATE TABLE main.runbook_probe (a, b)")
        connection.execute("ALTER TABLE main.runbook_probe DROP COLUMN b")
    except sqlite3.OperationalError as error:
        return str(error)
    finally:
        connection.execute("ROLLBACK TO runbook_probe")
        connection.execute("RELEASE runbook_probe")
    return ""


def _broken_before(connection: sqlite3.Connection) -> str:
    """The same of the backup, tried on its schema alone, in memory."""
    objects = connection.execute(
        "SELECT sql FROM before.sqlite_schema WHERE sql IS NOT NULL AND type <> 'index'"
        " ORDER BY type <> 'table', rowid"
    )
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as clone:
        for (sql,) in objects:
            with contextlib.suppress(sqlite3.Error):  # SQLite's own, and those behind virtual ones
                clone.execute(sql)
        return _broken_in(clone)


def _made_by_migration(
    connection: sqlite3.Connection, difference: ObjectDifference, on: str, plan: Plan
) -> bool:
    """Whether the migration made this object: a table, an index, or an index that came with it."""
    name = fold_name(difference.name)
    if difference.type == "table":
        return name in (*NEW_TABLES, LEDGER)
    automatic = (difference.after or "").startswith("(automatic")
    if automatic and on in (*NEW_TABLES, LEDGER):
        return True
    ours = {(fold_name(i), fold_name(t)) for i, t in new_indexes(plan)}
    if difference.type != "index" or difference.change != "added" or (name, on) not in ours:
        return difference.change == "removed" and name in {i for i, _ in ours}
    columns = connection.execute(
        "SELECT count(*), max(name) FROM pragma_index_info(?, 'main')", (difference.name,)
    ).fetchone()
    return on in NEW_TABLES or tuple(columns) == (1, "organization_id")


def _needs_what_goes(difference: ObjectDifference) -> bool:
    """Whether the text names the new tables; or, where it could mean the column, the column."""
    names = words(difference.after or "")
    if names & {*NEW_TABLES, LEDGER}:
        return True
    return difference.type != "table" and "organization_id" in names


def _columns_since(connection: sqlite3.Connection) -> Iterator[str]:
    """Columns that the application added to the two tables that go."""
    for table, expected in _EXPECTED_COLUMNS.items():
        for cid, name in connection.execute(
            "SELECT cid, name FROM pragma_table_xinfo(?, 'main')", (table,)
        ):
            if cid >= expected:
                yield f'column "{name}" of "{table}"'


def expected_objects(
    objects: tuple[SchemaObject, ...], plan: Plan, *, drop_ledger: bool
) -> set[SchemaObject]:
    """The schema that a rollback must leave, given the one it found."""
    gone = {*NEW_TABLES, *((LEDGER,) if drop_ledger else ())}
    indexes = {fold_name(name) for name, _ in new_indexes(plan)}
    resources = {fold_name(r.table) for r in plan.resources}
    expected = set()
    for each in objects:
        if fold_name(each.tbl_name) in gone and each.type != "view":
            continue
        if each.type == "index" and fold_name(each.name) in indexes:
            continue
        if each.type == "table" and fold_name(each.name) in resources:
            continue  # must equal the backup's text, which the caller compares
        expected.add(each)
    return expected
