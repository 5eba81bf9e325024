"""A record that holds ten thousand lists in each other is damaged, in a sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook.cli import main
from runbook.errors import RunFolderError, TargetError
from runbook.files import parse_json, read_json
from runbook.report.write import write_report
from runbook.targets.d1.config import _parse
from tests.support import report_factory as factory
from tests.support.runs import begin, until_migrated

DEPTHS = (70, 900, 100_000)
RECORDS = (
    "run.json",
    "stages/01_preflight.json",
    "stages/03_snapshot.json",
    "stages/04_migrate.json",
    "snapshots/before/snapshot.json",
    "backup/d1.json",
    "window/02_deploy.json",
    "window/tick_2.json",
    "window/scan.json",
    "window/logs.json",
    "monitor.jsonl",
    "audit.json",
    "notebooks/01_preflight.ipynb",
)
COMMANDS = (
    ["status"],
    ["run", "--yes"],
    ["rollback", "--yes"],
    ["monitor", "--once"],
    ["archive"],
)


def nested(depth: int) -> str:
    return '{"run": ' + '{"a": [' * depth + "]}" * depth + "}"


@pytest.mark.parametrize("depth", DEPTHS)
def test_json_that_is_nested_too_deeply(depth: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too deeply"):
        parse_json(nested(depth))
    (tmp_path / "x.json").write_text(nested(depth))
    with pytest.raises(RunFolderError, match="missing or damaged"):
        read_json(tmp_path / "x.json")
    (tmp_path / "wrangler.toml").write_text("x = " + "[" * depth * 20 + "]" * depth * 20)
    if depth > 100:
        with pytest.raises(TargetError, match="not valid"):
            _parse(tmp_path / "wrangler.toml")


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from runbook.sample.make import make_sample

    folder = tmp_path_factory.mktemp("nested")
    make_sample(folder / "sample.db", users=5, projects=10)
    until_migrated(begin(folder / "sample.db", folder / "run"))
    return folder / "run"


@pytest.mark.parametrize("record", RECORDS)
def test_each_record_of_a_run(record: str, migrated: Path, tmp_path: Path) -> None:
    for depth in (900, 100_000):
        folder = tmp_path / f"run{depth}"
        shutil.copytree(migrated, folder)
        (folder / record).parent.mkdir(exist_ok=True)
        (folder / record).write_text(nested(depth))
        for command in COMMANDS:
            if command[0] in ("run", "rollback") and record != "run.json":
                continue  # would execute notebooks
            ended = CliRunner().invoke(main, [*command, "--run-dir", str(folder)])
            assert ended.exception is None or isinstance(ended.exception, SystemExit), (
                command,
                ended.exception,
            )
            assert "Traceback" not in ended.output


def test_the_report_of_a_run_with_such_a_record(tmp_path: Path) -> None:
    folder = factory.passed(tmp_path / "run", str)
    (folder / "stages" / "05_verify.json").write_text(nested(900))
    (folder / "monitor.jsonl").write_text(nested(900))
    write_report(folder)
    assert "is damaged" in (folder / "report.html").read_text()
