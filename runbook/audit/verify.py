"""The three witnesses, after the commit: what each saw, and whether they agree."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runbook.audit.disagreement import disagreements
from runbook.audit.duckdb_session import one_duckdb, open_duckdb
from runbook.audit.findings import outside_findings
from runbook.audit.gate import Expectation, Proof, prove
from runbook.audit.invariants import InvariantAnswer, ask_duckdb, ask_sqlite
from runbook.audit.references import broken_references
from runbook.audit.sequence_witnesses import duckdb_sequences, pandas_sequences
from runbook.audit.snapshot import Capture, capture, digests, find_unchanged
from runbook.audit.structure import structure_findings
from runbook.audit.witness_duckdb import diff_snapshots
from runbook.audit.witness_pandas import PandasWitness, recompute
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.progress import Progress, no_progress
from runbook.run.findings import Finding, InvariantResult, TableDigest
from runbook.run.records import VerifyRecord
from runbook.script.footprint import FootprintLine, complete_counts, with_counts
from runbook.script.migration import LEDGER, NEW_TABLES, template_values
from runbook.sqlite.cells import encode
from runbook.sqlite.connect import open_with_backup
from runbook.sqlite.difference import TableDifference
from runbook.sqlite.header import Header, read_header
from runbook.sqlite.quoting import fold_name
from runbook.templates import sql_file
from runbook.wording import counted
from runbook.workers import is_small, workers

Counts = Mapping[tuple[str, str, str], int]


@dataclass(frozen=True)
class Before:
    """The database before its migration: the backup as a file, its capture and the digests of it.

    The digests outside the footprint must recur.
    """

    backup: Path
    capture: Capture
    digests: tuple[TableDigest, ...]


@dataclass(frozen=True)
class SqliteWitness:
    """What SQLite found: the proof, the invariants by name, and the sizes of organizations."""

    proof: Proof
    invariants: Mapping[str, InvariantAnswer]
    sizes: Mapping[str, int]
    header: Header


@dataclass(frozen=True)
class DuckdbWitness:
    """What DuckDB found: every table's difference, counts for the footprint, the invariants."""

    differences: tuple[TableDifference, ...]
    counts: Counts
    invariants: Mapping[str, int]


@dataclass(frozen=True)
class _Testimony:
    """What all three witnesses found, with the digests of the database as it is now."""

    sqlite: SqliteWitness
    duckdb: DuckdbWitness
    pandas: PandasWitness
    digests: tuple[TableDigest, ...]


def verify(
    database: Path,
    expected: Expectation,
    before: Before,
    after_dir: Path,
    *,
    progress: Progress = no_progress,
) -> VerifyRecord:
    """Compares the committed file with what was before, three times, sharing nothing but facts.

    Args:
        database: the file as it is now.
        expected: the migration, its footprint with predictions, and the ledger's row.
        before: the database before.
        after_dir: where the capture of now is written.
        progress: shown each witness.
    """
    after = _capture_anew(database, after_dir, progress)
    if misbuilt := _misbuilt(expected, before, after):
        return _unanswered(expected, before, after, misbuilt)
    asking = functools.partial(ask_sqlite_witness, database, expected, before.backup)
    return _compared(asking, expected, before, after, progress)


# Many parameters because who watches is no part of what is asked.
def read_to_verify(
    copy: Path,
    expected: Expectation,
    before: Before,
    after_dir: Path,
    gate: Proof | None,
    progress: Progress = no_progress,
) -> Callable[[], VerifyRecord]:
    """All of a verification that reads the file; what is returned does the rest without it.

    So a copy can be written again while DuckDB and pandas compare what was read.

    Args:
        copy: a file to which nobody writes meanwhile.
        expected, before, after_dir: as in `verify`.
        gate: what the gate found in this very file; then SQLite does not compare every row again.
        progress: shown what is read.
    """
    after = _capture_anew(copy, after_dir, progress)
    if misbuilt := _misbuilt(expected, before, after):
        return functools.partial(_unanswered, expected, before, after, misbuilt)
    progress("Witness SQLite")
    answered = ask_sqlite_witness(copy, expected, before.backup, gate)
    return functools.partial(_compared, lambda: answered, expected, before, after)


def _capture_anew(database: Path, to: Path, progress: Progress) -> Capture:
    """First, because no connection of ours may be open while the driver reads the file."""
    if to.exists():
        shutil.rmtree(to)
    return capture(database, to, progress=progress)


def _misbuilt(expected: Expectation, before: Before, after: Capture) -> tuple[Finding, ...]:
    """Why nothing can be asked of the tables, if so."""
    shape = expected.baseline.shape
    return structure_findings(expected.plan, shape, before.capture, after)


def _compared(
    asking: Callable[[], SqliteWitness],
    expected: Expectation,
    before: Before,
    after: Capture,
    progress: Progress = no_progress,
) -> VerifyRecord:
    """The verdict of all three witnesses."""
    return _verdict(_testimony(asking, expected, before, after, progress), expected, before, after)


