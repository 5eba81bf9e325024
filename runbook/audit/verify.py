"""The three witnesses, after the commit: what each saw, and whether they agree."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from runbook.audit.duckdb_session import open_duckdb
from runbook.audit.findings import outside_findings
from runbook.audit.gate import Proof, prove
from runbook.audit.invariants import Asked, ask_duckdb, ask_sqlite
from runbook.audit.parquet import Snapshot
from runbook.audit.snapshot import capture, digests, read_capture, unchanged_digests
from runbook.audit.witness_duckdb import diff_snapshots
from runbook.audit.witness_pandas import PandasWitness, recompute
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.progress import Progress, no_progress
from runbook.run.findings import Finding, InvariantResult, TableDigest
from runbook.run.identity import LedgerRow
from runbook.run.records import VerifyRecord
from runbook.script.footprint import FootprintLine, with_counts
from runbook.script.migration import LEDGER, NEW_TABLES, template_values
from runbook.sqlite.connect import CACHE_KIBIBYTES, immutable_uri, open_readonly
from runbook.sqlite.difference import TableDifference
from runbook.templates import sql_file

Counts = Mapping[tuple[str, str, str], int]


@dataclass(frozen=True)
class SqliteWitness:
    """What SQLite saw: the proof, the invariants by name, and the sizes of organizations."""

    proof: Proof
    asked: Mapping[str, Asked]
    sizes: Mapping[str, int]


@dataclass(frozen=True)
class DuckdbWitness:
    """What DuckDB saw: every table's difference, counts for the footprint, and the invariants."""

    differences: tuple[TableDifference, ...]
    counts: Counts
    invariants: Mapping[str, int]


def verify(
    database: Path,
    plan: Plan,
    shape: Shape,
    ledger: LedgerRow,
    footprint: tuple[FootprintLine, ...],
    backup: Path,
    before_dir: Path,
    after_dir: Path,
    digests_before: tuple[TableDigest, ...],
    *,
    progress: Progress = no_progress,
) -> VerifyRecord:
    """Compares the committed file with what was before, three times, sharing nothing but facts.

    Args:
        database: the file as it is now.
        plan: what was to be migrated.
        shape: the database's shape before the migration.
        ledger: the row that the migration left.
        footprint: what may have changed, with predictions.
        backup: the database before, as a SQLite file.
        before_dir: the capture of before.
        after_dir: where the capture of now is written.
        digests_before: the digests of before, of which those outside the footprint must recur.
        progress: told of each witness.
    """
    if after_dir.exists():
        shutil.rmtree(after_dir)
    before = read_capture(before_dir)
    # First, because no connection of ours may be open while the driver reads the file.
    after = capture(database, after_dir, progress=progress)
    # SQLite has one thread to itself while the other two use what is left of the processor.
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look_with_sqlite, database, plan, shape, ledger, backup)
        progress("Witness DuckDB", 0, 4)
        duckdb = look_with_duckdb(plan, shape, before, before_dir, after, after_dir)
        progress("Witness pandas", 1, 4)
        pandas = recompute(plan, shape, before, before_dir, after, after_dir, ledger.applied_at)
        progress("Digests", 2, 4)
        known = unchanged_digests(before, digests_before, after)
        digests_after = digests(after, after_dir, plan, shape, ledger.applied_at, known=known)
        progress("Witness SQLite", 3, 4)
        sqlite = looking.result()
    lines = footprint
    seen = (
        ("sqlite", _zeros(sqlite.proof.counts, footprint)),
        ("duckdb", duckdb.counts),
        ("pandas", _pandas_counts(pandas)),
    )
    for witness, counts in seen:
        lines = with_counts(lines, witness, counts)
    invariants = _invariants(sqlite.asked, duckdb.invariants, pandas)
    findings = (
        *sqlite.proof.findings,
        *(
            finding
            for difference in duckdb.differences
            if difference.table.casefold() not in (*NEW_TABLES, LEDGER)
            for finding in outside_findings(difference, plan, "duckdb")
        ),
        *pandas.findings,
        *_violations(invariants, sqlite.asked),
        *_disagreements(lines, invariants),
        *_altered(digests_before, digests_after, plan),
    )
    progress("Done", 4, 4)
    return VerifyRecord(
        verdict="fail" if findings else "pass",
        invariants=invariants,
        footprint=lines,
        findings=findings,
        digests=digests_after,
        rows_before={t.name: t.rows for t in before.tables},
        rows_after={t.name: t.rows for t in after.tables},
        organization_sizes=sqlite.sizes,
    )


