"""Rows as they are kept in records: typed, short, and rendered last."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from runbook.run.findings import Sample, render_sample, sample_line, schema_sample, words_sample
from runbook.run.json_form import from_json, to_json
from runbook.sqlite.cells import encode
from runbook.sqlite.fields import Field, query_rows, read_row, render_row

VALUES = ("it's, a='b'\n", 1.0, -0.0, None, b"\0\xff", 2**62, "\udcff", "x" * 300)


def rows(query: str, *values: object, limit: int = 10) -> tuple[tuple[Field, ...], ...]:
    with closing(sqlite3.connect(":memory:")) as connection:
        return query_rows(connection, query, *values, limit=limit)


def test_a_query_gives_typed_rows() -> None:
    (row,) = rows("SELECT ? AS a, 2.0 AS b, NULL AS c, x'00ff' AS d -- a comment", "O'Hara")
    assert row == (
        Field("a", "text", "O'Hara", 6),
        Field("b", "real", "2.0"),
        Field("c", "null"),
        Field("d", "blob", "00ff", 2),
    )
    assert render_row(row) == "a='O''Hara', b=2.0, c=NULL, d=x'00ff'"


def test_columns_of_one_name_keep_it() -> None:
    (row,) = rows('SELECT 1 AS id, 2 AS id, 3 AS id, 4 AS "a:1"')
    assert [field.column for field in row] == ["id", "id", "id", "a:1"]


def test_few_rows_are_read() -> None:
    assert len(rows("SELECT value FROM json_each('[1, 2, 3]')", limit=2)) == 2


def test_a_very_long_row_is_cut() -> None:
    names = [f"column_{n}" for n in range(50)]
    row = read_row(names, [encode("y" * 100)] * 50)
    assert 5 < len(row) < 12
    assert row[-1] == Field("", "cut")
    assert render_row(row).endswith(", ...")
    assert len(read_row(names[:1], [encode("y" * 10_000)])) == 1


@pytest.mark.parametrize("value", VALUES)
def test_a_record_keeps_what_it_was_given(value: object) -> None:
    """Through JSON in UTF-8, whatever the value holds."""
    (row,) = (
        rows("SELECT ? AS v", value) if value != "\udcff" else ((Field("v", "text", "\\xff", 1),),)
    )
    sample = Sample(row, "v", row, None, "t")
    text = json.dumps(to_json(sample), ensure_ascii=False).encode()
    assert from_json(Sample, json.loads(text)) == sample
    assert "\n" not in render_row(row)


def test_samples_as_text() -> None:
    key, value = (Field("id", "integer", "1"),), (Field("n", "integer", "2"),)
    shown = render_sample(Sample(key, "n", value, (Field("n", "absent"),)))
    assert (shown.key, shown.before, shown.after) == ("id=1", "2", "no value")
    assert sample_line(Sample(key, before=value, place="t")) == "t id=1: n=2"
    assert sample_line(Sample(key, "n", value, value)) == "id=1: 2 -> 2"
    assert sample_line(words_sample("idx_t")) == "idx_t"
    schema = render_sample(schema_sample("v", None, "CREATE VIEW v AS SELECT 1"))
    assert (schema.key, schema.before, schema.after) == ("v", None, "CREATE VIEW v AS SELECT 1")