def _verdict(
    testimony: _Testimony, expected: Expectation, before: Before, after: Capture
) -> VerifyRecord:
    """What the witnesses say, put together."""
    sqlite, duckdb, pandas = testimony.sqlite, testimony.duckdb, testimony.pandas
    lines = _counted(expected.baseline.footprint, testimony)
    invariants = _invariants(sqlite.invariants, duckdb.invariants, pandas)
    findings = (
        *sqlite.proof.findings,
        *_duckdb_findings(duckdb, expected.plan, expected.baseline.shape),
        *pandas.findings,
        *duckdb_sequences(expected.plan, before.capture, after),
        *pandas_sequences(expected.plan, before.capture, after),
        *_violations(invariants, sqlite.invariants),
        *disagreements(lines, invariants),
        *_altered(before.digests, testimony.digests, expected.plan),
        *_not_asked(expected.plan, before, testimony),
    )
    return VerifyRecord(
        verdict="fail" if findings else "pass",
        invariants=invariants,
        footprint=lines,
        findings=findings,
        digests=testimony.digests,
        rows_before={t.name: t.rows for t in before.capture.tables},
        rows_after={t.name: t.rows for t in after.tables},
        organization_sizes=sqlite.sizes,
        header=sqlite.header,
    )


def _counted(
    footprint: tuple[FootprintLine, ...], testimony: _Testimony
) -> tuple[FootprintLine, ...]:
    """The footprint with what each witness counted."""
    sqlite = complete_counts(testimony.sqlite.proof.counts, footprint)
    lines = with_counts(footprint, "sqlite", sqlite)
    lines = with_counts(lines, "duckdb", testimony.duckdb.counts)
    return with_counts(lines, "pandas", testimony.pandas.counts)


def _unanswered(
    expected: Expectation, before: Before, after: Capture, findings: tuple[Finding, ...]
) -> VerifyRecord:
    """The verdict on a database of which nothing can be asked."""
    return VerifyRecord(
        verdict="fail",
        invariants=(),
        footprint=expected.baseline.footprint,
        findings=findings,
        digests=(),
        rows_before={t.name: t.rows for t in before.capture.tables},
        rows_after={t.name: t.rows for t in after.tables},
    )


def _testimony(
    ask_sqlite_now: Callable[[], SqliteWitness],
    expected: Expectation,
    before: Before,
    after: Capture,
    progress: Progress,
) -> _Testimony:
    """Asks the witnesses at once, so that all processors are busy until the last is done.

    Of a small database they are asked one after the other, which takes less of the processor.
    """
    plan, shape, at = expected.plan, expected.baseline.shape, expected.ledger.applied_at
    with workers(2, small=is_small(before.backup)) as pool, one_duckdb(after.folder):
        asking = pool.submit(ask_sqlite_now)
        recomputing = pool.submit(recompute, plan, shape, before.capture, after, at)
        duckdb = ask_duckdb_witness(plan, shape, before.capture, after, progress)
        unchanged = find_unchanged(before.capture, before.digests, after)
        digested = digests(after, plan, shape, at, unchanged=unchanged, progress=progress)
        progress("Witness pandas")
        pandas = recomputing.result()
        progress("Witness SQLite")
        return _Testimony(asking.result(), duckdb, pandas, digested)


def ask_sqlite_witness(
    database: Path, expected: Expectation, backup: Path, gate: Proof | None = None
) -> SqliteWitness:
    """SQLite over the committed file, and its own check of foreign keys; `gate` as in `verify`."""
    plan, shape = expected.plan, expected.baseline.shape
    with open_with_backup(database, backup) as connection:
        proof = gate or prove(connection, expected, "sqlite")
        # Rows that triggers wrote are in no comparison.
        proven = not proof.findings and plan.triggers.policy != "fire"
        invariants = ask_sqlite(connection, plan, shape, proven)
        proven = proven and not any(answer.violations for answer in invariants.values())
        broken = broken_references(connection, plan, shape, proven=proven)
        query = sql_file("audit/organization_sizes").render(**template_values(plan, shape))
        sizes = dict(connection.execute(query).fetchall())
        header = read_header(connection)
    proof = dataclasses.replace(proof, findings=proof.findings + broken)
    return SqliteWitness(proof, invariants, sizes, header)


def ask_duckdb_witness(
    plan: Plan, shape: Shape, before: Capture, after: Capture, progress: Progress = no_progress
) -> DuckdbWitness:
    """DuckDB over the two captures."""
    expected = {
        r.table: (r.updated_at, *shape.derived.get(r.table, ()))
        for r in plan.resources
        if r.updated_at
    }
    differences = diff_snapshots(before, after, expected=expected, progress=progress)
    counts = _duckdb_counts(differences, plan, after)
    for table, columns in expected.items():
        counts |= {k: 0 for c in columns if (k := (table, "changed", c)) not in counts}
    progress("Witness DuckDB: invariants")
    return DuckdbWitness(differences, counts, ask_duckdb(plan, shape, before, after))


