"""Sealed records, the lock of a run folder, and the log."""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook.errors import NotAllowedNow, RunFolderError
from runbook.files import read_sealed, write_sealed
from runbook.run.lock import held
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


def hold(folder: Path, seconds: float, ready: Any) -> None:
    with held(folder, "stage"):
        ready.set()
        time.sleep(seconds)


@pytest.mark.parametrize(("wait", "granted"), [(0.0, False), (0.2, False), (20.0, True)])
def test_a_lock_is_waited_for_as_long_as_told(wait: float, granted: bool, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=hold, args=(tmp_path, 1.0, ready))
    other.start()
    assert ready.wait(30)
    said: list[str] = []
    try:
        if granted:
            with held(tmp_path, "stage", wait=wait, say=said.append):
                pass
        else:
            with (
                pytest.raises(NotAllowedNow, match="Another process is working in"),
                held(tmp_path, "stage", wait=wait, say=said.append),
            ):
                pytest.fail("two at once")
    finally:
        other.join()
    assert len(said) == (1 if wait else 0)


def test_two_locks_do_not_hinder_each_other(tmp_path: Path) -> None:
    with held(tmp_path, "run"), held(tmp_path, "stage"):
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
