"""The proof inside SQLite: the whole database against its backup, and every value by its rule.

The same function is the *gate*, inside the open transaction before its commit, and the witness
`sqlite` over the committed file afterwards. The migrated database is the connection's `main`, its
backup is attached as `before`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from runbook.audit.file_and_schema import file_and_schema_findings
from runbook.audit.findings import outside_findings
from runbook.audit.rule_values import NEW_TABLE_RULES, RuleCheck
from runbook.audit.samples import SAMPLES
from runbook.audit.view_content import ViewsCompared, compare_views
from runbook.errors import NotProven
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.progress import Progress, no_progress
from runbook.run.findings import (
    Finding,
    Sample,
    Witness,
    finding_sentence,
    schema_sample,
)
from runbook.run.identity import LedgerRow
from runbook.script.footprint import (
    Baseline,
    expected_organizations,
    outside_columns,
)
from runbook.script.migration import LEDGER, NEW_TABLES
from runbook.script.new_objects import new_objects
from runbook.sqlite.compare_database import table_pairs
from runbook.sqlite.compare_objects import ObjectDifference, compare_objects, object_text
from runbook.sqlite.compare_table import Scope, compare_table
from runbook.sqlite.connect import readable_text
from runbook.sqlite.difference import TableDifference
from runbook.sqlite.fields import words
from runbook.sqlite.quoting import fold_name, quote_name
from runbook.sqlite.tables import Table, count_rows, read_objects
from runbook.wording import and_more, counted

NOTHING = (
    "no row was given to an organization, so nothing is proven; the plan's tables are empty: make "
    "sure that this is the database that you mean"
)
"""What is said of a proof over nothing."""

Counts = dict[tuple[str, str, str], int]
"""Rows of the footprint by table, change and column."""


@dataclass(frozen=True)
class Expectation:
    """What a migration must have made of the database, but for the time in the ledger's row."""

    plan: Plan
    baseline: Baseline
    ledger: LedgerRow


@dataclass(frozen=True)
class Proof:
    """What one witness counted for the footprint, and what it found outside."""

    counts: Counts
    findings: tuple[Finding, ...]
    deferred: tuple[str, ...] = ()
    """Tables that the plan moved behind the commit and that were left out."""
    views_left_out: tuple[str, ...] = ()
    """Views of which not every row could be compared, with the reason."""


@dataclass(frozen=True)
class _Compared:
    """Every table from before against what it is now."""

    differences: tuple[TableDifference, ...]
    deferred: tuple[str, ...]

    @property
    def counts(self) -> Counts:
        """Rows added, and rows changed in the columns that may change."""
        counts: Counts = {}
        for each in self.differences:
            counts[each.table, "added", ""] = each.added
            counts |= {(each.table, "changed", column): rows for column, rows in each.counted}
        return counts

    @property
    def faultless(self) -> dict[str, int]:
        """Number of rows of each resource of which the comparison showed that all are right."""
        return {fold_name(d.table): d.rows_after for d in self.differences if d.faultless}


def prove(
    connection: sqlite3.Connection,
    expected: Expectation,
    witness: Witness = "gate",
    progress: Progress = no_progress,
) -> Proof:
    """Compares the migrated database with its backup: nothing outside the footprint may differ.

    The gate takes the number of organizations from the baseline and leaves out what the plan
    defers; the witness counts and compares everything itself. `progress` is shown each table.
    """
    plan, shape = expected.plan, expected.baseline.shape
    rules = RuleCheck(connection, plan, shape, witness)
    findings = [*_objects(connection, plan, shape, witness)]
    askable = _is_askable(connection, plan, findings)
    compared = _compare_tables(connection, plan, rules, witness == "gate", progress)
    findings += _not_compared(compared, plan, witness)
    findings += file_and_schema_findings(connection, plan, shape, witness)
    for difference in compared.differences:
        findings += outside_findings(difference, plan, shape, witness)
    counts = Counter(compared.counts)
    if rules.has_new_tables and askable:
        progress("Every new value by its rule")
        for ruled, wrong in (
            _new_rows(connection, expected, rules, witness),
            _assignments(plan, rules, compared.faultless),
        ):
            counts.update(ruled)
            findings += wrong
        moved = [(t, "added", "") for t in NEW_TABLES]
        moved += [(r.table, "changed", "organization_id") for r in plan.resources]
        if not findings and not any(counts[line] for line in moved):
            findings.append(Finding(witness, "", "", "nothing compared", 0, NOTHING))
    views = ViewsCompared()
    if not findings:  # what a view returns follows from rows, of which the finding then speaks
        progress("Comparing what views return")
        views = compare_views(connection, plan, shape, witness)
    return Proof(dict(counts), (*findings, *views.findings), compared.deferred, views.left_out)


