"""Every value that a migration writes, against the rule that gives it, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runbook.audit.samples import sample_rows
from runbook.plan import timestamps
from runbook.plan.plan import Plan, Resource
from runbook.plan.shape import Shape
from runbook.run.findings import Finding, Witness
from runbook.script.migration import LEDGER, NEW_TABLES, row_key, rule, template_values
from runbook.sqlite.quoting import fold_name, quote_name, quote_value
from runbook.sqlite.tables import Table, read_objects
from runbook.templates import SqlFile, sql_file
from runbook.wording import counted

NEW_TABLE_RULES = {
    "organizations": "audit/organizations_by_rule",
    "organization_memberships": "audit/memberships_by_rule",
}
"""For each new table, the query that has a flag per column, true where a value is wrong."""


@dataclass(frozen=True)
class RuleCheck:
    """The migrated database is the connection's `main`, its backup is attached as `before`."""

    connection: sqlite3.Connection
    plan: Plan
    shape: Shape
    witness: Witness

    @property
    def has_new_tables(self) -> bool:
        """Whether the new tables and the ledger are there, without which no rule can be asked."""
        return {*NEW_TABLES, LEDGER} <= self._tables()

    def _tables(self) -> set[str]:
        return {fold_name(o.name) for o in read_objects(self.connection) if o.type == "table"}

    @property
    def _has_time(self) -> bool:
        """Whether the ledger can be asked for the time of the migration; else its text is wrong."""
        query = "SELECT lower(name) FROM pragma_table_info(?, 'main')"
        columns = {name for (name,) in self.connection.execute(query, (LEDGER,))}
        return {"migration", "applied_at"} <= columns

    def faults_of(self, old: Table, new: Table) -> tuple[str, ...]:
        """What must be true of no row `b` of a resource, asked while its table is compared.

        It has no organization, or a flag of `resources_by_rule` says that it is wrong. Empty for
        other tables.
        """
        named = (r for r in self.plan.resources if fold_name(r.table) == fold_name(old.name))
        resource = next(named, None)
        columns = {fold_name(c) for c in new.column_names}
        if resource is None or "organization_id" not in columns or not self._has_time:
            return ()
        return ("b.organization_id IS NULL", *self._flags(resource, "b"))

    def assigned(self, resource: Resource) -> int:
        """How many rows of a resource have an organization."""
        query = f"SELECT count(organization_id) FROM main.{quote_name(resource.table)}"
        return int(self.connection.execute(query).fetchone()[0])

    def resource(self, resource: Resource) -> Iterator[Finding]:
        """Every row of a resource carries its owner's organization and the run's timestamp."""
        values = {
            "table": quote_name(resource.table),
            "first": f"r.{quote_name(row_key(resource, self.shape)[0])}",
            "flags": self._flags(resource, "r"),
        }
        names = {"updated_at": resource.updated_at or ""}
        yield from self.table(resource.table, "audit/resources_by_rule", names, resource=values)

    def table(
        self, table: str, rules: str, names: dict[str, str] | None = None, **values: Any
    ) -> Iterator[Finding]:
        """Runs one of the `..._by_rule` queries; `names` has what its columns are called here."""
        file = sql_file(rules)
        query = self._query(file, **values)
        any_wrong = " OR ".join(f"wrong.{c}" for c in file.columns)
        # One cheap question first; which column it is, is asked only where something is wrong.
        if not self.connection.execute(
            f"SELECT 1 FROM ({query}) AS wrong WHERE {any_wrong} LIMIT 1"
        ).fetchone():
            return
        sums = ", ".join(f"count(*) FILTER (WHERE wrong.{c})" for c in file.columns)
        counts = self.connection.execute(f"SELECT {sums} FROM ({query}) AS wrong").fetchone()
        first = (self.shape.row_keys.get(table, ()) or ("id",))[0]
        for column, rows in zip(file.columns, counts, strict=True):
            if not rows:
                continue
            name = (names or {}).get(column, column)
            sample = (
                f'SELECT wrong."row", t.{quote_name(name)} AS {quote_name(name)}'
                f" FROM ({query}) AS wrong JOIN main.{quote_name(table)} AS t"
                f' ON t.{quote_name(first)} IS wrong."row" WHERE wrong.{column}'
            )
            message = f'"{name}" is not what the rule gives in {counted(rows, "row")} of "{table}"'
            samples = sample_rows(self.connection, sample)
            yield Finding(self.witness, table, name, "wrong value", rows, message, samples)

    def count_wrong(self, table: str) -> int:
        """How many rows of a new table are not as the migration made them."""
        file = sql_file(NEW_TABLE_RULES[table])
        wrong = " OR ".join(f"wrong.{c}" for c in file.columns)
        query = f"SELECT count(*) FROM ({self._query(file)}) AS wrong WHERE {wrong}"
        return int(self.connection.execute(query).fetchone()[0])

    def _query(self, file: SqlFile, **values: Any) -> str:
        return file.render(
            **template_values(self.plan, self.shape),
            **values,
            before="before",
            after="main",
            now_specified=self._now("substr(applied_at, 1, 19)"),
        )

    def _flags(self, resource: Resource, row: str) -> tuple[str, ...]:
        """For each column of `resources_by_rule`, the condition that it is wrong in `row`."""
        owner = f"{row}.{quote_name(resource.owner)}"
        organization = rule("organization_of(owner, 'before.')", self.plan, self.shape, owner=owner)
        assigned = f"{row}.organization_id IS NOT ({organization})"
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

    def _now(self, expression: str) -> str:
        """The migration's instant as a literal, which SQLite compares faster than a subquery."""
        query = f"SELECT {expression} FROM main.{LEDGER} WHERE migration = ?"
        row = self.connection.execute(query, (self.plan.migration.name,)).fetchone()
        return quote_value(row[0] if row else None)
