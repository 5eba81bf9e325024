"""An answer as text for a terminal: an aligned table, comma-separated values, or JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from decimal import Decimal
from typing import Any

from runbook.notebook.explore_answer import frame
from runbook.notebook.explore_columns import unique_names


def rendered(table: Any, form: str) -> str:
    """The Arrow table as `table`, `csv` or `json`, with a line break at the end.

    In CSV, NULL is nothing between the commas and an empty text is `""`. In JSON each row is an
    object on a line of its own. Blobs are hexadecimal digits in both.
    """
    if form == "csv":
        return _as_csv(table)
    if form == "json":
        return _as_json(table)
    return f"{frame(table)!r}\n"


def _as_csv(table: Any) -> str:
    lines = [",".join(map(_quoted, table.column_names))]
    columns = [column.to_pylist() for column in table.columns]
    lines += [",".join(map(_csv_value, row)) for row in zip(*columns, strict=True)]
    return "".join(f"{line}\n" for line in lines)


def _csv_value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex().upper()
    return (_quoted(value) or '""') if isinstance(value, str) else _quoted(str(value))


def _quoted(text: str) -> str:
    """The text as the standard library's writer of CSV quotes it."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([text, ""])
    return line.getvalue()[:-1]


def _as_json(table: Any) -> str:
    names = unique_names(table.column_names)
    columns = [column.to_pylist() for column in table.columns]
    lines = [
        json.dumps(dict(zip(names, map(_json_value, row), strict=True)), ensure_ascii=False)
        for row in zip(*columns, strict=True)
    ]
    return "".join(f"{line}\n" for line in lines)


def _json_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _json_value(item) for key, item in value.items()}
    return float(value) if isinstance(value, Decimal) else str(value)
