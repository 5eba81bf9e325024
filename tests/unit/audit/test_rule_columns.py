"""The rules over columns and the rules in SQL make the same of every key and e-mail."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.audit.columns import Alphabet, ColumnFile
from runbook.audit.rule_columns import UserRules, as_keys
from runbook.audit.snapshot import capture
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.script.migration import rule
from runbook.sqlite.cells import cell_sql, provide_functions

AT = "2026-11-22 16:49:00.123"
ENCODINGS = ("UTF-8", "UTF-16le", "UTF-16be")
TYPES = {"text": "TEXT", "integer": "INTEGER", "blob": "BLOB"}
EDGES = (-(2**63), -(2**63) + 1, -(10**18), -10, -9, -1, 0, 1, 9, 10, 10**18, 2**63 - 1)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
keys = st.one_of(
    st.tuples(st.just("text"), st.sets(texts, min_size=1, max_size=8)),
    st.tuples(
        st.just("integer"),
        st.sets(st.sampled_from(EDGES) | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=12),
    ),
    st.tuples(st.just("blob"), st.sets(st.binary(max_size=12), min_size=1, max_size=8)),
)
e_mails = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.floats(allow_nan=False),
    st.binary(max_size=8),
    texts,
    st.builds("{}@{}".format, texts, texts),
    st.text("a@ \0'é\U0001f600", max_size=6),
)


def rules_by_both(
    key_class: str, rows: list[tuple[Any, Any]], encoding: str
) -> tuple[list[tuple[bytes, ...]], list[tuple[bytes, ...]]]:
    """The cells of id, membership id, slug and name for each user: from SQL and from columns."""
    shape = Shape(encoding=encoding, key_type=TYPES[key_class], key_class=key_class)  # type: ignore[arg-type]
    plan = Plan()
    with TemporaryDirectory() as name:
        path = Path(name) / "users.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA encoding = '{encoding}'")
            provide_functions(connection)
            connection.execute(f"CREATE TABLE users (id {TYPES[key_class]}, email)")
            connection.executemany("INSERT INTO users VALUES (?, ?)", rows)
            calls = (
                "organization_id('u.id')",
                "membership_id('u.id')",
                "slug('u.id')",
                "organization_name('u.email')",
            )
            cells = ", ".join(cell_sql(f"({rule(call, plan, shape)})") for call in calls)
            sql = connection.execute(f"SELECT {cells} FROM users AS u ORDER BY rowid").fetchall()
        snapshot = capture(path, Path(name) / "snapshot")
        users = ColumnFile.of(snapshot, "users")
        made = UserRules.read(users, plan, shape, AT)
        columns = [made.organization_ids(), made.membership_ids(), made.slugs(), made.names()]
        return sql, list(zip(*(column.to_pylist() for column in columns), strict=True))


@settings(deadline=None, max_examples=60)
@given(keys, st.lists(e_mails, min_size=12, max_size=12), st.sampled_from(ENCODINGS))
def test_columns_and_sql_make_the_same(
    keys: tuple[str, set[Any]], emails: list[Any], encoding: str
) -> None:
    key_class, values = keys
    rows = list(zip(values, emails, strict=False))
    sql, columns = rules_by_both(key_class, rows, encoding)
    assert columns == sql


@settings(deadline=None, max_examples=100)
@given(keys)
def test_slugs_are_unique_fit_for_a_url_and_sort_with_the_key(keys: tuple[str, set[Any]]) -> None:
    key_class, values = keys
    shape = Shape(key_type=TYPES[key_class], key_class=key_class)  # type: ignore[arg-type]
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE users (id {TYPES[key_class]})")
        connection.executemany("INSERT INTO users VALUES (?)", [(value,) for value in values])
        slug = rule("slug('u.id')", Plan(), shape)
        slugs = [s for (s,) in connection.execute(f"SELECT {slug} FROM users AS u ORDER BY u.id")]
    assert len(slugs) == len(values)
    assert all(re.fullmatch(r"personal-[0-9a-f]*", each) for each in slugs)
    assert all(one < other for one, other in pairwise(slugs))


def test_the_smallest_and_the_largest_integer_have_their_slugs() -> None:
    rows = [(value, None) for value in EDGES]
    sql, columns = rules_by_both("integer", rows, "UTF-8")
    assert columns == sql
    assert columns[0][2] == b"tpersonal-0" + b"0" * 19
    assert columns[-1][2] == b"tpersonal-1" + b"9223372036854775807"


def test_in_utf_16_an_at_sign_astride_two_characters_is_none() -> None:
    emails = ["\u40aa\u0100b@x", "\u0100\u4000@x", "\u40aa\u0100", "\u4000\u0040"]
    for encoding in ENCODINGS:
        sql, columns = rules_by_both("integer", list(enumerate(emails)), encoding)
        assert columns == sql


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_owners_in_another_class_are_read_as_keys(encoding: str) -> None:
    alphabet = Alphabet(encoding)
    cells = [alphabet.cell(value).as_py() for value in ("7", 7, b"7", None, "")]
    array = pa.array(cells, pa.large_binary())
    as_integers = [alphabet.cell(value).as_py() for value in (7, 7, b"7", None)]
    assert as_keys(array, alphabet, "integer").to_pylist()[:4] == as_integers
    as_texts = [alphabet.cell(value).as_py() for value in ("7", "7", b"7", None, "")]
    assert as_keys(array, alphabet, "text").to_pylist() == as_texts
    assert as_keys(array, alphabet, "blob").to_pylist() == cells


def test_a_key_of_another_class_gets_nothing() -> None:
    with TemporaryDirectory() as name:
        path = Path(name) / "users.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE users (id, email)")
            connection.execute("INSERT INTO users VALUES (1, 'a@x'), ('1', 'b@x'), (NULL, 'c@x')")
        snapshot = capture(path, Path(name) / "snapshot")
        users = ColumnFile.of(snapshot, "users")
        made = UserRules.read(users, Plan(), Shape(key_class="integer"), AT)
        assert made.organization_ids().to_pylist() == [b"torg-1", None, None]
        assert made.slugs().to_pylist()[1:] == [None, None]
