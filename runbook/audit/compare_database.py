"""Whether a database is exactly what its backup holds, as findings."""

from __future__ import annotations

from pathlib import Path

from runbook.run.findings import Finding, Sample, Witness, schema_sample
from runbook.sqlite.compare_database import compare_databases
from runbook.sqlite.connect import open_with_backup


def differences(database: Path, backup: Path, witness: Witness = "sqlite") -> tuple[Finding, ...]:
    """How `database` differs from `backup`, strictly; empty where it does not.

    Raises:
        TargetError: one of them cannot be read.
    """
    with open_with_backup(database, backup) as connection:
        difference = compare_databases(connection)
    findings = []
    for each in difference.objects:
        message = f'the {each.type} "{each.name}" is not as in the backup ({each.change})'
        sample = schema_sample(each.name, each.before, each.after)
        findings.append(Finding(witness, each.name, "", each.change, 1, message, (sample,)))
    for table in difference.tables:
        rows = table.added + table.removed + table.rows_changed
        message = f'{rows:,} rows of "{table.table}" are not as in the backup'
        samples = tuple(Sample(s.key, s.column, s.before, s.after) for s in table.samples)
        findings.append(Finding(witness, table.table, "", "changed", rows, message, samples))
    return tuple(findings)
