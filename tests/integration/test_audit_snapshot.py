"""Snapshots as Parquet, and the digests of their tables."""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from runbook.audit import digest, parquet, readers
from runbook.audit.digest import Digester, digest_table
from runbook.audit.duckdb_session import open_duckdb, read_parquet
from runbook.audit.parquet import rowid_column, write_snapshot
from runbook.audit.snapshot import Capture, capture, digests, find_unchanged
from runbook.audit.witness_duckdb import diff_snapshots
from runbook.errors import BadInput, TargetError
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.sqlite.cells import decode, encode
from tests.support.plain_digest import plain_digest

ODD = ["", "a.b", 'q"q', "__ROWID__", "select", "Ünï", "e\u0301", "c0", "*", "a\nb"]


def make(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def many(table: str, rows: int) -> str:
    return (
        f"WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {rows})"
        f" INSERT INTO {table} SELECT i, 'value ' || i FROM n"
    )


def test_the_file_holds_every_value_under_its_own_name(tmp_path: Path) -> None:
    names = ", ".join('"' + name.replace('"', '""') + '"' for name in ODD)
    database = make(tmp_path / "a.db", f'CREATE TABLE "../odd *[x]?" ({names})')
    row = ["", None, 1, 1.0, b"\0", "a\0b", -0.0, 2**63 - 1, "é", "e\u0301"]
    with closing(sqlite3.connect(database)) as connection:
        marks = ", ".join("?" for _ in ODD)
        connection.execute(f'INSERT INTO "../odd *[x]?" (rowid, {names}) VALUES (-5, {marks})', row)
        connection.commit()
    snapshot = write_snapshot(database, tmp_path / "out")
    (table,) = snapshot.tables
    file = tmp_path / "out" / table.file
    assert (table.file, table.rows, table.rowid) == ("0001-odd-x.parquet", 1, True)
    assert table.rowid_column == "___rowid__"
    assert (table.bytes, table.columns) == (file.stat().st_size, tuple(ODD))
    assert table.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    content = pq.read_table(file)
    assert content.column_names == ["___rowid__", *ODD]
    rowid, *cells = (column[0].as_py() for column in content.columns)
    assert (rowid, [repr(decode(cell)) for cell in cells]) == (-5, [repr(value) for value in row])
    captured = Capture(tmp_path / "out", snapshot)
    assert diff_snapshots(captured, captured)[0].identical
    assert len(digest_table(file, ODD)) == 64
    assert [each.name for each in (tmp_path / "out").iterdir()] == [table.file]


def test_rowid_column_never_clashes() -> None:
    assert rowid_column(["id"]) == "__rowid__"
    assert rowid_column(["__RowId__", "___rowid__"]) == "____rowid__"


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    database = make(tmp_path / "a.db", "CREATE TABLE t (a, b)")
    (table,) = write_snapshot(database, tmp_path / "out").tables
    content = pq.read_table(tmp_path / "out" / table.file)
    assert (content.num_rows, content.column_names) == (0, ["__rowid__", "a", "b"])
    nothing = hashlib.sha256(b"").digest()
    column = hashlib.sha256(nothing + nothing).digest()
    expected = hashlib.sha256(b"1;0;1:a" + column).hexdigest()
    assert digest_table(tmp_path / "out" / table.file, ["a"]) == expected


@pytest.mark.parametrize("tail", ["", "WITHOUT ROWID"])
def test_many_batches_by_several_readers_keep_order_and_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: str
) -> None:
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 100)
    monkeypatch.setattr(parquet, "_FEW_BYTES", 0)
    monkeypatch.setattr(readers, "_ONE_READER_BELOW", 0)
    create = f"CREATE TABLE t (id INTEGER PRIMARY KEY, v) {tail}"
    # Rowids with gaps, negative ones, and a number of rows that fills the last batch exactly.
    database = make(tmp_path / "a.db", create, many("t", 2200), "DELETE FROM t WHERE id % 11 = 3")
    make(database, "UPDATE t SET id = -id * 7 WHERE id < 50")
    seen: list[tuple[str, int, int, str]] = []

    def progress(*step: object) -> None:
        seen.append(step)  # type: ignore[arg-type]

    (table,) = write_snapshot(database, tmp_path / "out", progress=progress).tables
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT id, v FROM t ORDER BY id").fetchall()
    content = pq.read_table(tmp_path / "out" / table.file).select(["id", "v"]).to_pydict()
    read = [(decode(a), decode(b)) for a, b in zip(content["id"], content["v"], strict=True)]
    assert read == rows
    assert table.rows == 2000
    assert seen[-1] == ("Snapshot of t", 2000, 2000, "rows")
    assert [done for _, done, *_ in seen] == list(range(100, 2001, 100))


