"""The file for node_exporter: read back by Prometheus' own parser, written whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runbook.errors import BadInput
from runbook.run.window_records import Answer, Observation
from runbook.window.prometheus import check_metrics_path, metrics, write_metrics

WELL = Observation(at="2026-03-04T05:06:07.500+00:00", seconds=0.1, violations={"a rule": 0})
ILL = Observation(
    at="2026-03-04T05:11:07.500+00:00",
    seconds=0.1,
    violations={"a rule": 3},
    without_organization={'odd "name"\\\n': 2},
    unanswered={"x": "locked"},
    log_lines=4,
    health=Answer(0.1, 500, False),
    longest_read=0.25,
)


def values(text: str) -> dict[tuple[str, str], float]:
    """Every sample by its name and the label beside the run's."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            assert sample.labels.pop("run") == "run-1"
            found[sample.name, "".join(sample.labels.values())] = sample.value
    return found


def test_every_metric_is_what_was_observed() -> None:
    read = values(metrics("run-1", [WELL, ILL]))
    name = "runbook_monitor_"
    assert read == {
        (name + "observations_total", ""): 2,
        (name + "violated_observations_total", ""): 1,
        (name + "unanswered_observations_total", ""): 1,
        (name + "log_lines_total", ""): 4,
        (name + "last_observation_timestamp_seconds", ""): 1772601067.5,
        (name + "ok", ""): 0,
        (name + "violating_rows", "a rule"): 3,
        (name + "rows_without_organization", 'odd "name"\\\n'): 2,
        (name + "healthy", ""): 0,
        (name + "longest_read_seconds", ""): 0.25,
    }


def test_what_was_not_asked_is_left_out() -> None:
    read = values(metrics("run-1", [WELL]))
    assert read["runbook_monitor_ok", ""] == 1
    assert not any("healthy" in name for name, _ in read)


def test_it_is_replaced_whole_and_everybody_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "runbook.prom"
    write_metrics(path, "run-1", [WELL])
    before = path.stat().st_ino
    write_metrics(path, "run-1", [WELL, ILL])
    assert path.stat().st_ino != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["metrics.txt", "nowhere/metrics.prom"])
def test_a_file_that_nobody_would_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        check_metrics_path(tmp_path / name)
