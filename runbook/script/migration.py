"""Renders `sql/` for a plan and a shape, as named steps of single statements."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from runbook.cache import Cache
from runbook.errors import PlanError
from runbook.plan import timestamps
from runbook.plan.plan import Plan, Resource
from runbook.plan.shape import Shape, adopter_value
from runbook.sqlite.quoting import quote_name, quote_value
from runbook.templates import SqlFile, sql_files, template

LEDGER = "runbook_ledger"
GUARD = "runbook_guard"
NEW_TABLES = ("organizations", "organization_memberships")
SUBSUMED = ("resources_of_another_owner",)
"""Invariants whose guards the gate subsumes: it computes the same of every row, and counts them."""
RANGE = ":range_of_u"
"""Stands in a `Chunked` statement for the condition on the rows `u` of one chunk."""


@dataclass(frozen=True)
class Step:
    """One named step of the migration: its statements in order, each complete."""

    name: str
    title: str
    why: str
    statements: tuple[str, ...]


@dataclass(frozen=True)
class Chunked:
    """A backfill that can be done in chunks of the rows of `table`, see `RANGE`."""

    table: str
    title: str
    statements: tuple[str, ...]


@dataclass(frozen=True)
class Script:
    """The migration for one plan, shape and run.

    `checksum` is the SHA-256 of all statements below the ledger's row (which carries it).
    `chunks` do what the steps of backfilling do, for targets that cannot do them at once.
    """

    migration: str
    run: str
    checksum: str
    steps: tuple[Step, ...]
    chunks: tuple[Chunked, ...] = ()
    alone: bool = True
    """Whether it runs by itself, without a backup attached as `before`."""
    left_to_gate: frozenset[str] = frozenset()
    """Guards that need not run where the gate, before the commit, asks every row the same."""

    @property
    def text(self) -> str:
        """The script as one file; alone, it ends all or nothing under `sqlite3 -bail`."""
        how = "-- All or nothing: sqlite3 -bail app.db < this_file.sql\n"
        if not self.alone:
            how = (
                "-- A record of what ran. It cannot run by itself: it reads the backup, attached\n"
                '-- as "before". To take a migration back: runbook rollback --run-dir (this run).\n'
            )
        parts = [
            f"-- {_comment(self.migration)}: user-owned rows become organization-owned.\n"
            f"{how}-- Needs SQLite 3.39 or newer. Checksum {self.checksum}.\n\n"
            "BEGIN IMMEDIATE;"
        ]
        for number, step in enumerate(self.steps):
            why = textwrap.fill(
                step.why, 96, initial_indent="-- ", subsequent_indent="-- ", break_long_words=False
            )
            parts.append(f"-- Step {number}: {step.title}\n{why}")
            parts.extend(step.statements)
        return "\n\n".join([*parts, "COMMIT;"]) + "\n"


def render(plan: Plan, shape: Shape, run: str = "by hand") -> Script:
    """The migration script for `plan`, in a database of this `shape`, entered under `run`.

    Raises:
        PlanError: the adopter cannot be a key of the users table.
    """
    script = _rendered.get((repr(plan), repr(shape)), lambda: _without_ledger(plan, shape))
    ledger, *_ = sql_files("migrate")
    entry = {"run": quote_value(run), "checksum": quote_value(script.checksum)}
    values = template_values(plan, shape) | {"invariants": _guarded()}
    first = _step(ledger, values | entry)
    return replace(script, run=run, steps=(first, *script.steps))


_rendered: Cache[Script] = Cache(16)


def _without_ledger(plan: Plan, shape: Shape) -> Script:
    """All of the script but its first step, which alone knows the run and the checksum."""
    values = template_values(plan, shape)
    values |= {"invariants": _guarded(), "guards": list(_guards(values))}
    _, *files = sql_files("migrate")
    steps = tuple(_step(file, values) for file in files)
    body = "\n".join(statement for step in steps for statement in step.statements)
    return Script(
        plan.migration.name,
        run="",
        checksum=hashlib.sha256(body.encode()).hexdigest(),
        steps=steps,
        chunks=tuple(_chunks(plan, values)),
        left_to_gate=_left_to_gate(values),
    )


def _step(file: SqlFile, values: Mapping[str, object]) -> Step:
    return Step(file.name[3:], file.title, file.why, file.statements(**values))


def _left_to_gate(values: dict[str, object]) -> frozenset[str]:
    """The statements of the guards in `SUBSUMED`."""
    *_, verify = sql_files("migrate")
    guards = [guard for guard in _guards(values) if guard["left_to_gate"]]
    some, none = (set(verify.statements(**{**values, "guards": g})) for g in (guards, []))
    return frozenset(some - none)


def _chunks(plan: Plan, values: dict[str, object]) -> Iterator[Chunked]:
    """The files of `sql/chunks`, once for the users and once for each table of resources."""
    owners, resources = sql_files("chunks")
    statements = owners.statements(**values, range=RANGE)
    yield Chunked(plan.users.table, owners.title, statements)
    subjects = values["resources"]
    assert isinstance(subjects, list)
    for resource, subject in zip(plan.resources, subjects, strict=True):
        statements = resources.statements(**values, resource=subject, range=RANGE)
        yield Chunked(resource.table, resources.title, statements)


def rule(call: str, plan: Plan, shape: Shape, **values: str) -> str:
    """One macro of `sql/rules.sql` as SQL, as in `rule("slug(key)", plan, shape, key="u.id")`."""
    source = '{% import "rules.sql" as rules with context %}{{ rules.' + call + " }}"
    return template(source).render(**template_values(plan, shape), **values).strip()


def template_values(
    plan: Plan,
    shape: Shape,
    *,
    literal: Callable[[str | int | bytes], str] = quote_value,
    rows_before: Callable[[str], str] | None = None,
) -> dict[str, object]:
    """What every template may use; names are quoted and values are literals already.

    `literal` writes the values that are compared with columns, and `rows_before` the number of
    rows that a table had; another engine than the migrated database gives its own.
    """
    rows_before = rows_before or _rows_before
    adopter = adopter_value(plan, shape)
    users = {
        "table": quote_name(plan.users.table),
        "key": quote_name(plan.users.key),
        "email": quote_name(plan.users.email) if plan.users.email else None,
    }
    adopter_literal = None if adopter is None else literal(adopter)
    # A record from before all of a table's triggers were suspended has those that fire.
    triggers = shape.suspended or shape.triggers
    suspended = triggers if plan.triggers.policy == "suspend" else ()
    return {
        "migration": quote_value(plan.migration.name),
        "key_type": shape.key_type,
        "key_class": shape.key_class,
        "encoding": shape.encoding,
        "scope": plan.organizations.scope,
        "users": users,
        "adopter": adopter_literal,
        "resources": [_resource(r, shape, users, adopter_literal) for r in plan.resources],
        "tables": [
            {
                "plain": t,
                "name": quote_name(t),
                "text": quote_value(t),
                "before": rows_before(t),
            }
            for t in (plan.users.table, *(r.table for r in plan.resources))
        ],
        "suspended": [{"name": quote_name(t.name), "sql": t.sql} for t in suspended],
        "text": literal,
    }


def row_key(resource: Resource, shape: Shape) -> tuple[str, ...]:
    """The columns that tell the resource's rows apart for a reader, unquoted."""
    return shape.row_keys.get(resource.table, ()) or ("rowid",)


