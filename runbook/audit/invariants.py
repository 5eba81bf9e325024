"""The invariants of `sql/invariants`, asked of SQLite in the database and of DuckDB in Parquet.

The files are the same for both. SQLite reads the migrated database, with the backup attached;
DuckDB reads views over the two snapshots that have the names of the tables. There a cell stays
what the snapshot made of it, tagged bytes, so that two values are equal only if they are the same
value of the same storage class; a literal in a query is written as such a cell too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runbook.audit.duckdb_session import open_duckdb, read_parquet
from runbook.audit.parquet import SnapshotTable
from runbook.audit.samples import sample_rows
from runbook.audit.snapshot import Capture
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.run.findings import Sample
from runbook.script.migration import NEW_TABLES, row_key, template_values
from runbook.sqlite.cells import CODECS, encode
from runbook.sqlite.quoting import quote_name, same_name
from runbook.templates import SqlFile, sql_files

_FEW_ROWS = 50_000

SHOWN_BY_PROOF: Mapping[str, tuple[str, ...]] = {
    "owner_memberships_without_owner_role": (),
    "users_with_several_personal_organizations": (),
    "organizations_without_owner_membership": ("references_to_nothing",),
    "users_without_organization": ("references_to_nothing", "resources_of_missing_organization"),
}
"""Invariants that hold where a proof has found nothing and these others hold.

The proof has computed every organization and every membership from the key of its user, and there
are as many of either as the plan makes. The role is then `owner` in each row. An id is made from
the owner's key, so that no user has two. Every membership's organization exists: then, since there
are as many, every organization has that of its owner. Every row's organization exists: then whoever
owns a row has one, and is its member.
"""


@dataclass(frozen=True)
class InvariantAnswer:
    """One invariant as SQLite answered it: number of violating rows, and some of them.

    `places` are the tables in which rows violate it, with how many: none where it is about no
    table in particular.
    """

    name: str
    title: str
    why: str
    violations: int
    samples: tuple[Sample, ...]
    places: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class _Question:
    """One invariant asked of one subject; the first `key_columns` columns name the row."""

    subject: str
    key_columns: int
    query: str


def ask_sqlite(
    connection: sqlite3.Connection,
    plan: Plan,
    shape: Shape,
    proven: bool = False,
    samples: int = 10,
) -> Mapping[str, InvariantAnswer]:
    """Every invariant, by name, in the migrated database that is the connection's `main`.

    The backup is attached as `before`; at most `samples` violating rows of each invariant are kept.
    Where `sql/shortcuts` has a query for an invariant that shows in one scan that it holds, that is
    asked first, and the invariant itself only if the shortcut cannot show it. Where the gate's
    comparison of every row is `proven` to have found nothing, what follows from it
    (`SHOWN_BY_PROOF`) is not asked again.
    """
    values = template_values(plan, shape, rows_before=_counted_in("before"))
    answers: dict[str, InvariantAnswer] = {}
    shortcuts = {file.name: file for file in sql_files("shortcuts")}
    premises = {name: len(file.assumes) for name, file in shortcuts.items()}
    if proven:
        premises |= {name: len(others) for name, others in SHOWN_BY_PROOF.items()}
    # What a shortcut takes as given must have been asked before.
    for file in sorted(sql_files("invariants"), key=lambda file: premises.get(file.name, -1)):
        shown: list[Sample] = []
        violating: list[tuple[str, int]] = []
        shortcut = shortcuts.get(file.name)
        holds = (
            proven
            and file.name in SHOWN_BY_PROOF
            and all(answers[name].violations == 0 for name in SHOWN_BY_PROOF[file.name])
        ) or (
            shortcut is not None
            and all(answers[name].violations == 0 for name in shortcut.assumes)
            and _none_found(connection, _questions(shortcut, plan, shape, values))
        )
        for question in () if holds else _questions(file, plan, shape, values):
            rows = _count(connection.execute(f"SELECT count(*) FROM (\n{question.query}\n)"))
            if rows:
                violating.append((question.subject, rows))
            if rows and len(shown) < samples:
                shown += _samples(connection, question, samples - len(shown))
        answers[file.name] = InvariantAnswer(
            file.name,
            file.title,
            file.why,
            violations=sum(rows for _, rows in violating),
            samples=tuple(shown),
            places=tuple((subject, rows) for subject, rows in violating if subject),
        )
    return {file.name: answers[file.name] for file in sql_files("invariants")}


def _none_found(connection: sqlite3.Connection, questions: Iterator[_Question]) -> bool:
    """Whether a shortcut shows that its invariant holds; if not, nothing is known."""
    return not any(
        _count(connection.execute(f"SELECT EXISTS (\n{question.query}\n)"))
        for question in questions
    )


def ask_duckdb(plan: Plan, shape: Shape, before: Capture, after: Capture) -> Mapping[str, int]:
    """Number of violating rows of every invariant, by name, in the Parquet of two captures.

    Raises:
        TargetError: a table that the queries need is in no snapshot.
    """

    def literal(value: str | int | bytes) -> str:
        return _blob(encode(value, after.encoding))

    values = template_values(plan, shape, literal=literal, rows_before=_counted_in("before"))
    started_from = (plan.users.table, *(r.table for r in plan.resources))
    owners = {r.table: r.owner for r in plan.resources}
    with open_duckdb(after.folder) as connection:
        connection.execute('CREATE SCHEMA "before"')
        for schema, captured, names in (
            ("before", before, started_from),
            ("main", after, (*started_from, *NEW_TABLES)),
        ):
            for name in names:
                table = captured.table(name)
                view = f"{quote_name(schema)}.{quote_name(name)}"
                columns = _columns(table, owners.get(name), shape, captured.encoding)
                # Few rows are read once, not for each invariant.
                kind = "TABLE" if table.rows < _FEW_ROWS else "VIEW"
                connection.execute(
                    f"CREATE {kind} {view} AS SELECT {', '.join(columns)}"
                    f" FROM {read_parquet(captured.path(table))}"
                )
        return {
            file.name: sum(
                _count(connection.execute(f"SELECT count(*) FROM (\n{question.query}\n)"))
                for question in _questions(file, plan, shape, values)
            )
            for file in sql_files("invariants")
        }


def _questions(
    file: SqlFile, plan: Plan, shape: Shape, values: Mapping[str, object]
) -> Iterator[_Question]:
    """The file's query for each subject that its head names."""
    if file.for_each == "resource":
        resources = values["resources"]
        assert isinstance(resources, list)
        for resource, subject in zip(plan.resources, resources, strict=True):
            query = file.render(**values, resource=subject)
            yield _Question(resource.table, len(row_key(resource, shape)), query)
    elif file.for_each == "table":
        tables = values["tables"]
        assert isinstance(tables, list)
        names = (plan.users.table, *(r.table for r in plan.resources))
        for name, subject in zip(names, tables, strict=True):
            yield _Question(name, 0, file.render(**values, table=subject))
    else:
        yield _Question("", 1, file.render(**values))


