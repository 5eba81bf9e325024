"""Random schemas: refused beforehand with an object named, or passed with every view the same."""

from __future__ import annotations

import collections
import os
import shutil
from pathlib import Path

import pytest

from runbook.errors import NotProven
from runbook.hazards.inspect_file import inspect_file
from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.migration.rollback import roll_back
from runbook.run.findings import Hazard
from runbook.targets.sqlite import SqliteTarget
from tests.support.mutants.content import read_content
from tests.support.random_schemas import (
    RandomSchema,
    compiling,
    make,
    objects,
    read_views,
    with_old_times,
    without_new_column,
)

FULL = os.environ.get("RUNBOOK_FAULTS") == "full"
SCHEMAS = 500 if FULL else 25


def names_something(text: str, path: Path) -> bool:
    """Whether a message names a table, view, trigger or index of the database."""
    content = read_content(path)
    return any(str(name) in text for _, name, *_ in content.objects)


def blocking(path: Path, schema: RandomSchema, folder: Path) -> tuple[Hazard, ...]:
    hazards, _ = inspect_file(path, schema.plan, folder)
    return tuple(h for h in hazards if h.level == "block")


def try_schema(seed: int, folder: Path) -> str:
    """What became of one schema; asserts all that must be so."""
    path, before = folder / "app.db", folder / "before.db"
    schema = make(path, seed)
    shutil.copyfile(path, before)
    content, views, uses = read_content(path), read_views(path), compiling(path)
    blocked = blocking(path, schema, folder)
    assert read_content(path) == content
    if blocked:
        for hazard in blocked:
            assert names_something(f"{hazard.subject} {hazard.remedy}", path), hazard
        return f"refused: {blocked[0].code}"
    target = SqliteTarget(path)
    target.backup(folder / "backup.db")
    job = Job(target, schema.plan, "run", folder / "backup.db")
    try:
        migrate(job)
    except NotProven as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert names_something(refusal, path), refusal
        assert read_content(path) == content
        return f"refused by the gate: {refusal[:90]}"
    assert objects(path, "view") == objects(before, "view")
    assert read_content(path).triggers == content.triggers
    assert uses <= compiling(path)
    after = without_new_column(with_old_times(path, before, schema.plan), views)
    assert {n: v for n, v in after.items() if n in views and views[n] is not None} == {
        n: v for n, v in views.items() if v is not None
    }
    roll_back(job, folder / "exports")
    back = read_content(path)
    written = {t for t in schema.plan.triggers.may_write if t}
    assert (back.header, back.objects, back.triggers) == (
        content.header,
        content.objects,
        content.triggers,
    )
    for name, table in content.tables.items():
        assert back.tables[name] == table or name in written
    assert compiling(path) == uses
    assert read_views(path) == views
    return "passed"


@pytest.mark.parametrize("part", range(5))
def test_every_schema_is_refused_or_passes(part: int, tmp_path: Path) -> None:
    outcomes = collections.Counter()
    for seed in range(part, SCHEMAS, 5):
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            outcomes[try_schema(seed, folder)] += 1
        except Exception as error:
            raise AssertionError(f"the schema of seed {seed}: {error!r}") from error
        shutil.rmtree(folder)
    print(dict(outcomes))
    assert outcomes["passed"] > 0
    assert outcomes.total() == SCHEMAS / 5
