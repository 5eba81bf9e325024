"""Random sequences of later writes, rolled back: kept, exported or refused as the oracle says."""

from __future__ import annotations

import collections
import copy
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from runbook.errors import Refused
from runbook.migration.assess import assess
from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.migration.rollback import roll_back
from runbook.sqlite.cells import decode
from runbook.targets.sqlite import SqliteTarget
from tests.support.later_oracle import Oracle
from tests.support.later_sequences import Sequence
from tests.support.mutants.content import Content, read_content

FULL = os.environ.get("RUNBOOK_FAULTS") == "full"
SEQUENCES = 500 if FULL else 30
GOING = {"organizations", "organization_memberships", "runbook_ledger"}


def exported(folder: Path, name: str, *columns: str) -> list[tuple[object, ...]]:
    """Cells of all export files of this name, decoded."""
    return [
        tuple(decode(row[column]) for column in columns)
        for file in sorted(folder.glob(f"{name}.parquet"))
        for row in pq.read_table(file).to_pylist()
    ]


def check_exports(folder: Path, oracle: Oracle) -> None:
    """Every organization, membership and assignment of now is in the files."""
    organizations = exported(folder, "organizations", "id", "name", "owner_id", "type")
    assert sorted(organizations, key=repr) == sorted(
        ((key, r["name"], r["owner_id"], r["type"]) for key, r in oracle.organizations.items()),
        key=repr,
    )
    members = exported(
        folder, "organization_memberships", "id", "organization_id", "user_id", "role"
    )
    assert sorted(members, key=repr) == sorted(
        ((key, *row.values()) for key, row in oracle.memberships.items()), key=repr
    )
    assignments = exported(folder, "assignments-*", "owner_id", "organization_id")
    wanted = [*oracle.assignments("projects"), *oracle.assignments("notes")]
    assert sorted(assignments, key=repr) == sorted(wanted, key=repr)


def check_result(path: Path, oracle: Oracle, now: Content) -> None:
    """Resources as the oracle says; every other table and object as it was just before."""
    after = read_content(path)
    with closing(sqlite3.connect(path)) as connection:
        projects = connection.execute("SELECT id, owner_id, title, updated_at FROM projects")
        assert repr(sorted(projects.fetchall(), key=repr)) == repr(
            sorted(((key, *row) for key, row in oracle.expected_projects().items()), key=repr)
        )
        notes = connection.execute("SELECT id, owner_id, body FROM notes")
        assert repr(sorted(notes.fetchall(), key=repr)) == repr(
            sorted(((k, r["owner_id"], r["body"]) for k, r in oracle.notes.items()), key=repr)
        )
    for name, table in now.tables.items():
        if name in GOING:
            assert name not in after.tables
        elif name not in ("projects", "notes"):
            assert after.tables[name] == table
    kept = {o[1] for o in now.objects if o[2] not in {*GOING, "projects", "notes"}}
    assert {o for o in after.objects if o[1] in kept} == {o for o in now.objects if o[1] in kept}
    later = {o for o in now.objects if str(o[1]).startswith("later_") and o[2] not in GOING}
    assert later <= {*after.objects} | {o for o in later if o[0] == "table"}


def try_sequence(seed: int, folder: Path) -> str:
    """One sequence there and back; returns how it ended."""
    path = folder / "app.db"
    sequence = Sequence(path, seed)
    target = SqliteTarget(path)
    target.backup(folder / "backup.db")
    job = Job(target, sequence.plan, "run", folder / "backup.db")
    migrate(job)
    sequence.migrated()
    oracle = sequence.oracle
    migrated = copy.deepcopy((oracle.organizations, oracle.memberships))
    history = [sequence.write() for _ in range(sequence.draw.randrange(1, 13))]
    now, exports = read_content(path), folder / "exports"
    try:
        counted = assess(job)
        assert counted.organizations_since == oracle.changed_rows("organizations", migrated[0])
        assert counted.memberships_since == oracle.changed_rows("memberships", migrated[1])
        for discard in (False, True):
            if oracle.must_refuse(discard, migrated):
                with pytest.raises(Refused):
                    roll_back(job, exports, discard_organizations=discard)
                assert read_content(path) == now
                continue
            record = roll_back(job, exports, discard_organizations=discard)
            assert record.done
            check_exports(exports, oracle)
            check_result(path, oracle, now)
            return "with the flag" if discard else "without the flag"
    except BaseException as error:
        error.add_note(f"the writes of seed {seed}: {history}")
        raise
    return "refused"


@pytest.mark.parametrize("part", range(5))
def test_every_sequence_ends_as_the_oracle_says(part: int, tmp_path: Path) -> None:
    ends = collections.Counter()
    for seed in range(part, SEQUENCES, 5):
        folder = tmp_path / str(seed)
        folder.mkdir()
        ends[try_sequence(seed, folder)] += 1
        shutil.rmtree(folder)
    print(dict(ends))
    assert ends.total() == SEQUENCES / 5
    assert len(ends) > 1
