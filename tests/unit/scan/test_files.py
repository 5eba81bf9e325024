"""Which files are read, what the result says, and that nothing in a file makes a scan fail."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook.errors import BadInput
from runbook.scan import Finding, ResourceNames, ScanResult, Skipped, as_text, scan

OLD = "db.get('SELECT * FROM projects WHERE owner_id = ?')\n"


def write(path: Path, text: str | bytes = OLD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def files(result: ScanResult, root: Path) -> list[str]:
    return [str(Path(finding.file).relative_to(root)) for finding in result.findings]


def test_a_folder_is_read_in_order_and_nothing_in_it_changes(tmp_path):
    write(tmp_path / "b.ts", OLD + "\n" + OLD)
    write(tmp_path / "a" / "z.js")
    write(tmp_path / "readme.md")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.*")}
    result = scan(tmp_path)
    assert files(result, tmp_path) == ["a/z.js", "b.ts", "b.ts"]
    assert [finding.line for finding in result.findings] == [1, 1, 3]
    assert (result.files_read, result.files_skipped) == (2, ())
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.*")}
    assert after == before


@pytest.mark.parametrize(
    "folder",
    [".git", "node_modules", "vendor", "dist", "build", ".venv", "__pycache__", "a/node_modules/b"],
)
def test_foreign_and_generated_folders_are_left_out(tmp_path, folder):
    write(tmp_path / folder / "x.js")
    write(tmp_path / "app.min.js")
    assert scan(tmp_path).files_read == 0
    write(tmp_path / "own" / "x.js")
    assert files(scan(tmp_path), tmp_path) == ["own/x.js"]


def test_links_are_not_followed(tmp_path):
    outside = write(tmp_path / "outside" / "x.js")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "file.js").symlink_to(outside)
    (inside / "folder").symlink_to(outside.parent)
    (inside / "loop").symlink_to(inside)
    assert scan(inside).files_read == 0
    assert scan(tmp_path / "inside" / "folder").files_read == 1  # given by name, it is meant


def test_what_cannot_be_read_is_said(tmp_path):
    write(tmp_path / "big.js", OLD + "//" + "x" * 2_000_000)
    write(tmp_path / "binary.js", OLD.encode() + b"\0")
    write(tmp_path / "latin.js", OLD.encode() + b"// \xe9")
    write(tmp_path / "old.py", "print 'x'\n" + OLD)
    os.mkfifo(tmp_path / "pipe.js")
    result = scan(tmp_path)
    assert (result.files_read, result.findings) == (0, ())
    assert [(Path(s.file).name, s.reason) for s in result.files_skipped] == [
        ("big.js", "larger than 2 MB"),
        ("binary.js", "not text"),
        ("latin.js", "not UTF-8 text"),
        ("old.py", "not Python 3 that can be parsed"),
        ("pipe.js", "not a regular file"),
    ]


def test_line_ends_and_byte_order_marks_do_not_move_lines(tmp_path):
    write(tmp_path / "a.js", b"\xef\xbb\xbf//\r\n" + OLD.encode())
    write(tmp_path / "b.py", b"#\r\n" + OLD.encode())
    assert [finding.line for finding in scan(tmp_path).findings] == [2, 2]


def test_a_path_that_cannot_be_scanned(tmp_path):
    with pytest.raises(BadInput, match=r"There is no file or folder .*nowhere"):
        scan(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"notes\.txt is in no language that is read"):
        scan(write(tmp_path / "notes.txt"))


def test_other_resources(tmp_path):
    write(tmp_path / "a.ts", "db.all('SELECT * FROM \"my notes\" WHERE author = ?');\n" + OLD)
    result = scan(tmp_path, [ResourceNames("my notes", "author")])
    assert [(finding.line, finding.table) for finding in result.findings] == [(1, "my notes")]


def test_the_result_as_text(tmp_path):
    path = write(tmp_path / "a.js", OLD + "knex('projects').where('owner_id', id).update({})\n")
    write(tmp_path / "b.js", b"\0")
    blocks = as_text(scan(tmp_path)).split("\n\n")
    assert blocks[0].startswith(
        f"{path}:1  certain  SELECT * FROM projects WHERE owner_id = ?\n"
        "  use: SELECT * FROM projects WHERE organization_id IN (SELECT "
    )
    assert blocks[1].startswith(f"{path}:2  likely  knex('projects').where('owner_id', id).update")
    assert "\n  note: compare organization_id here" in blocks[1]
    assert blocks[2] == f"{tmp_path / 'b.js'}  not read: not text"
    assert (
        blocks[3] == "2 queries to change (1 certain, 1 likely) in 1 of 1 file read; 1 not read\n"
    )


def test_text_for_a_terminal_holds_no_control_characters():
    finding = Finding("a\x1b[2J.js", 1, "sql", "select", "certain", "projects", "S\x07", "T", "")
    text = as_text(ScanResult(1, (Skipped("b\n\x1b", "not text"),), (finding,)))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert r"a\x1b[2J.js:1" in text


PIECES = st.sampled_from([
    "'", '"', "`", "${", "#{", "{$", "}", "{", "(", ")", "[", "]", "\\", "\n", " ", "/", "//", "/*",
    "*/", "#", "--", "<<~SQL\n",
    "SQL\n", "<<<SQL\n", "<?php ", "?>", "%q(", "%", "=begin\n", "+",
    ".", ",", ";", "::", "->", "=>", "...", "f'", '"""', "$x", "?", ":a", "%s", "\ue000",
    "é", "\x85",
    "SELECT * FROM projects WHERE owner_id = ", "INSERT INTO projects (id, owner_id) VALUES (?, ?)",
    "INSERT INTO projects (owner_id) SELECT * FROM projects", "DELETE FROM projects WHERE ",
    "projects", "owner_id", "Project", ".where(",
    ".objects.filter(owner=", "prisma.project.findMany({ where: {",
    "ownerId", "knex('projects')", "eq(projects.ownerId, ", ".from(projects)", "Where", "AND", "1",
])  # fmt: skip


