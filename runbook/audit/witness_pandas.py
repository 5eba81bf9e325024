"""The third witness: every value recomputed from what was before, with no SQL at all.

It reads the Parquet of both snapshots and nothing else, and shares with the other witnesses only
the plan, the facts about the database's shape, and the form of a cell. Values are compared as
cells, so that one of another storage class is another value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from runbook.audit.columns import ColumnFile, Positions, Truths, combined, unequal
from runbook.audit.invariants_pandas import Migrated, count_violations
from runbook.audit.owner_codes import NULL, UNKNOWN, Codes
from runbook.audit.pairing import Pairing, count_differing, differing, pair
from runbook.audit.real_cell import encode_value
from runbook.audit.rule_columns import UserRules
from runbook.audit.snapshot import Capture
from runbook.errors import TargetError
from runbook.plan import timestamps
from runbook.plan.plan import Plan, Resource
from runbook.plan.shape import Shape
from runbook.run.findings import Finding, Sample, render_sample
from runbook.script.migration import LEDGER
from runbook.sqlite.quoting import same_name
from runbook.wording import counted

_SAMPLES = 10

Counts = Mapping[tuple[str, str, str], int]


@dataclass(frozen=True)
class PandasWitness:
    """What pandas saw.

    `invariants` has the number of violating rows by name; `counts` the number of rows by table,
    change (`added`, `removed` or `changed`) and column.
    """

    invariants: Mapping[str, int]
    counts: Counts
    findings: tuple[Finding, ...]

    @property
    def samples(self) -> pd.DataFrame:
        """The findings' examples as a frame, which can be filtered."""
        return pd.DataFrame(
            [
                (f.table, f.change, shown.column or f.column, shown.key, shown.before, shown.after)
                for f in self.findings
                for shown in map(render_sample, f.samples)
            ],
            columns=["table", "change", "column", "key", "before", "after"],
        )


def recompute(
    plan: Plan, shape: Shape, before: Capture, after: Capture, applied_at: str
) -> PandasWitness:
    """Recomputes what the migration must have made of `before`, and compares it with `after`.

    `applied_at` is the ledger's time of the migration. Where a finding is about a value that a
    rule gives, its samples show the rule's value as `before`.

    Raises:
        TargetError: a table or column of the plan is not in the captures.
    """
    before.check_encoding(after)
    witness = _Witness(plan, shape, before, after, applied_at)
    witness.compare()
    invariants = count_violations(witness, witness.known)
    return PandasWitness(invariants, witness.counts, tuple(witness.findings))


