"""Which databases make up a fleet, and how many of them a number or a percentage means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runbook.errors import BadInput
from runbook.fleet.databases import list_databases, read_names
from runbook.fleet.shares import Share, fewer_of, read_share, read_waves
from tests.support.fleets import make_tenant, make_tenants


def test_a_pattern_is_sorted_and_leaves_side_files_and_folders_out(tmp_path: Path) -> None:
    make_tenants(tmp_path, 2)
    for name in ("t01.db-wal", "t01.db-shm", "t02.db-journal"):
        (tmp_path / name).touch()
    (tmp_path / "t03.db").mkdir()
    entries = list_databases([str(tmp_path / "t*")])
    assert [Path(e.database).name for e in entries] == ["t01.db", "t02.db"]
    assert all(e.problem == "" for e in entries)


def test_a_list_has_comments_paths_beside_it_and_d1(tmp_path: Path) -> None:
    make_tenant(tmp_path / "a b.db")
    path = tmp_path / "list.txt"
    path.write_text("# tenants\n\na b.db\nd1:shop\n", encoding="utf-8")
    entries = list_databases([], [path])
    assert [e.name for e in entries] == ["a b.db", "d1:shop"]
    assert entries[0].database == str(tmp_path / "a b.db")
    assert read_names(path) == {str(tmp_path / "a b.db"), "d1:shop"}


def test_a_second_entry_for_a_file_is_named_whatever_its_path(tmp_path: Path) -> None:
    first = make_tenant(tmp_path / "t1.db")
    (tmp_path / "by_link.db").symlink_to(first)
    os.link(first, tmp_path / "by_name.db")
    names = [str(first), str(tmp_path / "." / "t1.db"), str(tmp_path / "by_link.db")]
    entries = list_databases([*names, str(tmp_path / "by_name.db"), "d1:x", "d1:x"])
    assert [bool(e.problem) for e in entries] == [False, True, True, True, False, True]
    assert entries[2].problem == f"It is the same database as {first}; list it once."


def test_what_is_missing_is_named_and_stops_no_other(tmp_path: Path) -> None:
    first = make_tenant(tmp_path / "t1.db")
    missing, good = list_databases([str(tmp_path / "gone.db"), str(first)])
    assert "cannot be read" in missing.problem
    assert good.problem == ""


def test_a_path_that_is_no_utf_8_is_named_and_stops_no_other(tmp_path: Path) -> None:
    good = make_tenant(tmp_path / "good.db")
    bad = tmp_path / os.fsdecode(b"\xff.db")
    bad.write_bytes(good.read_bytes())
    first, second = list_databases([str(tmp_path / "*.db")])
    assert (first.database, first.problem) == (str(good), "")
    assert second.name == second.database == f"{tmp_path}/\\udcff.db"
    assert second.problem == (
        f"The path {second.name} is not UTF-8, which fleet.db needs; rename the file."
    )
    assert second.name.encode()  # SQLite and JSON take it


def test_a_list_as_other_editors_write_it(tmp_path: Path) -> None:
    name = "a\u2028b\u0085.db"
    make_tenant(tmp_path / name)
    (tmp_path / "circle.db").symlink_to("circle.db")
    path = tmp_path / "list.txt"
    path.write_bytes(f"\ufeff{name}\r\ncircle.db\r\n".encode())
    good, circle = list_databases([], [path])
    assert (good.name, good.problem) == (name, "")
    assert "cannot be read" in circle.problem
    path.write_bytes(b"a\0b.db")
    with pytest.raises(BadInput, match="NUL"):
        list_databases([], [path])


@pytest.mark.parametrize("names", [[], ["nothing/*.db"]])
def test_no_database_at_all_is_bad_input(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        list_databases(names)
    with pytest.raises(BadInput, match="list"):
        list_databases([], [tmp_path / "no list"])


@pytest.mark.parametrize(
    ("text", "of_200"), [("10", 10), ("500", 200), ("1%", 2), ("0.3%", 1), ("100%", 200), ("0", 0)]
)
def test_a_share_is_a_number_or_a_percentage(text: str, of_200: int) -> None:
    assert read_share(text, "--waves").of(200) == of_200


@pytest.mark.parametrize("text", ["", "ten", "-1", "1.5", "101%", "1,,2"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no number of databases"):
        read_waves(text)


def test_no_part_of_a_database_is_allowed_to_fail() -> None:
    assert fewer_of(Share(1, percent=True), 150) == 1
    assert fewer_of(Share(1, percent=True), 99) == 0