def look_with_sqlite(
    database: Path, plan: Plan, shape: Shape, ledger: LedgerRow, backup: Path
) -> SqliteWitness:
    """SQLite over the committed file; its foreign keys are checked meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        checked = pool.submit(_broken_references, database, backup)
        with _both(database, backup) as connection:
            proof = prove(connection, plan, shape, ledger, witness="sqlite")
            asked = ask_sqlite(connection, plan, shape)
            query = sql_file("audit/organization_sizes").render(**template_values(plan, shape))
            sizes = dict(connection.execute(query).fetchall())
        proof = dataclasses.replace(proof, findings=proof.findings + checked.result())
    return SqliteWitness(proof, asked, sizes)


@contextlib.contextmanager
def _both(database: Path, backup: Path) -> Iterator[sqlite3.Connection]:
    """The database, with its backup attached as `before`, in one read transaction."""
    with contextlib.closing(open_readonly(database)) as connection:
        connection.execute("ATTACH ? AS before", (immutable_uri(backup),))
        connection.execute(f"PRAGMA main.cache_size = -{CACHE_KIBIBYTES}")
        connection.execute("BEGIN")
        yield connection


def look_with_duckdb(
    plan: Plan,
    shape: Shape,
    before: Snapshot,
    before_dir: Path,
    after: Snapshot,
    after_dir: Path,
) -> DuckdbWitness:
    """DuckDB over the two captures."""
    expected = {r.table: (r.updated_at,) for r in plan.resources if r.updated_at}
    differences = diff_snapshots(before, before_dir, after, after_dir, expected=expected)
    counts = _duck_counts(differences, plan, after, after_dir)
    invariants = ask_duckdb(plan, shape, before, before_dir, after, after_dir)
    return DuckdbWitness(differences, counts, invariants)


def _broken_references(database: Path, backup: Path) -> tuple[Finding, ...]:
    """SQLite's own check of every foreign key; what was broken before is not counted."""
    with _both(database, backup) as connection:
        now = _references_to_nothing(connection, "main")
        was = _references_to_nothing(connection, "before") if now else {}
    return tuple(
        Finding(
            "sqlite",
            table,
            "",
            "broken reference",
            more,
            f'{more:,} rows of "{table}" refer to rows of "{parent}" that do not exist; see '
            "PRAGMA foreign_key_check",
        )
        for (table, parent), rows in now.items()
        if (more := rows - was.get((table, parent), 0)) > 0
    )


def _references_to_nothing(
    connection: sqlite3.Connection, schema: str
) -> dict[tuple[str, str], int]:
    query = 'SELECT "table", parent, count(*) FROM pragma_foreign_key_check(NULL, ?) GROUP BY 1, 2'
    return {(table, parent): rows for table, parent, rows in connection.execute(query, (schema,))}