@dataclass(frozen=True)
class _Witness(Migrated):
    applied_at: str
    counts: dict[tuple[str, str, str], int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    known: dict[tuple[str, str], tuple[Codes, Positions]] = field(default_factory=dict)
    """Codes of columns of resources after the migration, by table and column of the plan."""

    def compare(self) -> None:
        """Compares every row and value of the footprint, and of the tables that it is in."""
        plan = self.plan
        self.unchanged(plan.users.table, ())
        rules = UserRules.read(self.before(plan.users.table), plan, self.shape, self.applied_at)
        keys = Codes(rules.keys, self.null)
        owners = {
            r.table: keys.of_column(self.before(r.table), r.owner, self.as_keys)
            for r in plan.resources
        }
        adopter = self.adopter(keys)
        wanted = self.wanted(keys.of(rules.keys), owners.values(), adopter)
        ids = rules.organization_ids()
        self.new_table("organizations", ids, wanted, rules.organizations())
        self.new_table(
            "organization_memberships", rules.membership_ids(), wanted, rules.memberships()
        )
        for resource in plan.resources:
            at = owners.pop(resource.table)
            pairing = self.resource(resource, ids, np.where(at < 0, adopter, at))
            owner = self.after(resource.table).named(resource.owner)
            if pairing.aligned and not self.counts[resource.table, "changed", owner]:
                self.known[resource.table, resource.owner] = keys, at
        self.written_elsewhere()

    def wanted(self, users: Positions, owners: Iterable[Positions], adopter: int) -> Truths:
        """Which users must have an organization."""
        if self.plan.organizations.scope == "all_users":
            return np.not_equal(users, NULL)
        wanted = np.zeros(len(users), bool)
        for positions in owners:
            wanted[positions[positions >= 0]] = True
        if adopter >= 0:
            wanted[adopter] = True
        return wanted

    # -- the footprint -----------------------------------------------------------------------

    def new_table(
        self, name: str, ids: Any, wanted: Truths, columns: Mapping[str, Callable[[], Any]]
    ) -> None:
        """Every row and value of a table that the migration fills, against the rule."""
        file = self.after(name)
        self.counts[name, "added", ""] = file.table.rows
        users = Codes(ids, self.null).of(file.read("id"))
        right = users >= 0
        right[right] = wanted[users[right]]
        right &= ~pd.Series(users).duplicated().to_numpy()
        missing = wanted.copy()
        missing[users[right]] = False
        if missing.any():
            rows = int(missing.sum())
            shown = [ids[int(user)] for user in np.flatnonzero(missing)[:_SAMPLES]]
            samples = tuple(
                Sample((field,), "id", (field,)) for field in (self.field("id", c) for c in shown)
            )
            message = f'"{name}" lacks {counted(rows, "row")} that the rule gives'
            self.note(name, "", "missing", rows, message, samples)
        if not right.all():
            extra = np.flatnonzero(~right)
            message = f'"{name}" holds {counted(len(extra), "row")} that the rule does not give'
            samples = tuple(map(Sample, file.names_of(extra[:_SAMPLES].tolist())))
            self.note(name, "", "added", len(extra), message, samples)
        at = np.flatnonzero(right)
        for column, rule in columns.items():
            expected, actual = rule(), file.read(column)
            if len(at) < len(actual):
                actual = actual.take(pa.array(at))
            if isinstance(expected, pa.Scalar):
                expected = pa.repeat(expected, len(at))
            else:
                expected = expected.take(pa.array(users[at]))
            wrong = unequal(actual, expected)
            if wrong is not None:
                first = pa.array(wrong[:_SAMPLES])
                self.wrong_value(
                    file, column, len(wrong), at[first], expected.take(first), actual.take(first)
                )

    def resource(self, resource: Resource, ids: Any, owners: Positions) -> Pairing:
        """Every row of a resource: its organization, its timestamp, and nothing else.

        `owners` has for each row before the position of the user whom it belongs to.
        """
        table = resource.table
        derived = self.shape.derived.get(table, ())
        pairing = self.unchanged(table, ("organization_id", resource.updated_at or "", *derived))
        file = self.after(table)
        column = file.named("organization_id")
        codes = Codes(ids, self.null)
        expected = owners
        if pairing.before is not None and pairing.after is not None:
            expected = np.full(file.table.rows, UNKNOWN, np.int32)
            expected[pairing.after] = owners[pairing.before]
        assigned = codes.of_expected(file, column, expected)
        self.known[table, "organization_id"] = codes, assigned
        self.counts[table, "changed", "organization_id"] = int((assigned != NULL).sum())
        if pairing.before is not None and pairing.after is not None:
            owners, assigned = owners[pairing.before], assigned[pairing.after]
        # A row that belongs to nobody can be in no right organization.
        wrong = np.flatnonzero((assigned != owners) | (owners < 0))
        if len(wrong):
            first = wrong[:_SAMPLES]
            at = first if pairing.after is None else pairing.after[first]
            gives = [ids[int(user)] if user >= 0 else self.null for user in owners[first]]
            has = [cell for (cell,) in file.rows_at([column], at.tolist())]
            self.wrong_value(file, column, len(wrong), at, gives, has)
        if resource.updated_at:
            self.timestamps(resource, resource.updated_at, file, pairing)
        for column in derived:  # what it must be only SQLite can say
            changes = count_differing(self.before(table), file, pairing, column)
            self.counts[table, "changed", column] = changes
        return pairing

    def timestamps(
        self, resource: Resource, updated_at: str, file: ColumnFile, pairing: Pairing
    ) -> None:
        """`updated_at` of every row: whether it changed, and whether it is the run's instant."""
        before, column = self.before(resource.table), file.named(updated_at)
        changes = count_differing(before, file, pairing, column)
        self.counts[resource.table, "changed", updated_at] = changes
        accepted = self.instants(resource)
        rows = start = 0
        shown: list[tuple[int, Any]] = []
        for window in file.windows([column]):
            cells = combined(window[column])
            right = pc.equal(cells, accepted[0])  # which is the rule, and needs no look-up
            if not pc.all(right).as_py():
                right = pc.is_in(cells, value_set=accepted)
            at = np.flatnonzero(~right.to_numpy(zero_copy_only=False)) + start
            at = at[~np.isin(at, pairing.added)] if len(pairing.added) else at
            rows += len(at)
            shown += [(p, cells[p - start]) for p in at[: _SAMPLES - len(shown)].tolist()]
            start += window.num_rows
        if rows:
            positions = np.array([position for position, _ in shown], np.int64)
            gives = [accepted[0]] * len(shown)
            self.wrong_value(file, column, rows, positions, gives, [cell for _, cell in shown])

    def instants(self, resource: Resource) -> Any:
        """The cells in which a column may hold the run's instant; its affinity chooses one."""
        value = timestamps.write(self.shape.format_of(resource), self.applied_at)
        cells = [encode_value(value, self.alphabet.encoding)]
        if isinstance(value, int):
            cells += [
                self.alphabet.cell(str(value)).as_py(),
                self.alphabet.text(f"r{value}.0").as_py(),
            ]
        return pa.array(cells, pa.large_binary())

    # -- everything else in these tables -----------------------------------------------------

    def unchanged(self, table: str, inside: Sequence[str]) -> Pairing:
        """Rows and cells outside the columns `inside`, none of which may differ."""
        before, after = self.before(table), self.after(table)
        own = [c for c in before.table.columns if not any(same_name(c, name) for name in inside)]
        outside = [column for column in own if column in after.table.columns]
        new = [c for c in after.table.columns if c not in before.table.columns]
        for change, columns in (
            ("dropped", [column for column in own if column not in outside]),
            ("created", [c for c in new if not any(same_name(c, name) for name in inside)]),
        ):
            for column in columns:
                message = f'the column "{column}" of "{table}" {change}'
                self.note(table, column, change, after.table.rows, message)
        pairing = pair(before, after, outside)
        for change, file, positions in (
            ("added", after, pairing.added),
            ("removed", before, pairing.removed),
        ):
            rows = len(positions)
            self.counts[table, change, ""] = rows
            if rows and not (change == "added" and self.may_be_written(table)):
                message = f'{counted(rows, "row was", "rows were")} {change} in "{table}"'
                samples = tuple(map(Sample, file.names_of(positions[:_SAMPLES].tolist())))
                self.note(table, "", change, rows, message, samples)
        shown: dict[str, list[tuple[int, Any, Any]]] = {column: [] for column in outside}
        changed: Counter[str] = Counter()
        for column, at, was, now in differing(before, after, pairing, outside):
            changed[column] += len(at)
            room = _SAMPLES - len(shown[column])
            shown[column] += [(int(p), was[i], now[i]) for i, p in enumerate(at[:room])]
        for column in outside:
            rows = self.counts[table, "changed", column] = changed[column]
            if rows:
                keys = after.names_of([position for position, _, _ in shown[column]])
                samples = tuple(
                    Sample(key, column, (self.field(column, was),), (self.field(column, now),))
                    for key, (_, was, now) in zip(keys, shown[column], strict=True)
                )
                message = f'"{column}" was changed in {counted(rows, "row")} of "{table}"'
                self.note(table, column, "changed", rows, message, samples)
        return pairing

    def written_elsewhere(self) -> None:
        """Counts the rows added to the ledger, and to tables that the plan lets triggers write."""
        for table in (LEDGER, *self.plan.triggers.may_write):
            if (table, "added", "") in self.counts:
                continue
            try:
                after = self.after(table)
            except TargetError:
                continue  # a virtual table holds no rows of its own
            try:
                before = self.before(table)
            except TargetError:
                self.counts[table, "added", ""] = after.table.rows
                continue
            pairing = pair(before, after, before.table.columns)
            self.counts[table, "added", ""] = len(pairing.added)

    def may_be_written(self, table: str) -> bool:
        """Whether the plan lets the application's triggers add rows to this table."""
        fired = self.plan.triggers.policy == "fire"
        return fired and any(same_name(table, name) for name in self.plan.triggers.may_write)

    # -- findings ----------------------------------------------------------------------------

    def note(self, *finding: Any) -> None:
        """Notes a finding, whose fields but the witness are given in order."""
        self.findings.append(Finding("pandas", *finding))

    # Many parameters because they are the columns of one table of examples.
    def wrong_value(
        self,
        file: ColumnFile,
        column: str,
        rows: int,
        at: Positions,
        gives: Iterable[Any],
        has: Iterable[Any],
    ) -> None:
        """Notes values that are not what the rule gives; `at` are positions of the examples."""
        table = file.table.name
        samples = tuple(
            Sample(key, column, (self.field(column, rule),), (self.field(column, cell),))
            for key, rule, cell in zip(file.names_of(at.tolist()), gives, has, strict=True)
        )
        message = (
            f'"{column}" is not what the rule gives in {counted(rows, "row")} of "{table}"; the '
            "examples show what it gives, then what is there"
        )
        self.note(table, column, "wrong value", rows, message, samples)