def _is_askable(connection: sqlite3.Connection, plan: Plan, findings: Iterable[Finding]) -> bool:
    """Whether the rules for rows can be asked: every table is built as it must be."""
    return not any(f.change in ("table wrong", "table missing") for f in findings) and not any(
        old
        and (_named(plan, old.name) or fold_name(old.name) == LEDGER)
        and (new is None or lost_columns(old, new))
        for old, new in table_pairs(connection)
    )


def _new_rows(
    connection: sqlite3.Connection, expected: Expectation, rules: RuleCheck, witness: Witness
) -> tuple[Counts, list[Finding]]:
    """The rows of the tables that the migration creates, and what is wrong with them."""
    plan, shape = expected.plan, expected.baseline.shape
    organizations = expected.baseline.organizations if witness == "gate" else None
    if organizations is None:
        organizations = expected_organizations(connection, plan, shape, "before")
    new, old = _ledger_rows(connection)
    counts: Counts = {(LEDGER, "added", ""): len(new - old)}
    findings = [*_ledger(new, old, expected.ledger, witness)]
    for table in NEW_TABLES:
        rows = counts[table, "added", ""] = count_rows(connection, table)
        if rows != organizations:
            held = counted(rows, "row")
            message = f'"{table}" holds {held} where the plan makes {organizations:,}'
            missing = abs(rows - organizations)
            findings.append(Finding(witness, table, "", "added", missing, message))
        findings += rules.table(table, NEW_TABLE_RULES[table])
    return counts, findings


def _assignments(
    plan: Plan, rules: RuleCheck, faultless: Mapping[str, int]
) -> tuple[Counts, list[Finding]]:
    """The rows with their right organization, and the wrong ones."""
    counts: Counts = {}
    findings: list[Finding] = []
    for resource in plan.resources:
        right = faultless.get(fold_name(resource.table))
        if right is None:
            findings += rules.resource(resource)
            right = rules.assigned(resource)
        counts[resource.table, "changed", "organization_id"] = right
    return counts, findings


def refuse(
    findings: Iterable[Finding], record: object = None, *, committed: bool = False
) -> NotProven:
    """The error that rolls a migration back, naming the first finding and how many more.

    `committed` where the target could be proven only after its commit.
    """
    first, *others = findings
    what = finding_sentence(first, committed=committed) + and_more(len(others), "finding")
    moment = "after" if committed else "before"
    return NotProven(f"The proof failed {moment} the commit: {what}.", record=record)


def _compare_tables(
    connection: sqlite3.Connection, plan: Plan, rules: RuleCheck, defer: bool, progress: Progress
) -> _Compared:
    """Compares the tables that are there before and after; the ledger is compared by its rows.

    Where a column is gone, the schema's finding says so, and no row can be compared.
    """
    differences: list[TableDifference] = []
    deferred: list[str] = []
    pairs = [(old, new) for old, new in table_pairs(connection) if old and new]
    # The plan's own tables first: the first finding is the one that people read.
    pairs.sort(key=lambda pair: not _named(plan, pair[0].name))
    for number, (old, new) in enumerate(pairs):
        progress(f"Comparing {old.name} with the backup", number, len(pairs), "tables")
        if fold_name(old.name) == LEDGER or lost_columns(old, new):
            continue
        if defer and plan.proof.untouched == "after" and not _named(plan, old.name):
            deferred.append(old.name)
        else:
            differences.append(_compare_table(connection, plan, rules, old, new))
    return _Compared(tuple(differences), tuple(deferred))


def _compare_table(
    connection: sqlite3.Connection, plan: Plan, rules: RuleCheck, old: Table, new: Table
) -> TableDifference:
    columns = outside_columns(plan, rules.shape, old.name, old.column_names)
    counted = [c for c in old.column_names if c not in columns]
    scope = Scope(columns, counted, rules.faults_of(old, new), SAMPLES)
    return compare_table(connection, old, new, scope)


