"""The account that began a run stands in one place of its record, wherever an older one had it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.files import read_sealed, write_sealed
from runbook.plan.plan import Plan
from runbook.report.contents import read_contents
from runbook.run.folder import Run
from runbook.run.identity import Identity
from runbook.run.info import Request
from runbook.run.json_form import to_json
from runbook.run.versions import account


@pytest.fixture
def run(tmp_path: Path) -> Run:
    place = str(tmp_path / "app.db")
    request = Request(database=place, identity=Identity("sqlite", place, ""), plan=Plan())
    return Run.create(tmp_path / "run", request)


def test_it_stands_once(run: Run) -> None:
    record = read_sealed(run.folder / "run.json")
    assert record["account"] == account()
    assert set(record["origin"]) == {"host", "time zone"}


@pytest.mark.parametrize("own", ["ada", "", None])
def test_a_record_of_an_earlier_release_is_read(run: Run, own: str | None) -> None:
    record = to_json(run.info)
    record |= {"account": own, "origin": {"account": "ada", "host": "db-1", "time zone": "UTC"}}
    if own is None:
        del record["account"]
    write_sealed(run.folder / "run.json", record)
    info = Run.open(run.folder).info
    assert (info.account, info.origin) == ("ada", {"host": "db-1", "time zone": "UTC"})
    contents = read_contents(run.folder)
    assert (contents.account, dict(contents.origin)) == (info.account, info.origin)
