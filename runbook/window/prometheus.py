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
    last = series[-1]
    at = datetime.fromisoformat(last.at).timestamp()
    asked = last.health is not None

    def each(counts: Mapping[str, int], label: str) -> Samples:
        return {((label, name),): float(rows) for name, rows in counts.items()}

    def one(value: float) -> Samples:
        return {(): float(value)}

    parts = [
        Metric("observations_total", "counter", "Observations so far.", one(len(series))),
        Metric(
            "violated_observations_total",
            "counter",
            "Observations with a violated invariant.",
            one(sum(o.violated for o in series)),
        ),
        Metric(
            "unanswered_observations_total",
            "counter",
            "Observations in which a question had no answer.",
            one(sum(bool(o.unanswered) for o in series)),
        ),
        Metric(
            "log_lines_total",
            "counter",
            "New log lines that match the pattern.",
            one(sum(o.log_lines for o in series)),
        ),
        Metric(
            "last_observation_timestamp_seconds", "gauge", "When it was last observed.", one(at)
        ),
        Metric("ok", "gauge", "Whether nothing was amiss in the last observation.", one(last.ok)),
        Metric(
            "violating_rows",
            "gauge",
            "Rows that violate an invariant, in the last observation.",
            each(last.violations, "invariant"),
        ),
        Metric(
            "rows_without_organization",
            "gauge",
            "Rows without an organization, in the last observation.",
            each(last.without_organization, "table"),
        ),
        Metric(
            "healthy",
            "gauge",
            "Whether the application answered as it should.",
            one(bool(last.health and last.health.ok)) if asked else {},
        ),
        Metric(
            "longest_read_seconds",
            "gauge",
            "The longest read of the database, in the last observation.",
            one(last.longest_read),
        ),
    ]
    return "".join(line for metric in parts for line in _lines(run, metric))


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