def _objects(
    connection: sqlite3.Connection, plan: Plan, shape: Shape, witness: Witness
) -> Iterator[Finding]:
    """Tables, indexes, triggers and views whose SQL is not what it must be."""
    new = new_objects(plan, shape)
    resources = {fold_name(r.table) for r in plan.resources}
    for each in compare_objects(connection):
        expected = new.get((each.type, fold_name(each.name)))
        if each.change == "added" and expected is not None:
            if each.after != object_text(expected):
                message = f'the {each.type} "{each.name}" is not as the migration creates it'
                sample = schema_sample(each.name, object_text(expected), each.after)
                yield Finding(witness, each.name, "", f"{each.type} wrong", 1, message, (sample,))
            continue
        if _is_resource_with_column(each, resources):
            continue
        message = f'the {each.type} "{each.name}" was {each.change}'
        sample = schema_sample(each.name, each.before, each.after)
        change = f"{each.type} {each.change}"
        yield Finding(witness, each.name, "", change, 1, message, (sample,), drift=True)
    present = {(each.type, fold_name(each.name)) for each in read_objects(connection)}
    for kind, name in sorted(new.keys() - present):
        message = f'the {kind} "{name}" was not created'
        yield Finding(witness, name, "", f"{kind} missing", 1, message)


def _is_resource_with_column(difference: ObjectDifference, resources: set[str]) -> bool:
    """Whether this is a resource that has the new column, and no other change."""
    return (
        difference.change == "changed"
        and difference.type == "table"
        and fold_name(difference.name) in resources
        and column_added(difference.before or "", difference.after or "")
    )


def _ledger_rows(connection: sqlite3.Connection) -> tuple[set[tuple[str, ...]], ...]:
    """The ledger's rows now and before."""
    present = (o.name for o in read_objects(connection, "before") if o.type == "table")
    schemas = ("main", "before") if LEDGER in present else ("main",)
    with readable_text(connection):
        rows = [
            set(
                connection.execute(
                    "SELECT migration, run, checksum, applied_at FROM"
                    f" {quote_name(schema)}.{LEDGER}"
                ).fetchall()
            )
            for schema in schemas
        ]
    return rows[0], rows[1] if len(rows) == 2 else set()


def _ledger(
    new: set[tuple[str, ...]], old: set[tuple[str, ...]], expected: LedgerRow, witness: Witness
) -> Iterator[Finding]:
    """The ledger holds what it held, and one row more, whose time is known after the commit."""
    row = (expected.migration, expected.run, expected.checksum, expected.applied_at)
    length = len(row) if expected.applied_at else 3
    if old - new or [each[:length] for each in new - old] != [row[:length]]:
        wrong = sorted(new ^ old, key=repr)
        message = f'the ledger does not hold exactly one new row for "{expected.migration}"'
        samples = tuple(
            Sample((words(str(r[0])),), "run", None, (words(str(r[1]), "run"),)) for r in wrong
        )
        yield Finding(witness, LEDGER, "", "changed", len(wrong), message, samples)


def lost_columns(old: Table, new: Table) -> tuple[str, ...]:
    """Columns of before that are there no more."""
    return tuple(c for c in old.column_names if c not in new.column_names)


def _not_compared(compared: _Compared, plan: Plan, witness: Witness) -> Iterator[Finding]:
    """Tables of the plan that were not compared: a proof without them would prove nothing."""
    present = {fold_name(difference.table) for difference in compared.differences}
    for table in dict.fromkeys((plan.users.table, *(r.table for r in plan.resources))):
        if fold_name(table) not in present:
            message = f'"{table}" was not compared, so nothing is proven'
            yield Finding(witness, table, "", "not compared", 0, message)


def _named(plan: Plan, table: str) -> bool:
    names = {fold_name(plan.users.table), *(fold_name(r.table) for r in plan.resources)}
    return fold_name(table) in names


def column_added(before: str, after: str) -> bool:
    """Whether the only difference is the one column definition that SQLite put into the text."""
    added = ", organization_id TEXT REFERENCES organizations(id)"
    at = 0
    while (at := after.find(added, at)) >= 0:
        if after[:at] + after[at + len(added) :] == before:
            return True
        at += 1
    return False
