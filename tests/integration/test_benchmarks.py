"""The benchmarks run, on a small sample: their figures mean nothing here, but must be there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.figures import missed, summed
from tests.benchmarks.questions import slow
from tests.benchmarks.work import STAGES, WORK
from tests.support.notebooks import environment
from tests.support.paths import ROOT


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
def test_every_benchmark(tmp_path: Path) -> None:
    size = ("--users", "100", "--projects", "500", "--repeat", "1")
    printed = called("tests.benchmarks", *size, "--build", str(tmp_path))
    figures = json.loads((tmp_path / "benchmarks.json").read_text())["figures"]
    assert {*WORK, *STAGES, "audited run", "migrate: gate", "migrate: lock held"} <= set(figures)
    assert all(name in printed for name in figures)
    assert figures["audited run"]["wall"] > figures["migrate"]["wall"] > 0


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
            {"wall": 1.5, "cpu": 1},
        ],
        "migrate: gate": [{"wall": 2.6, "cpu": 2.0, "more_mb": 65.0}],
        "duckdb": [{"wall": 5.0, "cpu": 9.0}],
    }
    figures = summed(samples)
    assert figures["preflight"]["wall"] == 1.5, "the median"
    assert figures["migrate: gate"]["ratio"] == 0.26
    assert list(missed(figures)) == [
        "migrate: gate: ratio 0.26, aimed at 0.25",
        "migrate: gate took 65 MB more, aimed at 64",
    ]


def test_a_question_that_is_answered_late_is_told() -> None:
    figures = {
        "explore: ask: largest organizations": {"wall": 3.25},
        "explore: ask: rows of every kind": {"wall": 3.0},
    }
    assert list(slow(figures)) == ["explore: largest organizations: 3.25 s, aimed at 3"]