def _duckdb_findings(duckdb: DuckdbWitness, plan: Plan, shape: Shape) -> Iterator[Finding]:
    for difference in duckdb.differences:
        if fold_name(difference.table) not in (*NEW_TABLES, LEDGER):
            yield from outside_findings(difference, plan, shape, "duckdb")


def _duckdb_counts(
    differences: tuple[TableDifference, ...], plan: Plan, after: Capture
) -> dict[tuple[str, str, str], int]:
    """DuckDB's counts for the footprint."""
    counts: dict[tuple[str, str, str], int] = {}
    for difference in differences:
        counts[difference.table, "added", ""] = difference.added
        for column, rows in difference.changed:
            counts[difference.table, "changed", column] = rows
    tables = {fold_name(t.name): t for t in after.tables}
    null = encode(None, after.encoding)
    with open_duckdb(after.folder) as connection:
        for resource in plan.resources:
            table = tables.get(fold_name(resource.table))
            if table is None or "organization_id" not in table.columns:
                continue
            row = connection.execute(
                "SELECT count(*) FROM read_parquet(?) WHERE organization_id <> ?::BLOB",
                [str(after.path(table)), null],
            ).fetchone()
            counts[resource.table, "changed", "organization_id"] = row[0] if row else 0
    return counts


def _invariants(
    sqlite: Mapping[str, InvariantAnswer], duckdb: Mapping[str, int], pandas: PandasWitness
) -> tuple[InvariantResult, ...]:
    """Each invariant with the violations that each witness counted."""
    return tuple(
        InvariantResult(
            name,
            answer.title,
            answer.why,
            {
                "sqlite": answer.violations,
                "duckdb": duckdb[name],
                "pandas": pandas.invariants[name],
            },
        )
        for name, answer in sqlite.items()
    )


def _violations(
    invariants: tuple[InvariantResult, ...], answers: Mapping[str, InvariantAnswer]
) -> Iterator[Finding]:
    for invariant in invariants:
        if not invariant.holds:
            rows, answer = max(invariant.violations.values()), answers[invariant.name]
            message = f'the invariant "{invariant.title}" is violated by {counted(rows, "row")}'
            message += _in_places(answer.places)
            change = f"invariant {invariant.name}"
            yield Finding("sqlite", "", "", change, rows, message, answer.samples)


def _in_places(places: tuple[tuple[str, int], ...]) -> str:
    """` in "projects"`; of several tables, how many rows in each."""
    if len(places) < 2:
        return "".join(f' in "{table}"' for table, _ in places)
    each = [f'{rows:,} in "{table}"' for table, rows in places]
    return f" ({', '.join(each)})"


def _not_asked(plan: Plan, before: Before, testimony: _Testimony) -> Iterator[Finding]:
    """What no witness has compared: a proof over no tables, rows or invariants proves nothing."""

    def missing(table: str, message: str) -> Finding:
        return Finding("sqlite", table, "", "not compared", 0, f"{message}, so nothing is proven")

    asked = (
        ("sqlite", {fold_name(table) for table, _, _ in testimony.sqlite.proof.counts}),
        ("duckdb", {fold_name(d.table) for d in testimony.duckdb.differences}),
        ("pandas", {fold_name(table) for table, _, _ in testimony.pandas.counts}),
    )
    for resource in plan.resources:
        for witness, tables in asked:
            if fold_name(resource.table) not in tables:
                yield missing(resource.table, f'{witness} has not compared "{resource.table}"')
    kept = {fold_name(digest.table) for digest in before.digests}
    for table in (plan.users.table, *(r.table for r in plan.resources)):
        if fold_name(table) not in kept:
            yield missing(table, f'there is no digest of "{table}" from before the migration')
    answers = (testimony.sqlite.invariants, testimony.duckdb.invariants)
    if not all((*answers, testimony.pandas.invariants)):
        yield missing("", "no invariant was asked")


def _altered(
    before: tuple[TableDigest, ...], after: tuple[TableDigest, ...], plan: Plan
) -> Iterator[Finding]:
    """Tables whose digest outside the footprint is not what it was."""
    now = {d.table: d for d in after}
    written = {fold_name(t) for t in plan.triggers.may_write} | {"sqlite_sequence"}
    for digest in before:
        if fold_name(digest.table) == LEDGER:
            continue
        if plan.triggers.policy == "fire" and fold_name(digest.table) in written:
            continue
        current = now.get(digest.table)
        if current is None or current.outside != digest.outside:
            message = (
                f'the digest of "{digest.table}" outside the footprint is not what it was before '
                "the migration"
            )
            yield Finding("duckdb", digest.table, "", "digest differs", 0, message)
