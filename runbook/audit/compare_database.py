"""Whether two databases are the same: every object's SQL text, every cell of every table."""

from __future__ import annotations

import contextlib
from pathlib import Path

from runbook.run.findings import Finding, Sample, schema_sample
from runbook.sqlite.compare_objects import compare_objects
from runbook.sqlite.compare_table import compare_table
from runbook.sqlite.connect import immutable_uri, open_readonly
from runbook.sqlite.tables import read_tables, stored_tables


def differences(database: Path, backup: Path) -> tuple[Finding, ...]:
    """How `database` differs from `backup`, strictly; empty where it does not.

    Raises:
        TargetError: one of them cannot be read.
    """
    found = []
    with contextlib.closing(open_readonly(database)) as connection:
        connection.execute("ATTACH ? AS before", (immutable_uri(backup),))
        connection.execute("BEGIN")
        for change in compare_objects(connection):
            message = f'the {change.type} "{change.name}" is {change.change}'
            sample = schema_sample(change.name, change.before, change.after)
            found.append(Finding("sqlite", change.name, "", change.change, 1, message, (sample,)))
        old = {t.name: t for t in stored_tables(read_tables(connection, "before"))}
        for new in stored_tables(read_tables(connection, "main")):
            if new.name not in old:
                continue
            difference = compare_table(connection, old[new.name], new)
            if not difference.identical:
                rows = difference.added + difference.removed + difference.rows_changed
                message = f'{rows:,} rows of "{new.name}" are not the same'
                samples = tuple(
                    Sample(s.key, s.column, s.before, s.after) for s in difference.samples
                )
                found.append(Finding("sqlite", new.name, "", "changed", rows, message, samples))
    return tuple(found)