def _duck_counts(
    differences: tuple[TableDifference, ...], plan: Plan, after: Snapshot, folder: Path
) -> Counts:
    """DuckDB's counts for the footprint."""
    counts: dict[tuple[str, str, str], int] = {}
    for difference in differences:
        counts[difference.table, "added", ""] = difference.added
        for column, rows in difference.changed:
            counts[difference.table, "changed", column] = rows
    files = {t.name.casefold(): t for t in after.tables}
    with open_duckdb(folder) as connection:
        for resource in plan.resources:
            if resource.updated_at:
                counts.setdefault((resource.table, "changed", resource.updated_at), 0)
            file = files.get(resource.table.casefold())
            if file is None or "organization_id" not in file.columns:
                continue
            null = "n".encode(_codec(after.encoding))
            row = connection.execute(
                "SELECT count(*) FROM read_parquet(?) WHERE organization_id <> ?::BLOB",
                [str(folder / file.file), null],
            ).fetchone()
            counts[resource.table, "changed", "organization_id"] = row[0] if row else 0
    return counts


def _codec(encoding: str) -> str:
    return {"UTF-8": "utf-8", "UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}[encoding]


def _pandas_counts(witness: PandasWitness) -> Counts:
    return dict(witness.counts)


def _zeros(counts: Counts, footprint: tuple[FootprintLine, ...]) -> Counts:
    """SQLite's counts, with zero where a line was looked at and nothing was seen."""
    lines: dict[tuple[str, str, str], int] = {
        (f.table, f.change, f.column): 0 for f in footprint if f.change in ("added", "changed")
    }
    return {**lines, **counts}


def _invariants(
    asked: Mapping[str, Asked], duckdb: Mapping[str, int], pandas: PandasWitness
) -> tuple[InvariantResult, ...]:
    """Each invariant with the violations that each witness counted."""
    return tuple(
        InvariantResult(
            name,
            seen.title,
            seen.why,
            {
                "sqlite": seen.violations,
                "duckdb": duckdb[name],
                "pandas": pandas.invariants[name],
            },
        )
        for name, seen in asked.items()
    )


def _violations(
    invariants: tuple[InvariantResult, ...], asked: Mapping[str, Asked]
) -> Iterator[Finding]:
    for invariant in invariants:
        if not invariant.holds:
            rows = max(invariant.violations.values())
            message = f'the invariant "{invariant.title}" is violated by {rows:,} rows'
            samples = asked[invariant.name].samples
            yield Finding("sqlite", "", "", f"invariant {invariant.name}", rows, message, samples)


def _disagreements(
    footprint: tuple[FootprintLine, ...], invariants: tuple[InvariantResult, ...]
) -> Iterator[Finding]:
    """Where the witnesses differ, whoever is right: a proof that contradicts itself is none."""
    for line in footprint:
        if len(set(line.counts.values())) > 1:
            where = f'"{line.table}"' + (f', column "{line.column}"' if line.column else "")
            yield _disagreement(line.table, line.column, f"{line.change} in {where}", line.counts)
    for invariant in invariants:
        if len(set(invariant.violations.values())) > 1:
            what = f'violations of "{invariant.title}"'
            yield _disagreement("", "", what, invariant.violations)


def _disagreement(table: str, column: str, what: str, seen: Mapping[str, int]) -> Finding:
    said = ", ".join(f"{witness} saw {rows:,}" for witness, rows in seen.items())
    rows = max(seen.values()) - min(seen.values())
    return Finding(
        "sqlite",
        table,
        column,
        "witnesses disagree",
        rows,
        f"the witnesses disagree about rows {what}: {said}; trust none of them before you know why",
    )


def _altered(
    before: tuple[TableDigest, ...], after: tuple[TableDigest, ...], plan: Plan
) -> Iterator[Finding]:
    """Tables whose digest outside the footprint is not what it was."""
    now = {d.table: d for d in after}
    written = {t.casefold() for t in plan.triggers.may_write} | {"sqlite_sequence"}
    for digest in before:
        if digest.table.casefold() == LEDGER:
            continue
        if plan.triggers.policy == "fire" and digest.table.casefold() in written:
            continue
        current = now.get(digest.table)
        if current is None or current.outside != digest.outside:
            message = (
                f'the digest of "{digest.table}" outside the footprint is not what it was before '
                "the migration"
            )
            yield Finding("duckdb", digest.table, "", "digest differs", 0, message)