def _samples(connection: sqlite3.Connection, question: _Question, limit: int) -> Iterator[Sample]:
    """Violating rows: their key, and what else the query says about them, as it is now."""
    for sample in sample_rows(connection, question.query, limit, keys=question.key_columns):
        yield replace(sample, column="", place=question.subject)


def _counted_in(schema: str) -> Callable[[str], str]:
    """How many rows a table has in `schema`, as an SQL expression made from the table's name."""
    return lambda name: f"(SELECT count(*) FROM {quote_name(schema)}.{quote_name(name)})"


def _columns(table: SnapshotTable, owner: str | None, shape: Shape, encoding: str) -> Iterator[str]:
    """The view's columns: cells as they are, NULL as NULL, owners in the class of the keys."""
    null = _blob(encode(None, encoding))
    for name in table.columns:
        cell = quote_name(name)
        if owner is not None and same_name(name, owner):
            cell = _as_key(cell, shape, encoding)
        yield f"nullif({cell}, {null}) AS {quote_name(name)}"
    if table.rowid_column is not None:
        taken = {name.lower() for name in table.columns}
        for alias in ("rowid", "_rowid_", "oid"):
            if alias not in taken:
                yield f"{quote_name(table.rowid_column)} AS {quote_name(alias)}"


def _as_key(cell: str, shape: Shape, encoding: str) -> str:
    """The owner's cell in the class of the users' keys, where both say the same in text.

    SQLite compares the owner '7' in a TEXT column with the key 7 in an INTEGER column by the
    columns' affinities, and finds them equal; without columns this must be done by hand.
    """
    classes = {"integer": ("t", "i"), "text": ("i", "t")}
    if shape.key_class not in classes:
        return cell
    stored, meant = classes[shape.key_class]
    first, end, tag = (
        _blob(_tag(letter, encoding)) for letter in (stored, chr(ord(stored) + 1), meant)
    )
    body = f"{cell}[{len(_tag(stored, encoding)) + 1}:]"
    return f"CASE WHEN {cell} >= {first} AND {cell} < {end} THEN {tag} || {body} ELSE {cell} END"


def _tag(letter: str, encoding: str) -> bytes:
    return letter.encode(CODECS[encoding])


def _blob(cell: bytes) -> str:
    return f"unhex('{cell.hex()}')"


def _count(answer: Any) -> int:
    return int(answer.fetchone()[0])
