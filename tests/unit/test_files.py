"""Sealed records, the lock of a run folder, and the log."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook import files
from runbook.errors import NotAllowedNow, RunFolderError
from runbook.files import (
    append_line,
    create_private,
    publish,
    read_sealed,
    rename_durably,
    scratch_file,
    sweep,
    write_durably,
    write_sealed,
)
from runbook.run.lock import hold_lock
from tests.support.paths import ROOT
from tests.support.runs import begin

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.text().filter(lambda key: key != "sha256"), JSON, max_size=4)
SLOW_DISK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@SLOW_DISK
@given(data=RECORDS, at=st.integers(0), bit=st.integers(0, 7))
def test_every_flipped_bit_is_noticed(
    data: dict[str, Any], at: int, bit: int, tmp_path: Path
) -> None:
    path = tmp_path / "record.json"
    write_sealed(path, data)
    assert read_sealed(path) == data
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(RunFolderError, match=r"record\.json"):
        read_sealed(path)


@SLOW_DISK
@given(data=RECORDS, keep=st.integers(0))
def test_every_torn_record_is_noticed(data: dict[str, Any], keep: int, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_sealed(path, data)
    content = path.read_bytes()
    path.write_bytes(content[: keep % len(content)])
    with pytest.raises(RunFolderError, match=r"record\.json"):
        read_sealed(path)


@pytest.mark.parametrize("text", ['{"a": 1}', '{"a": 1, "sha256": ""}', '{"sha256": null}', "[]"])
def test_a_record_without_its_checksum_is_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(RunFolderError):
        read_sealed(path)


HOLD = """
import sys, pathlib
from runbook.run.lock import hold_lock
with hold_lock(pathlib.Path(sys.argv[1]), "stage"):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(("wait", "granted"), [(0.0, False), (0.2, False), (60.0, True)])
def test_a_lock_is_waited_for_as_long_as_told(wait: float, granted: bool, tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    lines: list[str] = []

    def echo(line: str) -> None:
        lines.append(line)
        if granted:
            other.stdin.close()

    try:
        if granted:
            with hold_lock(tmp_path, "stage", wait=wait, echo=echo):
                pass
        else:
            with (
                pytest.raises(NotAllowedNow, match="Another process is working in"),
                hold_lock(tmp_path, "stage", wait=wait, echo=echo),
            ):
                pytest.fail("two at once")
    finally:
        other.stdin.close()
        other.wait()
        other.stdout.close()
    assert len(lines) == (1 if wait else 0)


def test_two_locks_do_not_hinder_each_other(tmp_path: Path) -> None:
    with hold_lock(tmp_path, "run"), hold_lock(tmp_path, "stage"):
        pass


def test_a_torn_line_of_the_log_stays_alone(sample: Path, tmp_path: Path) -> None:
    run = begin(sample, tmp_path / "run")
    log = run.folder / "log.jsonl"
    run.log("preflight", "one")
    with log.open("ab") as file:
        file.write(b'{"at": "2026-')
    run.log("preflight", "two", note="\u00fc")
    first, torn, last = log.read_text().splitlines()
    assert json.loads(first)["event"] == "one"
    assert torn == '{"at": "2026-'
    assert json.loads(last) | {"at": ""} == {
        "at": "",
        "stage": "preflight",
        "event": "two",
        "note": "\u00fc",
    }


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_lock_is_not_reentrant_and_its_file_is_private_and_stays(tmp_path: Path) -> None:
    with hold_lock(tmp_path, "stage"):
        assert mode(tmp_path / ".stage.lock") == 0o600
        with (
            pytest.raises(NotAllowedNow, match=re.escape(str(tmp_path))),
            hold_lock(tmp_path, "stage", wait=0.1, echo=lambda line: None),
        ):
            pytest.fail("two at once")
    inode = (tmp_path / ".stage.lock").stat().st_ino
    with hold_lock(tmp_path, "stage"):
        assert (tmp_path / ".stage.lock").stat().st_ino == inode


def test_a_lock_does_not_bring_a_folder_back(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="No such file"), hold_lock(tmp_path / "gone", "run"):
        pytest.fail("there is no such folder")
    assert not (tmp_path / "gone").exists()


def test_files_are_private(tmp_path: Path) -> None:
    create_private(tmp_path / "a")
    write_durably(tmp_path / "b", b"1")
    append_line(tmp_path / "c", b"1")
    assert {mode(tmp_path / name) for name in "abc"} == {0o600}
    with pytest.raises(FileExistsError):
        create_private(tmp_path / "a")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record"
    write_durably(path, b"old")
    monkeypatch.setattr(os, "fsync", _no_space)
    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _no_space(handle: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("links", [True, False])
def test_publishing_replaces_nothing(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", _not_permitted)
    source, path = tmp_path / "source", tmp_path / "path"
    source.write_bytes(b"new")
    publish(source, path)
    assert path.read_bytes() == b"new"
    source.write_bytes(b"newer")
    path.unlink()
    path.write_bytes(b"other")
    with pytest.raises(FileExistsError):
        publish(source, path)
    assert path.read_bytes() == b"other"


def _not_permitted(source: Path, path: Path) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_a_rename_is_durable_in_the_right_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, path = tmp_path / "source", tmp_path / "path"
    source.write_bytes(b"new")
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(files, "sync_file", lambda f: synced.append((f.name, path.exists())))
    monkeypatch.setattr(files, "sync_folder", lambda f: synced.append((f.name, path.exists())))
    rename_durably(source, path)
    assert synced == [("source", False), (tmp_path.name, True)]


def test_sweeping_takes_what_a_kill_left_and_nothing_that_is_being_written(tmp_path: Path) -> None:
    left = tmp_path / ".record.json.abcdefgh.tmp"
    left.write_text("{")
    with scratch_file(tmp_path / "record.json") as scratch:
        sweep(tmp_path)
        assert scratch.exists()
        assert not left.exists()


def test_a_scratch_file_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = fcntl.flock, []

    def sweep_first(handle: int, operation: int) -> None:
        if not swept:
            swept.extend(tmp_path.iterdir())
            swept[0].unlink()  # as another process would, just now
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    write_durably(tmp_path / "record.json", b"whole")
    assert len(swept) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
