"""The monitoring as metrics: a file for the textfile collector of Prometheus' node_exporter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from runbook.errors import BadInput
from runbook.files import rename_durably, scratch_file
from runbook.run.window_records import Observation

Samples = Mapping[tuple[tuple[str, str], ...], float]
"""Values by their labels."""


@dataclass(frozen=True)
class Metric:
    """One metric: its name behind `runbook_monitor_`, its kind and text, and its samples."""

    name: str
    kind: Literal["counter", "gauge"]
    text: str
    samples: Samples


def check_metrics_path(path: Path) -> None:
    """Raises BadInput where node_exporter would not read the file, or it cannot be written."""
    if path.suffix != ".prom":
        raise BadInput(f"node_exporter reads only files that end in .prom, not {path}; rename it.")
    if not path.parent.is_dir():
        raise BadInput(f"The folder {path.parent} does not exist; name the collector's folder.")


def write_metrics(path: Path, run: str, series: Sequence[Observation]) -> None:
    """Writes the series so far to `path`, atomically, and readable by everybody: it is no data.

    Raises:
        OSError: it cannot be written.
    """
    with scratch_file(path) as scratch:
        scratch.write_text(metrics(run, series), encoding="utf-8")
        scratch.chmod(0o644)  # node_exporter has an account of its own
        rename_durably(scratch, path)


def metrics(run: str, series: Sequence[Observation]) -> str:
    """The series so far in Prometheus' text format; there must be at least one observation."""
    every = (*_counters(series), *_gauges(series[-1]))
    return "".join(line for metric in every for line in _lines(run, metric))


def _counters(series: Sequence[Observation]) -> Iterator[Metric]:
    counts = {
        "observations": ("Observations so far.", len(series)),
        "violated_observations": (
            "Observations with a violated invariant.",
            sum(o.violated for o in series),
        ),
        "unanswered_observations": (
            "Observations in which a question had no answer.",
            sum(bool(o.unanswered) for o in series),
        ),
        "log_lines": (
            "New log lines that match the pattern.",
            sum(o.log_lines for o in series),
        ),
    }
    for name, (text, count) in counts.items():
        yield Metric(f"{name}_total", "counter", text, {(): float(count)})


def _gauges(last: Observation) -> Iterator[Metric]:
    """What the last observation was."""
    values = {
        "last_observation_timestamp_seconds": (
            "When it was last observed.",
            datetime.fromisoformat(last.at).timestamp(),
        ),
        "ok": ("Whether the last observation found no problem.", float(last.ok)),
        "longest_read_seconds": ("The longest read of the database in it.", last.longest_read),
    }
    if last.health is not None:
        values["healthy"] = ("Whether the last health check passed.", float(last.health.ok))
    for name, (text, value) in values.items():
        yield Metric(name, "gauge", text, {(): value})
    for name, label, text, rows in (
        ("violating_rows", "invariant", "Rows that violate an invariant.", last.violations),
        (
            "rows_without_organization",
            "table",
            "Rows without an organization.",
            last.without_organization,
        ),
    ):
        samples: Samples = {((label, key),): float(count) for key, count in rows.items()}
        yield Metric(name, "gauge", text, samples)


def _lines(run: str, metric: Metric) -> Iterator[str]:
    if not metric.samples:
        return
    name = f"runbook_monitor_{metric.name}"
    yield f"# HELP {name} {metric.text}\n# TYPE {name} {metric.kind}\n"
    for labels, value in metric.samples.items():
        pairs = ",".join(f'{k}="{_escaped(v)}"' for k, v in (("run", run), *labels))
        yield f"{name}{{{pairs}}} {value:.17g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
