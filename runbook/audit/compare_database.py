"""Whether a database is exactly what its backup holds, as findings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from runbook.audit.file_and_schema import sequence_differences
from runbook.audit.findings import SEQUENCES, may_be_written_by_triggers
from runbook.plan.plan import Plan
from runbook.run.findings import Finding, Sample, Witness, schema_sample
from runbook.sqlite.compare_database import DatabaseDifference, compare_databases
from runbook.sqlite.connect import open_with_backup
from runbook.sqlite.quoting import fold_name
from runbook.wording import counted


def differences(database: Path, backup: Path, witness: Witness = "sqlite") -> tuple[Finding, ...]:
    """How `database` differs from `backup`, strictly; empty where it does not.

    Raises:
        TargetError: one of them cannot be read.
    """
    with open_with_backup(database, backup) as connection:
        return _findings(compare_databases(connection), witness)


def differences_but_written(
    database: Path, backup: Path, plan: Plan
) -> tuple[tuple[Finding, ...], Mapping[str, int]]:
    """As `differences`, but for the rows that the plan lets triggers add; these are counted.

    Rows may only have been added, to exactly these tables, whose counters may have moved.
    """
    with open_with_backup(database, backup) as connection:
        difference = compare_databases(connection)
        sequences = tuple(sequence_differences(connection, plan, "sqlite"))
    written = {}
    strict = []
    for table in difference.tables:
        if not may_be_written_by_triggers(plan, table.table):
            strict.append(table)
        elif fold_name(table.table) != SEQUENCES:
            written[table.table] = table.added
            if table.removed or table.rows_changed:
                strict.append(table)
    rest = dataclasses.replace(difference, tables=tuple(strict))
    return (*_findings(rest, "sqlite"), *sequences), written


def _findings(difference: DatabaseDifference, witness: Witness) -> tuple[Finding, ...]:
    findings = []
    for each in difference.objects:
        message = f'the {each.type} "{each.name}" is not as in the backup ({each.change})'
        sample = schema_sample(each.name, each.before, each.after)
        findings.append(Finding(witness, each.name, "", each.change, 1, message, (sample,)))
    for table in difference.tables:
        rows = table.added + table.removed + table.rows_changed
        message = f'"{table.table}" is not as in the backup in {counted(rows, "row")}'
        samples = tuple(Sample(s.key, s.column, s.before, s.after) for s in table.samples)
        findings.append(Finding(witness, table.table, "", "changed", rows, message, samples))
    return tuple(findings)