def index_name(resource: Resource) -> str:
    """Name of the index on the resource's `organization_id`, unquoted."""
    return f"idx_{resource.table}_org"


def _resource(
    resource: Resource, shape: Shape, users: dict[str, str | None], adopter: str | None
) -> dict[str, object]:
    owner = quote_name(resource.owner)

    def owned(column: str) -> str:
        return f"EXISTS (SELECT 1 FROM {users['table']} AS u WHERE u.{users['key']} = {column})"

    table = quote_name(resource.table)
    keys = row_key(resource, shape)
    return {
        "plain": resource.table,
        "table": table,
        "text": quote_value(resource.table),
        "owner": owner,
        "updated_at": quote_name(resource.updated_at) if resource.updated_at else None,
        "now": timestamps.write_sql(shape.format_of(resource), "applied_at"),
        "index": quote_name(index_name(resource)),
        "row": ", ".join(f"r.{quote_name(k)}" for k in keys),
        "owned": owned(f"{table}.{owner}"),
        "belongs_to": f"r.{owner}"
        if adopter is None
        else f"CASE WHEN {owned(f'r.{owner}')} THEN r.{owner} ELSE {adopter} END",
    }


def _rows_before(table: str) -> str:
    return (
        f"(SELECT rows FROM {GUARD} WHERE name = 'rows before' AND subject = {quote_value(table)})"
    )


