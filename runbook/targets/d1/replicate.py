"""An exact local replica of a D1 database, as a plain SQLite file.

D1 lets nobody copy its file, and its export loses integers above 2^53, NUL characters and rowids.
So the rows are read in pages of type-tagged text (`cells`, `pages`) and written into a new
file, with their rowids, in the schema that the database itself reports: tables first, then rows,
then indexes, triggers and views. Afterwards each table's sums are asked of both sides.

Many pages cannot be read in one transaction. Sums are therefore asked before and after; where they
differ, somebody wrote meanwhile, and there is no replica.
"""

from __future__ import annotations

from pathlib import Path

from runbook.errors import TargetError
from runbook.files import rename_durably
from runbook.progress import Progress, no_progress
from runbook.targets.d1.read_rows import Pace, read_rows, written_to
from runbook.targets.d1.schema import Read, Schema, read_schema, schema_of, schema_sql, sums_sql
from runbook.targets.d1.write_replica import ReplicaWriter


def replicate(
    read: Read,
    to: Path,
    *,
    pace: Pace,
    leave_out: str = "",
    progress: Progress = no_progress,
) -> dict[str, str]:
    """Copies the database behind `read` into the new file `to`.

    Args:
        read: runs SELECT statements and returns the rows of each.
        to: the file to write; it must not exist. It appears only when it is complete.
        pace: how large and how many the calls may be.
        leave_out: a table that is not copied: wrangler's own, of the migrations it has applied.
        progress: shown each table, with the rows that were read of it.

    Returns:
        Each table's sums, which are the same in D1, before and after, and in the file.

    Raises:
        TargetError: the database was written to meanwhile, or cannot be held by this SQLite.
    """
    schema = read_schema(read, leave_out)
    partial = to.with_name(to.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        with ReplicaWriter(partial) as writer:
            writer.create_tables(schema)
            before = read_rows(read, schema, writer.insert, pace, progress)
            writer.create_rest(schema)
            _check(read, schema, leave_out, writer, before)
        rename_durably(partial, to)
    finally:
        partial.unlink(missing_ok=True)
    return before


def _check(
    read: Read, schema: Schema, leave_out: str, writer: ReplicaWriter, before: dict[str, str]
) -> None:
    """Asks schema and sums of D1 again, and of the file."""
    tables = schema.tables
    answers = read([*schema_sql(), *(sums_sql(t) for t in tables)])
    count = len(schema_sql())
    if schema_of(answers[:count], leave_out) != schema:
        raise TargetError(
            "The schema of the D1 database changed while it was copied; do not deploy or "
            "migrate meanwhile, and try again."
        )
    for table, answer in zip(tables, answers[count:], strict=True):
        if str(answer[0]["sums"]) != before[table.name]:
            raise written_to(table.name)
        sums_here = writer.sums(table)
        if sums_here != before[table.name]:
            raise TargetError(
                f"The replica of the D1 table {table.name!r} is not exact (sums {sums_here} "
                f"instead of {before[table.name]}); do not go on with it, and report this."
            )
    writer.check_schema(schema)
