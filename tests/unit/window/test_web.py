"""Asking web addresses, and whether anybody writes."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runbook.plan.plan import Health, Maintenance
from runbook.targets.open_target import open_target
from runbook.window.quiet import wait_until_quiet
from runbook.window.web import ask, ask_until_expected, ask_until_gone


class Scripted(BaseHTTPRequestHandler):
    """Answers with each of `answers` in turn, and with the last one from then on."""

    answers: list[tuple[int, bytes, float]]

    def do_GET(self) -> None:
        status, body, pause = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        if status in (301, 302):
            self.send_header("Location", "http://elsewhere.invalid/")
        self.end_headers()
        with contextlib.suppress(OSError):
            for byte in body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(pause)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def served(*answers: tuple[int, bytes] | tuple[int, bytes, float]) -> Iterator[str]:
    scripted = [(a[0], a[1], a[2] if len(a) > 2 else 0.0) for a in answers]
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (Scripted,), {"answers": scripted})
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_it_is_asked_until_it_is_well_and_every_answer_is_kept() -> None:
    with served((500, b""), (200, b"starting"), (200, b"all well")) as url:
        found = ask_until_expected(Health(url, text="well", timeout=60, every=0.05))
    assert not found.problem
    assert [(a.status, a.ok) for a in found.series] == [(500, False), (200, False), (200, True)]
    assert [a.note for a in found.series] == [
        "500 instead of 200",
        "without the expected text",
        "",
    ]
    assert found.series[0].at < found.series[1].at < found.series[2].at


def test_it_gives_up_in_time() -> None:
    with served((200, b"")) as url:
        found = ask_until_expected(Maintenance(url, timeout=0.4, every=0.1))
    assert found.problem.endswith("within 0.4 s (last: 200 instead of 503)")
    assert len(found.series) <= 5


def test_a_redirect_is_not_followed() -> None:
    with served((302, b"")) as url:
        assert ask(Health(url)).note == "302 instead of 200"


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert ask(Health(url)).note == "no connection"


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert ask(Health(url), limit=0.3).note == "no answer within 0.3 s"


def test_an_answer_that_drips_is_cut_off() -> None:
    with served((200, b"x" * 200, 0.05)) as url:
        answer = ask(Health(url, text="never"), limit=0.4)
    assert answer.note == "not complete within 0.4 s"


HOSTILE = (
    b"Zqmarker is no status line\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nZqmarker without a colon\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: Zqmarker\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nZqmarker",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZqmarker\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nZqmarker",
    b"HTTP/1.1 999 Zqmarker\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 301 Moved\r\nLocation: http://Zqmarker/\r\nContent-Length: 0\r\n\r\n",
    b"",
    b"\x00\xff\x1b[31mZqmarker",
)


@pytest.mark.parametrize("raw", HOSTILE)
def test_nothing_of_a_hostile_answer_is_quoted(raw: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reply() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(raw)

        thread = threading.Thread(target=reply)
        thread.start()
        answer = ask(Health(f"http://127.0.0.1:{server.getsockname()[1]}/", text="well"), limit=5)
        thread.join()
    assert not answer.ok
    assert answer.note
    assert "zqmarker" not in answer.note.casefold()


def test_gone_means_that_something_else_answers_without_an_error() -> None:
    with served((503, b""), (502, b""), (200, b"")) as url:
        found = ask_until_gone(Maintenance(url, timeout=60, every=0.05))
    assert [a.ok for a in found.series] == [False, False, True]
    assert [a.note for a in found.series] == [
        "still in maintenance",
        "502 instead of 503",
        "",
    ]


def test_passwords_in_addresses_are_not_told() -> None:
    page = Health("http://me:pw@127.0.0.1:1/", timeout=0.1, every=0.1)
    found = ask_until_expected(page)
    assert "http://127.0.0.1:1/ did not answer" in found.problem


# -- quiet -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_writer_is_seen_and_not_disturbed(sample: Path, mode: str) -> None:
    with contextlib.closing(sqlite3.connect(sample)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    stop, failures, writes = threading.Event(), [], []

    def write() -> None:
        with contextlib.closing(
            sqlite3.connect(sample, isolation_level=None, timeout=1)
        ) as connection:
            while not stop.wait(0.02):
                try:
                    connection.execute("UPDATE users SET id = id WHERE rowid = 1")
                    writes.append(1)
                except sqlite3.Error as error:
                    failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        found = wait_until_quiet(open_target(str(sample)).reading, 0.5)
    finally:
        stop.set()
        thread.join()
    assert not found.quiet
    assert found.commits >= 3
    assert found.waited >= 2.0
    assert not failures
    assert len(writes) > found.commits


def test_quiet_is_quiet(sample: Path) -> None:
    found = wait_until_quiet(open_target(str(sample)).reading, 0.3)
    assert found.quiet
    assert found.commits == 0
    assert found.seconds >= 0.3


def test_it_may_become_quiet(sample: Path) -> None:
    def write() -> None:
        with contextlib.closing(sqlite3.connect(sample, isolation_level=None)) as connection:
            for _ in range(5):
                connection.execute("UPDATE users SET id = id WHERE rowid = 1")
                time.sleep(0.05)

    thread = threading.Thread(target=write)
    thread.start()
    found = wait_until_quiet(open_target(str(sample)).reading, 0.4)
    thread.join()
    assert found.quiet
    assert found.commits >= 1
    assert found.waited > found.seconds
