"""Tables as people read them."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from runbook.notebook import tables
from runbook.notebook.table import MOST_ROWS, shown, table
from tests.support.report_factory import migrated


def test_numbers_are_grouped_and_to_the_right() -> None:
    made = table(("table", "rows", "seconds"), [("projects", 1234567, 0.5), ("users", None, 2.0)])
    assert repr(made).splitlines() == [
        "table          rows  seconds",
        "projects  1,234,567    0.500",
        "users                  2.000",
    ]
    assert made["rows"].sum() == 1234567, "still numbers, to be filtered and added up"
    assert ">1,234,567</td>" in made._repr_html_()
    assert made._repr_html_().count("text-align:right") == 6


def test_a_duration_has_no_needless_decimals() -> None:
    record = dataclasses.replace(migrated(), locked_seconds=12.0, gate_seconds=185.0)
    lines = repr(tables.migration(record)).splitlines()
    assert lines[-2:] == [
        "proof took                 3 min 05 s",
        "write lock held            12.0 s",
    ]


def test_a_table_without_rows_says_so_also_when_it_was_filtered() -> None:
    made = table(("a",), [(1,)], nothing="No hazards were found.")
    assert "1" in made._repr_html_()
    assert made[made["a"] > 1]._repr_html_() == "<p><em>No hazards were found.</em></p>"
    assert repr(table(("a",), [])) == "nothing found"


def test_values_are_escaped_and_unseen_characters_spelled_out() -> None:
    made = table(("<b>",), [("<script>alert(1)</script>",), ("a\u202eb\udc80",)])
    html = made._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "a\\u202eb\\udc80" in html
    html.encode()


def test_very_many_rows_are_cut_and_counted() -> None:
    made = table(("n",), [(n,) for n in range(MOST_ROWS + 1500)])
    assert made._repr_html_().count("<tr>") == MOST_ROWS + 1
    assert "and 1,500 more rows" in made._repr_html_()
    assert repr(made).endswith("and 1,500 more rows")
    assert repr(table(("n",), [(n,) for n in range(MOST_ROWS + 1)])).endswith("and 1 more row")


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "yes"), (False, "NO"), (pd.NA, ""), (float("nan"), ""), (1000, "1,000"), ("x", "x")],
)
def test_single_values(value: object, text: str) -> None:
    assert shown(value) == text
    assert shown(table(("a",), [(value,), (value,)]).iloc[0, 0]) == text