def left_to_gate(plan: Plan, shape: Shape) -> Iterator[tuple[SqlFile, str, str]]:
    """Each guard in `SUBSUMED`: its invariant, the table that it is asked of, and its query."""
    for file in _guarded():
        if file.name in SUBSUMED:
            for subject, query in guard_query(file, plan, shape):
                yield file, subject, query


def guard_query(file: SqlFile, plan: Plan, shape: Shape) -> Iterator[tuple[str, str]]:
    """Each table that an invariant is asked of (empty: the database) with the query for it."""
    values = template_values(plan, shape)
    for name, _, query in _queries(_guard_of(file), values):
        yield name, query


def questions(file: SqlFile, plan: Plan, shape: Shape) -> Iterator[tuple[str, str]]:
    """Each table that an invariant is asked of (empty: the database) with its own full query."""
    for name, _, query in _queries(file, template_values(plan, shape)):
        yield name, query


def _guarded() -> list[SqlFile]:
    return [f for f in sql_files("invariants") if f.when == "before commit"]


def _guards(values: dict[str, object]) -> Iterator[dict[str, object]]:
    """One guard for each invariant and each table that it is asked of."""
    for file in _guarded():
        for _, subject, query in _queries(_guard_of(file), values):
            left = file.name in SUBSUMED
            yield {"name": file.name, "subject": subject, "query": query, "left_to_gate": left}


def _guard_of(file: SqlFile) -> SqlFile:
    """The quicker form of an invariant that `sql/guards` has for use inside the migration."""
    return next((g for g in sql_files("guards") if g.name == file.name), file)


def _queries(file: SqlFile, values: dict[str, object]) -> Iterator[tuple[str, str, str]]:
    """Name and literal of each subject of an invariant, and its query."""
    if not file.for_each:
        yield "", "''", file.render(**values).strip()
        return
    subjects = values[f"{file.for_each}s"]
    assert isinstance(subjects, list)
    for subject in subjects:
        query = file.render(**values, **{file.for_each: subject}).strip()
        yield str(subject["plain"]), str(subject["text"]), query


def assumptions(plan: Plan) -> tuple[str, ...]:
    """What a script takes for true of a database that nobody has read, a phrase each.

    Raises:
        PlanError: the plan leaves open what cannot be assumed.
    """
    if plan.triggers.policy == "suspend":
        raise PlanError(
            "The plan suspends triggers, and which ones only the database says; pass it with "
            "--database."
        )
    shape = Shape()
    dates = (
        f'"{r.table}"."{r.updated_at}" is written as {shape.format_of(r)}'
        for r in plan.resources
        if r.updated_at and not r.updated_at_format
    )
    key = f'"{plan.users.table}"."{plan.users.key}" is {shape.key_type}'
    return tuple(_comment(text) for text in (key, f"text is {shape.encoding}", *dates))


def _comment(text: str) -> str:
    """A name that cannot end the comment that it stands in."""
    return " ".join(text.split())
