"""The benchmarks run, on a small sample: their figures mean nothing here, but must be there."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.benchmarks import __main__ as bench
from tests.benchmarks.figures import keep, read, summed
from tests.benchmarks.measure import Failed
from tests.benchmarks.page import BEGIN, END, PAGE, draw, replaced, written
from tests.benchmarks.questions import slow
from tests.benchmarks.random_keys import make_random_sample
from tests.benchmarks.targets import TARGETS, WITH, WITHOUT, lines, table
from tests.benchmarks.work import STAGES, WORK
from tests.support.notebooks import environment
from tests.support.paths import ROOT

ELSEWHERE = {"small run", "datacompy", "sqldiff"}
"""What costs seconds whatever the size, or a tool that may not be there."""


def called(*arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_every_benchmark_and_the_page(tmp_path: Path) -> None:
    size = ("--users", "100", "--repeat", "1", "--build", str(tmp_path))
    printed = called("tests.benchmarks", *(WORK.keys() - ELSEWHERE), "sqldiff", *size)
    (measurement,) = read(tmp_path / "benchmarks.json").values()
    assert (measurement["projects"], measurement["keys"]) == (500, "random")
    figures = measurement["figures"]
    assert {*(WORK.keys() - ELSEWHERE), *STAGES, WITHOUT, WITH, "migrate: gate"} <= set(figures)
    assert "sqldiff" in {*figures, *measurement["skipped"]}
    assert all(name in printed for name in (*figures, *(target.what for target in TARGETS)))
    assert figures[WITHOUT]["wall"] > figures["migrate"]["wall"] > 0
    assert figures["snapshot: files"]["disk_mb"] > 0
    page = tmp_path / "page.md"
    page.write_text(f"by hand\n{BEGIN}\nold\n{END}\nby hand, too\n")
    called(
        "tests.benchmarks.page",
        "--figures",
        str(tmp_path / "benchmarks.json"),
        "--page",
        str(page),
    )
    text = page.read_text()
    assert text.startswith("by hand\n")
    assert text.endswith("by hand, too\n")
    assert "old" not in text
    assert "| whole run with rehearsal |" in text
    assert (tmp_path / "images" / "performance.svg").stat().st_size > 1000


@pytest.mark.slow
def test_the_benchmark_of_the_way_back(tmp_path: Path) -> None:
    arguments = ("--rows", "500", "--repeat", "1", "--folder", str(tmp_path))
    assert "ratio" in called("tests.benchmarks.bench_rollback", *arguments)


def test_a_target_that_is_missed_is_told() -> None:
    samples = {
        "baseline": [{"wall": 10.0, "cpu": 8.0}],
        "preflight": [
            {"wall": 1.0, "cpu": 1.0},
            {"wall": 9.0, "cpu": 9.0},
            {"wall": 0.5, "cpu": 1},
        ],
        "migrate: gate": [{"wall": 0.9, "cpu": 0.8, "more_mb": 65.0}],
    }
    figures = summed(samples)
    assert figures["preflight"]["wall"] == 1.0, "the median"
    missed = {line.target.what: line.missed for line in lines(figures)}
    assert [what for what, is_missed in missed.items() if is_missed] == ["preflight"]
    assert ("the gate", "0.09", "0.10", "0.10", "met") in table(figures)
    assert ("verify", "", "", "0.36", "") in table(figures)


def test_sizes_are_kept_beside_each_other(tmp_path: Path) -> None:
    def measurement(users: int, seconds: float) -> dict[str, object]:
        figures = {WITHOUT: {"wall": seconds, "cpu": seconds}, "baseline": {"cpu": 1.0}}
        return {
            **{"users": users, "projects": users * 5, "keys": "random", "repeat": 1},
            **{"bytes": 10**9, "on": "2026-11-27", "python": "3", "sqlite": "3", "cores": 2},
            **{"load": 0.1, "skipped": {"sqldiff": "it is not installed"}, "figures": figures},
        }

    path = tmp_path / "benchmarks.json"
    keep(path, "small", measurement(10, 2.0))
    large = keep(path, "large", measurement(100, 23.0))
    (line,) = (line for line in lines(large["figures"]) if line.target.unit == "times")
    assert (line.clock, line.missed) == (11.5, True)
    measurements = read(path)
    assert list(measurements) == ["small", "large"]
    text = written(measurements)
    assert "100 users and 500 projects" in text
    assert "sqldiff was left out: it is not installed." in text
    draw(measurements, tmp_path / "one.svg")
    draw(json.loads(json.dumps(measurements)), tmp_path / "other.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()
    with pytest.raises(ValueError, match="no part between"):
        replaced("nothing of the kind", text)


def test_the_published_page_has_its_form() -> None:
    text = PAGE.read_text()
    assert replaced(text, "") != text
    assert all(f"| {target.what} |" in text for target in TARGETS)
    assert (PAGE.parent / "images" / "performance.svg").is_file()


def test_random_keys_are_in_no_order(tmp_path: Path) -> None:
    make_random_sample(tmp_path / "a.db", 50, 200)
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        keys = [key for (key,) in connection.execute("SELECT id FROM projects ORDER BY rowid")]
        assert keys != sorted(keys)
        assert len(set(keys)) == 200
        assert not connection.execute("PRAGMA foreign_key_check").fetchall()


def test_a_question_that_is_answered_late_is_told() -> None:
    figures = {
        "explore: ask: largest organizations": {"wall": 3.25},
        "explore: ask: rows of every kind": {"wall": 3.0},
    }
    assert list(slow(figures)) == ["explore: largest organizations: 3.25 s, aimed at 3"]


def test_what_was_measured_before_a_failure_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, folder: Path) -> dict[str, object]:
        if name == "preflight":
            raise Failed("it failed with exit code 1")
        return {"wall": 1.0, "cpu": 1.0, "parts": {}}

    monkeypatch.setattr(bench, "measure", fail)
    arguments = ["baseline", "preflight", "--users", "10", "--build", str(tmp_path)]
    assert bench.main(arguments) == 1
    (measurement,) = read(tmp_path / "benchmarks.json").values()
    assert measurement["figures"]["baseline"]["ratio"] == 1.0
    assert measurement["skipped"] == {"preflight": "it failed with exit code 1"}
