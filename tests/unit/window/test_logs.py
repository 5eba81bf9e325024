"""New lines in log files, whatever becomes of the files; and durations."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.errors import BadInput
from runbook.run.window_records import LogPosition
from runbook.window.durations import read_duration
from runbook.window.logs import NewLines, read_new_lines


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text("ERROR old\n")
    return path


def read(log: Path, before: NewLines | None = None, pattern: str = "ERROR") -> NewLines:
    return read_new_lines([str(log)], pattern, before.positions if before else ())


def add(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def test_only_new_lines_count(log: Path) -> None:
    first = read(log)
    assert first.matching == 0
    add(log, "INFO fine\nERROR one\nERROR two\n")
    second = read(log, first)
    assert (second.matching, second.samples) == (2, ("app.log: ERROR one", "app.log: ERROR two"))
    assert read(log, second).matching == 0


def test_a_line_is_read_once_it_is_whole(log: Path) -> None:
    first = read(log)
    add(log, "ERROR hal")
    second = read(log, first)
    assert second.matching == 0
    add(log, "f\n")
    assert read(log, second).samples == ("app.log: ERROR half",)


def test_renamed_and_begun_anew(log: Path) -> None:
    """logrotate's way: the rest of the old file counts, and the new one from its start."""
    first = read(log)
    add(log, "ERROR last of the old\n")
    log.rename(log.with_name("app.log.1"))
    log.write_text("ERROR first of the new\n")
    second = read(log, first)
    assert second.samples == ("app.log: ERROR last of the old", "app.log: ERROR first of the new")
    assert read(log, second).matching == 0


def test_copied_and_emptied(log: Path) -> None:
    first = read(log)
    with log.open("r+") as file:
        file.truncate()
    add(log, "ERROR new\n")  # shorter or longer than before: both are seen
    assert read(log, first).matching == 1


def test_emptied_and_filled_beyond_the_old_length(log: Path) -> None:
    first = read(log)
    with log.open("r+") as file:
        file.truncate()
    add(log, "INFO a line that is longer than all that was there\nERROR new\n")
    assert read(log, first).matching == 1


def test_gone_for_a_moment(log: Path) -> None:
    first = read(log)
    log.rename(log.with_name("app.log.1"))
    second = read(log, first)
    assert second.matching == 0
    log.write_text("ERROR new\n")
    assert read(log, second).matching == 1


def test_a_log_that_comes_later_is_new_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "later.log"
    first = read(log)
    log.write_text("ERROR\n")
    assert read(log, first).matching == 1


def test_lines_without_end_and_wrong_bytes(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbook.window.logs.LONGEST_LINE", 100)
    first = read(log)
    with log.open("ab") as file:
        file.write(b"\xff" * 95 + b"ERROR" + b"x" * 350 + b"\nERROR \xff\n")
    second = read(log, first)
    assert second.matching == 2
    assert read(log, second).matching == 0


def test_very_much_is_read_in_parts(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbook.window.logs.MOST_BYTES", 1000)
    found = read(log)
    add(log, "ERROR\n" * 1000)
    total = 0
    for _ in range(20):
        found = read(log, found)
        total += found.matching
    assert total == 1000


def test_secrets_in_lines_are_masked(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_THING", "classified")
    first = read(log)
    add(log, "ERROR with classified in it\n")
    assert read(log, first).samples == ("app.log: ERROR with *** in it",)


@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "rename", "empty", "look", "half"]), st.integers(0, 3)),
        max_size=12,
    )
)
def test_every_line_is_counted_exactly_once(actions: list[tuple[str, int]]) -> None:
    """Whatever happens between looks, as long as one looks before a file is emptied."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "app.log"
        log.write_text("start\n")
        found, counted, written, pending, rotated = read(log), 0, 0, False, 0

        def look() -> None:
            nonlocal found, counted
            found = read(log, found)
            counted += found.matching

        for action, lines in actions:
            if action == "write":
                add(log, "".join(f"ERROR {i}\n" for i in range(lines)))
                # A half line is ended by what comes next, and its own ERROR is in it.
                written += max(lines - 1, 0) + 1 if pending and lines else lines
                pending = pending and not lines
            elif action == "half" and not pending:
                add(log, "fine ")
                pending = True
            elif action == "rename" and not pending:
                look()
                rotated += 1
                log.rename(log.with_name(f"app.log.{rotated}"))
                log.write_text("")
            elif action == "empty" and not pending:
                look()
                os.truncate(log, 0)
                look()
            elif action == "look":
                look()
        look()
        assert counted == written


def test_positions_are_plain_data(log: Path) -> None:
    position = read(log).positions[0]
    assert isinstance(position, LogPosition)
    assert position.offset == len("ERROR old\n")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("24h", 86_400), ("5m", 300), ("90s", 90), ("1h30m", 5_400), ("0.5h", 1_800),
     ("1 d", 86_400), ("2H", 7_200)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "5 minutes", "0", "24", "45", "1h30", "0.5", "0s", "-5m", "h", "1h x"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BadInput, match="is not a valid duration"):
        read_duration(text)