def test_all_tables_come_from_one_state_while_others_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 500)
    monkeypatch.setattr(parquet, "_FEW_BYTES", 0)
    monkeypatch.setattr(readers, "_ONE_READER_BELOW", 0)
    database = make(
        tmp_path / "a.db",
        "PRAGMA journal_mode = WAL",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE b (id INTEGER PRIMARY KEY, v)",
        many("a", 5000),
        many("b", 5000),
    )
    # A writer of this process would share the locks that closing a file drops: use another.
    script = (
        "import sqlite3, sys, time\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n"
        "for n in range(10**6):\n"
        "    c.execute('BEGIN IMMEDIATE')\n"
        "    for t in 'ab': c.execute(f'UPDATE {t} SET v = ?', (n,))\n"
        "    c.execute('COMMIT')\n"
        "    if n == 1: print(flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(database)], stdout=subprocess.PIPE
    ) as writer:
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            for attempt in range(3):
                folder = tmp_path / f"out{attempt}"
                snapshot = write_snapshot(database, folder)
                values = {
                    value
                    for table in snapshot.tables
                    for value in pq.read_table(folder / table.file)["v"].to_pylist()
                }
                assert len(values) == 1
        finally:
            writer.kill()


def test_what_cannot_be_read_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(TargetError, match=r"a\.db"):
        write_snapshot(tmp_path / "a.db", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(TargetError, match="missing"):
        write_snapshot(tmp_path / "missing.db", tmp_path / "out")
    assert not (tmp_path / "missing.db").exists()


def test_a_wrong_number_of_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = make(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", many("t", 10))
    monkeypatch.setattr(parquet, "_count", lambda connection, table: 11)
    with pytest.raises(TargetError, match="10 rows where SQLite counts 11"):
        write_snapshot(database, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_immutable_reads_a_backup_without_leaving_a_trace(tmp_path: Path) -> None:
    folder = tmp_path / "backup % #?"
    folder.mkdir()
    database = make(folder / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", many("t", 10))
    folder.chmod(0o500)
    try:
        snapshot = write_snapshot(database, tmp_path / "out", immutable=True)
        assert [each.name for each in folder.iterdir()] == ["a.db"]
    finally:
        folder.chmod(0o700)
    assert snapshot.tables[0].rows == 10


def table_file(folder: Path, *statements: str) -> Path:
    folder.mkdir(parents=True)
    database = make(folder / "a.db", "CREATE TABLE t (a, b)", *statements)
    return folder / write_snapshot(database, folder).tables[0].file


def test_digest_ignores_row_order_and_rowids_but_nothing_else(tmp_path: Path) -> None:
    folders = (tmp_path / str(n) for n in range(100))

    def digest(rows: str, columns: tuple[str, ...] = ("a", "b")) -> str:
        return digest_table(table_file(next(folders), f"INSERT INTO t VALUES {rows}"), columns)

    different = (
        "(1, 2), (3, 4)",
        "(1, 4), (3, 2)",  # a column shuffled
        "(2, 1), (4, 3)",
        "(1, 2), (3, 4), (3, 4)",
        "(1, 2), (1, 2), (3, 4)",
        "('ab', 'c'), ('', '')",
        "('a', 'bc'), ('', '')",
        "('t', ''), ('', '')",
        "('', 't'), ('', '')",
        "(NULL, NULL)",
    )
    seen = [digest(rows) for rows in different]
    assert len(set(seen)) == len(seen)
    assert digest("(3, 4), (1, 2)") == seen[0]
    assert digest("(1, 2), (3, 4)", ("b", "a")) != seen[0]


def test_digest_is_what_its_definition_says(tmp_path: Path) -> None:
    file = table_file(tmp_path / "x", "INSERT INTO t VALUES ('é', NULL), (1.5, x'00')")

    def column(lengths: bytes, cells: bytes) -> bytes:
        parts = (hashlib.sha256(part).digest() for part in (lengths, cells))
        return hashlib.sha256(b"".join(parts)).digest()

    a = column(b"\3\0\0\0\4\0\0\0", "tér1.5".encode())
    b = column(b"\1\0\0\0\3\0\0\0", b"nb00")
    expected = hashlib.sha256(b"2;2;1:a" + a + b"1:b" + b).hexdigest()
    assert digest_table(file, ["a", "b"]) == expected == plain_digest(file, ["a", "b"])


KEYS = {
    "text": "id TEXT PRIMARY KEY",
    "integer": "id INTEGER PRIMARY KEY",
    "two columns": "id, c, PRIMARY KEY (c, id)",
    "none": "id",
    "long": "id PRIMARY KEY",
}


@pytest.mark.parametrize("many_reads", [False, True])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
@pytest.mark.parametrize("key", KEYS)
def test_digest_is_the_same_from_another_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, encoding: str, many_reads: bool
) -> None:
    """Keys that tie, NULL keys, long cells, and columns that are read in several stretches."""
    if many_reads:
        monkeypatch.setattr(digest, "_SMALL", -1)
        monkeypatch.setattr(digest, "_ROWS_AT_ONCE", 64)
    rng = random.Random(f"{key} {encoding}")
    head, tail = KEYS[key].split(", PRIMARY")[0], KEYS[key].partition(", PRIMARY")[2]
    columns = f"{head}{'' if ', c' in head else ', c'}, d, e{tail and ', PRIMARY' + tail}"
    database = make(
        tmp_path / "a.db", f"PRAGMA encoding = '{encoding}'", f"CREATE TABLE t ({columns})"
    )
    texts = ["", "a", "ab", "b" * 127, "b" * 128, "c" * 199, "c" * 198 + "d", None, 7, 1.5, b"\0"]
    with closing(sqlite3.connect(database)) as connection:
        for number in range(200):
            id_: object = number if key == "integer" else rng.choice(texts)
            if key in ("text", "long"):
                id_ = None if number % 5 == 0 else f"{'x' * (number % 180)}{rng.random()}"
            c = rng.random() if key == "two columns" else rng.choice(texts)
            row = (id_, c, rng.choice(texts), rng.choice(texts))
            connection.execute("INSERT INTO t VALUES (?, ?, ?, ?)", row)
        connection.commit()
    (table,) = write_snapshot(database, tmp_path / "out").tables
    file = tmp_path / "out" / table.file
    cells = {"d": (encode("ab", encoding), b"<time>"), "e": (encode(7, encoding), b"<time>")}
    digester = Digester(file, table.key)
    for wanted in (table.columns, table.columns[1:], ("e", "d"), table.columns[::-1]):
        for replaced in ({}, {n: c for n, c in cells.items() if n in wanted}):
            expected = plain_digest(file, wanted, table.key, replaced)
            assert digester.digest(wanted, replaced).table == expected


def test_columns_that_did_not_change_need_no_second_digest(tmp_path: Path) -> None:
    """What is known of before is used, and only where it is the same, in the same order."""
    create = "CREATE TABLE t (id TEXT PRIMARY KEY, a, b)"
    rows = "INSERT INTO t VALUES ('y', 1, 'one'), ('x', 2, 'two'), ('z', 3, 'three')"
    before = capture(make(tmp_path / "before.db", create, rows), tmp_path / "before")
    was = digests(before, Plan(), Shape())
    changes = {
        "a cell": ("UPDATE t SET a = 9 WHERE id = 'z'", {"id", "b"}),
        "two rows": ("UPDATE t SET id = CASE id WHEN 'x' THEN 'y' ELSE 'x' END || id", None),
        "another column": ("ALTER TABLE t ADD COLUMN c DEFAULT 0", {"id", "a", "b"}),
        "a row more": ("INSERT INTO t VALUES ('w', 1, 'one')", None),
    }
    for number, (sql, known) in enumerate(changes.values()):
        database = make(tmp_path / f"{number}.db", create, rows, sql)
        after = capture(database, tmp_path / str(number))
        unchanged = find_unchanged(before, was, after)
        assert not unchanged.tables
        assert set(unchanged.columns["t"].columns if unchanged.columns else ()) == (known or set())
        assert digests(after, Plan(), Shape(), unchanged=unchanged) == digests(
            after, Plan(), Shape()
        )


def test_digest_replaces_one_exact_cell(tmp_path: Path) -> None:
    files = [
        table_file(tmp_path / when, f"INSERT INTO t VALUES (1, '{when}'), (2, 'old')")
        for when in ("monday", "friday")
    ]
    mark = b"run's time"
    replaced = [
        digest_table(file, ["a", "b"], replace={"b": (f"t{file.parent.name}".encode(), mark)})
        for file in files
    ]
    assert replaced[0] == replaced[1]
    assert replaced[0] != digest_table(files[0], ["a", "b"])
    elsewhere = digest_table(files[0], ["a", "b"], replace={"a": (b"tmonday", mark)})
    assert elsewhere == digest_table(files[0], ["a", "b"])
    with pytest.raises(BadInput, match="'z'"):
        digest_table(files[0], ["z"])


def test_duckdb_reads_exactly_the_file_named_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "it's [a] run*?"
    file = table_file(folder, "INSERT INTO t VALUES (1, 2)")
    decoy = tmp_path / "it's a runxy"
    shutil.copytree(folder, decoy)
    with open_duckdb(tmp_path) as connection:
        setting = "current_setting('autoinstall_known_extensions')"
        sql = f"SELECT count(*), {setting} FROM {read_parquet(file)}"
        assert connection.execute(sql).fetchone() == (1, False)
        assert len(list(tmp_path.glob(".duckdb-*"))) == 1
    assert list(tmp_path.glob(".duckdb-*")) == []


def test_rows_that_do_not_lie_side_by_side_are_joined(tmp_path: Path) -> None:
    """As many rows as before, of which some moved: by their rowids, as a full join finds them."""
    create = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)"
    before = capture(make(tmp_path / "before.db", create, many("t", 5000)), tmp_path / "before")
    changes = {
        "UPDATE t SET v = 'x' WHERE id = 4999": (0, 0, (("v", 1),)),
        "UPDATE t SET id = 9000 WHERE id = 1": (1, 1, ()),
        "UPDATE t SET id = -id WHERE id = 5000": (1, 1, ()),
        "UPDATE t SET id = id - 10000": (5000, 5000, ()),
    }
    for number, (sql, expected) in enumerate(changes.items()):
        name = f"after{number}"
        after = capture(
            make(tmp_path / f"{name}.db", create, many("t", 5000), sql), tmp_path / name
        )
        (found,) = diff_snapshots(before, after)
        assert (found.added, found.removed, found.changed) == expected
