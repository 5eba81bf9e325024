"""The proof inside SQLite: the whole database against its backup, and every value by its rule.

The same function is the *gate*, inside the open transaction before its commit, and the witness
`sqlite` over the committed file afterwards.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runbook.audit.findings import DRIFT, outside_findings
from runbook.audit.samples import SAMPLES, sample_rows
from runbook.errors import NotProven
from runbook.plan import timestamps
from runbook.plan.plan import Plan, Resource
from runbook.plan.shape import Shape
from runbook.run.findings import Finding, Sample, Witness, schema_sample
from runbook.run.identity import LedgerRow
from runbook.script.footprint import (
    expected_organizations,
    is_new_table,
    new_indexes,
    outside_columns,
)
from runbook.script.migration import LEDGER, NEW_TABLES, rule, template_values
from runbook.sqlite.compare_objects import compare_objects
from runbook.sqlite.compare_table import compare_table
from runbook.sqlite.difference import TableDifference
from runbook.sqlite.fields import words
from runbook.sqlite.quoting import quote_name, quote_value
from runbook.sqlite.tables import Table, read_tables
from runbook.templates import SqlFile, sql_file
from runbook.wording import and_more


@dataclass(frozen=True)
class Proof:
    """What one look found: counts for the footprint by (table, change, column), and findings."""

    counts: dict[tuple[str, str, str], int]
    findings: tuple[Finding, ...]
    tables_compared: int
    deferred: tuple[str, ...] = ()
    """Tables that the plan moved behind the commit and that this look left out."""


def prove(
    connection: sqlite3.Connection,
    plan: Plan,
    shape: Shape,
    ledger: LedgerRow | None,
    *,
    witness: Witness = "gate",
    before: str = "before",
    after: str = "main",
    defer_untouched: bool = False,
    organizations: int | None = None,
) -> Proof:
    """Compares schema `after` with schema `before`: nothing outside the footprint may differ.

    Args:
        connection: both schemas are attached to it.
        plan: what was to be changed.
        shape: the database's shape as it was before.
        ledger: the row that the ledger must hold, but for its time; None where it is not checked.
        witness: who is looking, for the findings.
        before: schema of the backup.
        after: schema of the migrated database.
        defer_untouched: leave out the tables that the plan does not name.
        organizations: how many the plan makes, if that was counted in the backup already.
    """
    if organizations is None:
        organizations = expected_organizations(connection, plan, shape, before)
    look = _Look(connection, plan, shape, witness, before, after, organizations)
    findings = [*look.objects()]
    counts: Counter[tuple[str, str, str]] = Counter()
    deferred = []
    compared = 0
    right: dict[str, int] = {}
    old = {t.name.casefold(): t for t in _stored(read_tables(connection, before))}
    new = {t.name.casefold(): t for t in _stored(read_tables(connection, after))}
    # The plan's own tables first: the first finding is the one that people read.
    for name in sorted(old.keys() & new.keys(), key=lambda name: (not _named(plan, name), name)):
        if name == LEDGER:
            continue
        if defer_untouched and not _named(plan, name):
            deferred.append(old[name].name)
            continue
        compared += 1
        faults = look.faults_of(old[name], new[name])
        difference = look.compare(old[name], new[name], faults)
        if difference.faultless:
            right[name] = difference.rows_after
        findings += look.table(old[name], difference, counts)
    if all(t in new for t in (*NEW_TABLES, LEDGER)):
        findings += look.ledger(ledger, old.get(LEDGER), counts)
        for name, file in (
            ("organizations", sql_file("audit/organizations_by_rule")),
            ("organization_memberships", sql_file("audit/memberships_by_rule")),
        ):
            findings += look.new_table(name, file, counts)
        for resource in plan.resources:
            findings += look.resource(resource, right.get(resource.table.casefold()), counts)
    return Proof(dict(counts), tuple(findings), compared, tuple(deferred))


def refuse(findings: Iterable[Finding], record: object = None) -> NotProven:
    """The error that rolls a migration back, naming the first finding and how many more."""
    first, *others = findings
    more = and_more(len(others), "finding")
    return NotProven(f"The proof failed before the commit: {first.message}{more}.", record=record)


@dataclass(frozen=True)
class _Look:
    connection: sqlite3.Connection
    plan: Plan
    shape: Shape
    witness: Witness
    before: str
    after: str
    organizations: int

    def finding(
        self,
        table: str,
        column: str,
        change: str,
        rows: int,
        message: str,
        samples: tuple[Sample, ...] = (),
    ) -> Finding:
        return Finding(self.witness, table, column, change, rows, message, samples)

    # -- everything that must be identical ---------------------------------------------------

    def objects(self) -> Iterator[Finding]:
        """Tables, indexes, triggers and views whose SQL is not what it must be."""
        indexes = {name.casefold() for name, _ in new_indexes(self.plan)}
        resources = {r.table.casefold() for r in self.plan.resources}
        missing = {("table", t) for t in (*NEW_TABLES, LEDGER)} | {("index", i) for i in indexes}
        for change in compare_objects(self.connection, self.before, self.after):
            name = change.name.casefold()
            missing.discard((change.type, name))
            if change.change == "added" and (
                (change.type == "table" and is_new_table(name))
                or (change.type == "index" and name in indexes)
                or (change.type == "index" and _automatic(change.after))
            ):
                continue
            if (
                change.change == "changed"
                and change.type == "table"
                and name in resources
                and column_added(change.before or "", change.after or "")
            ):
                continue
            yield self.finding(
                change.name,
                "",
                f"{change.type} {change.change}",
                1,
                f'the {change.type} "{change.name}" was {change.change}; {DRIFT}',
                (schema_sample(change.name, change.before, change.after),),
            )
        present = {
            (kind, name.casefold())
            for kind, name in self.connection.execute(
                f"SELECT type, name FROM {quote_name(self.after)}.sqlite_schema"
            )
        }
        for kind, name in sorted(missing - present):
            yield self.finding(
                name, "", f"{kind} missing", 1, f'the {kind} "{name}" was not created'
            )

    def faults_of(self, old: Table, new: Table) -> tuple[str, ...]:
        """What must be true of no row `b` of a resource, to be seen while its table is compared.

        It has no organization, or a flag of `resources_by_rule` says that it is wrong. Empty for
        other tables.
        """
        named = (r for r in self.plan.resources if r.table.casefold() == old.name.casefold())
        resource = next(named, None)
        columns = {c.casefold() for c in new.column_names}
        if resource is None or "organization_id" not in columns or not self.has_ledger():
            return ()
        return ("b.organization_id IS NULL", *self.flags(resource, "b"))

    def has_ledger(self) -> bool:
        """Whether the migrated database has a ledger."""
        query = f"SELECT 1 FROM {quote_name(self.after)}.sqlite_schema WHERE name = ?"
        return self.connection.execute(query, (LEDGER,)).fetchone() is not None

    def compare(self, old: Table, new: Table, faults: tuple[str, ...]) -> TableDifference:
        """One table that was there before, against what it is now."""
        columns = outside_columns(self.plan, old.name, old.column_names)
        return compare_table(
            self.connection,
            old,
            new,
            before=self.before,
            after=self.after,
            columns=columns,
            counted=[c for c in old.column_names if c not in columns],
            faults=faults,
            samples=SAMPLES,
        )

    def table(
        self, old: Table, difference: TableDifference, counts: Counter[tuple[str, str, str]]
    ) -> Iterator[Finding]:
        """One table that was there before: identical, but for the footprint's columns."""
        counts[old.name, "added", ""] += difference.added
        for column, rows in difference.counted:
            counts[old.name, "changed", column] += rows
        yield from outside_findings(difference, self.plan, self.witness)

    # -- everything that must have changed, to the right value --------------------------------

    def ledger(
        self,
        expected: LedgerRow | None,
        old: Table | None,
        counts: Counter[tuple[str, str, str]],
    ) -> Iterator[Finding]:
        """The ledger holds what it held, and one row more."""
        name = self.plan.migration.name
        columns = "migration, run, checksum, applied_at"
        rows = set(
            self.connection.execute(f"SELECT {columns} FROM {quote_name(self.after)}.{LEDGER}")
        )
        earlier = (
            set(
                self.connection.execute(f"SELECT {columns} FROM {quote_name(self.before)}.{LEDGER}")
            )
            if old
            else set()
        )
        counts[LEDGER, "added", ""] += len(rows - earlier)
        ours = [r for r in rows - earlier if r[0] == name]
        right = ours and (
            expected is None or ours[0][:3] == (name, expected.run, expected.checksum)
        )
        if not right or len(rows - earlier) != 1 or earlier - rows:
            yield self.finding(
                LEDGER,
                "",
                "changed",
                len(rows ^ earlier),
                f'the ledger does not hold exactly one new row for "{name}"',
                tuple(
                    Sample((words(str(r[0])),), "run", None, (words(str(r[1]), "run"),))
                    for r in sorted(rows ^ earlier)
                ),
            )

    def new_table(
        self, name: str, file: SqlFile, counts: Counter[tuple[str, str, str]]
    ) -> Iterator[Finding]:
        """Every row of a new table is the one that the rule gives, and none is missing."""
        (rows,) = self.connection.execute(
            f"SELECT count(*) FROM {quote_name(self.after)}.{quote_name(name)}"
        ).fetchone()
        counts[name, "added", ""] += rows
        expected = self.organizations
        if rows != expected:
            yield self.finding(
                name,
                "",
                "added",
                abs(rows - expected),
                f'"{name}" holds {rows} rows where the plan makes {expected}',
            )
        yield from self._by_rule(name, file, {})

    def resource(
        self,
        resource: Resource,
        right: int | None,
        counts: Counter[tuple[str, str, str]],
    ) -> Iterator[Finding]:
        """Every row of a resource carries its owner's organization and the run's timestamp.

        `right` is the number of its rows, if the comparison of the table has shown already that
        none of them has any of `faults_of`.
        """
        if right is not None:
            counts[resource.table, "changed", "organization_id"] += right
            return
        (assigned,) = self.connection.execute(
            f"SELECT count(organization_id) FROM {quote_name(self.after)}"
            f".{quote_name(resource.table)}"
        ).fetchone()
        counts[resource.table, "changed", "organization_id"] += assigned
        key = self.shape.row_keys.get(resource.table, ()) or ("rowid",)
        values = {
            "table": quote_name(resource.table),
            "first": f"r.{quote_name(key[0])}",
            "flags": self.flags(resource, "r"),
        }
        yield from self._by_rule(
            resource.table,
            sql_file("audit/resources_by_rule"),
            {"resource": values},
            names={"updated_at": resource.updated_at or ""},
        )

    def flags(self, resource: Resource, row: str) -> tuple[str, ...]:
        """For each column of `resources_by_rule`, the condition that it is wrong in `row`."""
        owner = f"{row}.{quote_name(resource.owner)}"
        values = template_values(self.plan, self.shape)
        if values["adopter"] is not None:
            users = f"{quote_name(self.before)}.{quote_name(self.plan.users.table)}"
            owner = (
                f"CASE WHEN EXISTS (SELECT 1 FROM {users} AS u WHERE"
                f" u.{quote_name(self.plan.users.key)} = {owner})"
                f" THEN {owner} ELSE {values['adopter']} END"
            )
        given = rule("organization_id(key)", self.plan, self.shape, key=f"({owner})")
        assigned = f"{row}.organization_id IS NOT {given}"
        if not resource.updated_at:
            return assigned, "FALSE"
        kind = self.shape.format_of(resource)
        now = self._now(timestamps.write_sql(kind, "applied_at"))
        # The unary plus takes the column's affinity away: no text is then equal to a number.
        at = f"+{row}.{quote_name(resource.updated_at)}"
        wrong = f"{at} IS NOT {now} COLLATE BINARY"
        written = timestamps.storage_class(kind)
        if written != "text":  # 5 = 5.0
            wrong += f" OR typeof({at}) <> '{written}'"
        return assigned, wrong

    def _by_rule(
        self,
        table: str,
        file: SqlFile,
        values: dict[str, object],
        names: dict[str, str] | None = None,
    ) -> Iterator[Finding]:
        """Runs one of the `..._by_rule` queries: a flag per column, true where it is wrong."""
        columns = file.columns
        query = file.render(
            **{
                **template_values(self.plan, self.shape),
                "before": quote_name(self.before),
                "after": quote_name(self.after),
                "now_specified": self._now("substr(applied_at, 1, 19)"),
                **values,
            }
        )
        any_wrong = " OR ".join(f"wrong.{c}" for c in columns)
        # One cheap question first; which column it is, is asked only where something is wrong.
        if not self.connection.execute(
            f"SELECT 1 FROM ({query}) AS wrong WHERE {any_wrong} LIMIT 1"
        ).fetchone():
            return
        sums = ", ".join(f"count(*) FILTER (WHERE wrong.{c})" for c in columns)
        found = self.connection.execute(f"SELECT {sums} FROM ({query}) AS wrong").fetchone()
        for column, rows in zip(columns, found, strict=True):
            if not rows:
                continue
            name = (names or {}).get(column, column)
            first = (self.shape.row_keys.get(table, ()) or ("id",))[0]
            sample = (
                f'SELECT wrong."row", t.{quote_name(name)} AS {quote_name(name)}'
                f" FROM ({query}) AS wrong JOIN {quote_name(self.after)}.{quote_name(table)} AS t"
                f' ON t.{quote_name(first)} IS wrong."row" WHERE wrong.{column}'
            )
            yield self.finding(
                table,
                name,
                "wrong value",
                rows,
                f'{rows} values of "{name}" in "{table}" are not what the rule gives',
                sample_rows(self.connection, sample),
            )

    def _now(self, expression: str) -> str:
        """The migration's instant as a literal, which SQLite compares faster than a subquery."""
        migration = template_values(self.plan, self.shape)["migration"]
        row = self.connection.execute(
            f"SELECT {expression} FROM {quote_name(self.after)}.{LEDGER}"
            f" WHERE migration = {migration}"
        ).fetchone()
        return quote_value(row[0] if row else None)


def _stored(tables: Iterable[Table]) -> Iterator[Table]:
    return (t for t in tables if t.kind in ("table", "shadow"))


def _named(plan: Plan, table: str) -> bool:
    names = {plan.users.table.casefold(), *(r.table.casefold() for r in plan.resources)}
    return table.casefold() in names


def _automatic(text: str | None) -> bool:
    prefix = "(automatic index of "
    return text is not None and text.startswith(prefix) and is_new_table(text[len(prefix) : -1])


def column_added(before: str, after: str) -> bool:
    """Whether the only difference is the one column definition that SQLite put into the text."""
    added = ", organization_id TEXT REFERENCES organizations(id)"
    at = 0
    while (at := after.find(added, at)) >= 0:
        if after[:at] + after[at + len(added) :] == before:
            return True
        at += 1
    return False
