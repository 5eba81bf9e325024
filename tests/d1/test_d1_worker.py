"""The specified TypeScript functions in a real Worker, beside our witnesses and our rollback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runbook.run.folder import Run
from runbook.run.records import VerifyRecord
from runbook.sample.make import make_sample
from runbook.stages.rollback import rollback
from runbook.stages.verify import verify
from runbook.targets.d1.install import Tool
from runbook.targets.d1.wrangler import Where, Wrangler
from tests.support.d1_apps import YES, ask, complete, dump, load

INVARIANT_OF = {
    "projects without organization": "resources_without_organization",
    "orgs missing owner membership": "organizations_without_owner_membership",
    "users with resources but no org": "users_without_organization",
}
"""What the Worker calls an issue, and the invariant that counts the same rows."""


@contextlib.contextmanager
def worker(app: Path, tool: Tool, home: Path) -> Iterator[httpx.Client]:
    """The Worker under `wrangler dev --local`, which has the database to itself meanwhile."""
    shutil.copytree(Path(__file__).parent / "worker", app / "worker", dirs_exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home.mkdir(exist_ok=True)
    options = ["--local", "--ip=127.0.0.1", f"--port={port}", "--inspector-port=0"]
    said = (home / "said.txt").open("w+")
    process = subprocess.Popen(
        [*tool.command, "dev", "worker/index.ts", *options, "--show-interactive-dev-session=false"],
        cwd=app,
        env=Wrangler(app / "wrangler.toml", "app-db", Where(local=True), tool=tool).environment(
            str(home)
        ),
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        start_new_session=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            _wait(client, process, home / "said.txt")
            yield client
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
        said.close()


def _wait(client: httpx.Client, process: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            client.get("/verify")
            return
        except httpx.TransportError:
            alive = process.poll() is None and time.monotonic() < deadline
            assert alive, said.read_text()
            time.sleep(0.1)


def theirs(app: Path, tool: Tool, home: Path) -> dict[str, Any]:
    """What the Worker's verification says."""
    with worker(app, tool, home) as client:
        found: dict[str, Any] = client.get("/verify").json()
    return found


def violations(found: VerifyRecord) -> dict[str, int]:
    """The rows that each of the Worker's questions should name, as all three witnesses count."""
    counts = {i.name: i.violations for i in found.invariants}
    for name in INVARIANT_OF.values():
        assert len(set(counts[name].values())) == 1
    return {issue: counts[name]["sqlite"] for issue, name in INVARIANT_OF.items()}


@pytest.fixture
def migrated(app: Path, tool: Tool, tmp_path: Path) -> Run:
    make_sample(tmp_path / "sample.db", users=40, projects=200)
    load(app, tmp_path / "sample.db")
    shutil.copytree(app, tmp_path / "before")
    return complete(app, tmp_path / "run")


@pytest.mark.slow
def test_verification_agrees(migrated: Run, app: Path, tool: Tool, tmp_path: Path) -> None:
    assert theirs(app, tool, tmp_path / "home") == {"success": True, "issues": []}
    for damage in (
        "UPDATE projects SET organization_id = NULL WHERE rowid % 50 = 0",
        "DELETE FROM organization_memberships WHERE rowid % 9 = 0",
    ):
        ask(app, damage)
        ours = verify(migrated, again=True)
        said = theirs(app, tool, tmp_path / "home")
        assert ours.verdict == "fail"
        assert said["success"] is False
        assert said["issues"] == [f"{n} {what}" for what, n in violations(ours).items() if n]
    assert len(said["issues"]) == 3


@pytest.mark.slow
def test_damage_that_only_we_see(migrated: Run, app: Path, tool: Tool, tmp_path: Path) -> None:
    """The specified checks do not see a row in somebody else's organization."""
    ask(app, "UPDATE projects SET organization_id = (SELECT max(id) FROM organizations)")
    assert theirs(app, tool, tmp_path / "home")["success"] is True
    assert verify(migrated, again=True).verdict == "fail"


@pytest.mark.slow
def test_rollback_agrees(migrated: Run, app: Path, tool: Tool, tmp_path: Path) -> None:
    """Theirs gives back the same rows, but neither the schema nor `updated_at`; ours gives all."""
    other = shutil.copytree(app, tmp_path / "theirs")
    with worker(other, tool, tmp_path / "home") as client:
        assert client.post("/rollback").json() == "rolled back"
    assert rollback(migrated, YES).done
    assert dump(app) == dump(tmp_path / "before")

    columns = [name for (name,) in ask(app, "SELECT name FROM pragma_table_info('projects')")]
    kept = ", ".join(name for name in columns if name != "updated_at")
    for query in (
        f"SELECT {kept} FROM projects ORDER BY rowid",
        "SELECT * FROM users ORDER BY rowid",
        "SELECT * FROM tasks ORDER BY rowid",
        "SELECT name FROM sqlite_schema WHERE name LIKE 'organization%'",
    ):
        assert ask(other, query) == ask(app, query)
    assert ask(other, "SELECT DISTINCT organization_id FROM projects") == [(None,)]
    assert ask(other, "SELECT count(DISTINCT updated_at) FROM projects") == [(1,)]