@pytest.mark.parametrize("suffix", [".ts", ".jsx", ".py", ".sql", ".go", ".rb", ".php"])
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pieces=st.lists(PIECES | st.text(max_size=5), max_size=40))
def test_no_text_makes_a_scan_fail(tmp_path, suffix, pieces):
    text = ("<?php " if suffix == ".php" else "") + "".join(pieces)
    path = write(tmp_path / f"x{suffix}", text.encode(errors="replace"))
    result = scan(path)
    assert result.files_read + len(result.files_skipped) == 1
    lines = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    assert all(1 <= finding.line <= lines for finding in result.findings)


def seconds_of_scan(path, text):
    """Processor time; the work is done in C (tree-sitter, `re`), where no steps can be counted."""
    write(path, text)
    start = time.process_time()
    scan(path)
    return time.process_time() - start


def growth(path, unit):
    """How many times longer than an eighth of it a whole repetition takes."""
    eighth, whole = ("<?php " + unit * (size // len(unit)) for size in (3_750, 30_000))
    return seconds_of_scan(path, whole) / seconds_of_scan(path, eighth)


@pytest.mark.parametrize("suffix", [".ts", ".py", ".sql", ".go", ".rb", ".php"])
@pytest.mark.parametrize(
    "unit",
    ["'", '"', "`", "`${", '"#{', '"{$a["', "(", "{", "[", "/", "<", "a.", "a(", "<<A\n", "<<<A\n",
     "SELECT * FROM projects WHERE owner_id = (", "'projects' + ", "%q(", "a: b, ", "/*", "$x"],
)  # fmt: skip
def test_hostile_repetition_takes_no_long_time(tmp_path, suffix, unit):
    """Nothing is read again and again: eight times as much of the worst takes eight times as long.

    It would be 64 times if it were. A machine that is busy makes one measurement wrong, not three.
    """
    path = tmp_path / f"x{suffix}"
    scan(write(path, "<?php "))  # loads the grammar
    assert any(growth(path, unit) < 24 for _ in range(3))
