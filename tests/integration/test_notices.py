"""Notices: who is told what, through apprise's own code; and none stops, delays or betrays anything."""

from __future__ import annotations

import dataclasses
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runbook.errors import Blocked
from runbook.plan.plan import EVENTS, Notify
from runbook.run.folder import Run
from runbook.run.notices import event_of
from runbook.stages import preflight
from tests.support.databases import connected
from tests.support.runs import begin
from tests.support.windows import Direct, Window, running_site

pytest.importorskip("apprise")


@dataclass
class Listener:
    """A server that keeps what it is told; it holds its answer until `may_answer` is set."""

    url: str
    told_of: list[dict[str, str]] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)
    status: int = 200

    @property
    def titles(self) -> list[str]:
        return [each["title"] for each in self.told_of]


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            listener.told_of.append(
                json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            )
            listener.may_answer.wait()
            listener.answered.set()
            self.send_response(listener.status)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        address = f"json://ann:hunter-two@127.0.0.1:{server.server_port}/"
        listener = Listener(address)
        listener.may_answer.set()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("RUNBOOK_NOTIFY", address)
        yield listener
        listener.may_answer.set()
        server.shutdown()


@pytest.fixture
def run(sample: Path, tmp_path: Path) -> Run:
    run = begin(sample, tmp_path / "run")
    told = Notify(("RUNBOOK_NOTIFY",), timeout=5.0)
    run.settle(plan=dataclasses.replace(run.info.plan, notify=told))
    return run


def log_of(run: Run) -> list[dict[str, str]]:
    return [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]


def test_a_blocked_run_is_told_of_and_its_address_is_in_no_record(
    run: Run, listener: Listener
) -> None:
    with connected(Path(run.info.database)) as database:
        database.execute("UPDATE projects SET owner_id = 'ghost' WHERE rowid = 1")
    with pytest.raises(Blocked):
        preflight.preflight(run)
    assert listener.titles == ["sample.db: blocked"]
    assert "ghost" not in str(listener.told_of)
    for path in run.folder.rglob("*"):
        if path.is_file():
            assert b"hunter-two" not in path.read_bytes(), path


LINES = [
    ("blocked", "preflight", "failed", {"type": "Blocked"}),
    ("failed", "migrate", "failed", {"type": "NotProven"}),
    ("failed", "verify", "failed", {}),
    ("failed", "window", "failed", {"step": "deploy"}),
    ("waiting", "approval", "waits", {}),
    ("shut", "window", "done", {"step": "maintenance_on"}),
    ("opened", "window", "done", {"step": "maintenance_off"}),
    ("migrated", "migrate", "finished", {}),
    ("rolled back", "rollback", "finished", {}),
    ("violated", "monitor", "violated", {}),
    (None, "window", "done", {"step": "maintenance_on", "again": True}),
    (None, "window", "done", {"step": "deploy"}),
    (None, "migrate", "started", {}),
    (None, "notice", "failed", {}),
]


@pytest.mark.parametrize(("event", "stage", "word", "details"), LINES)
def test_what_is_told_of(
    event: str | None, stage: str, word: str, details: dict[str, object]
) -> None:
    assert event_of(stage, word, details) == event


def test_every_event_of_a_plan_is_told_of() -> None:
    assert {line[0] for line in LINES} - {None} == set(EVENTS)


def test_a_notice_that_hangs_is_given_up(run: Run, listener: Listener) -> None:
    quick = dataclasses.replace(run.info.plan.notify, timeout=0.2)
    run.settle(plan=dataclasses.replace(run.info.plan, notify=quick))
    listener.may_answer.clear()
    run.log("migrate", "finished")
    assert log_of(run)[-1]["note"] == ("migrated: an address in RUNBOOK_NOTIFY: no answer in time")
    assert not listener.answered.is_set()  # it came while the listener still held its answer
    listener.may_answer.set()
    assert listener.answered.wait(60)


@pytest.mark.parametrize(
    ("addresses", "problem"),
    [
        ("json://127.0.0.1:1/", "it was not delivered"),
        ("nonsense", "it is no address that apprise knows"),
        ("", "the environment variable RUNBOOK_NOTIFY holds no address"),
    ],
)
def test_a_notice_that_fails_is_logged_and_stops_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, addresses: str, problem: str
) -> None:
    monkeypatch.setenv("RUNBOOK_NOTIFY", addresses)
    run.log("migrate", "finished")
    assert problem in log_of(run)[-1]["note"]


def test_only_what_the_plan_names_is_told_of(run: Run, listener: Listener) -> None:
    few = dataclasses.replace(run.info.plan.notify, events=("failed",))
    run.settle(plan=dataclasses.replace(run.info.plan, notify=few))
    run.log("migrate", "finished")
    run.log("verify", "failed")
    assert listener.titles == ["sample.db: failed"]


def test_a_window_is_told_of_in_its_order_and_each_thing_once(
    listener: Listener, tmp_path: Path
) -> None:
    with running_site(tmp_path / "site") as site:
        window = Window.of(site, site.settings() | {"notify": {"variables": ["RUNBOOK_NOTIFY"]}})
        window.go(Direct())
    assert listener.titles == ["app.db: shut", "app.db: migrated", "app.db: opened"]
