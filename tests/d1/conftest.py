"""Databases of real workerd, and a stand-in for Cloudflare's API in front of one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from runbook.errors import TargetError
from runbook.sample.make import make_sample
from runbook.targets.d1.install import OVERRIDE, PINNED, Tool, script_of, tool_at
from runbook.targets.d1.wrangler import Where, Wrangler
from tests.support.d1_apps import load

HERE = Path(__file__).parent
DATABASE_ID = "0f0f0f0f-1111-4222-8333-444444444444"
TOKEN = "secret-token-of-the-tests-0123456789abcdef"
CONFIG = f"""
name = "app"
compatibility_date = "2026-04-01"

[[d1_databases]]
binding = "DB"
database_name = "app-db"
database_id = "{DATABASE_ID}"
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones among these tests are left to `make test-d1`."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.d1_long)


@pytest.fixture(scope="session")
def tool() -> Tool:
    named = os.environ.get(OVERRIDE)
    try:
        return tool_at(script_of(Path(named))) if named else PINNED.tool()
    except TargetError as error:
        pytest.skip(f"D1 cannot be tested here: {error}")


@pytest.fixture(scope="session")
def fresh_state(tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app whose local database exists and is empty; it is copied, to save a call each time."""
    app = tmp_path_factory.mktemp("fresh") / "app"
    (app / "migrations").mkdir(parents=True)
    (app / "wrangler.toml").write_text(CONFIG)
    Wrangler(app / "wrangler.toml", "app-db", Where(local=True), tool=tool).read(["SELECT 1"])
    return app


@pytest.fixture
def app(fresh_state: Path, tmp_path: Path) -> Path:
    """A folder with wrangler.toml, an empty migrations folder and an empty local database."""
    return Path(shutil.copytree(fresh_state, tmp_path / "app"))


@pytest.fixture
def shop(app: Path, tool: Tool, tmp_path: Path) -> Path:
    """An app with a small sample in it."""
    make_sample(tmp_path / "sample.db", users=10, projects=30)
    load(app, tmp_path / "sample.db")
    return app


@pytest.fixture
def wrangler(app: Path, tool: Tool) -> Wrangler:
    return Wrangler(app / "wrangler.toml", "app-db", Where(local=True), tool=tool)


@dataclass
class StandIn:
    """The stand-in: an API address, and workerd behind it answering within milliseconds."""

    url: str

    def read(self, statements: Any) -> list[list[dict[str, Any]]]:
        """Like `Wrangler.read`, without wrangler between."""
        return [each["results"] for each in self.query(";\n".join(statements))]

    def query(self, sql: str) -> list[dict[str, Any]]:
        for attempt in range(3):
            answer = httpx.post(
                f"{self.url}/accounts/a/d1/database/{DATABASE_ID}/query",
                json={"sql": sql},
                timeout=60,
            ).json()
            if answer["success"]:
                break
            message = answer["errors"][0]["message"]
            # What Miniflare says where its engine did not answer at all, on a busy machine.
            if message != "false == true" or attempt == 2:
                raise RuntimeError(message)
        found: list[dict[str, Any]] = answer["result"]
        return found

    def fault(self, action: str, kind: str, match: str = "", times: int = 1) -> None:
        """The next `times` requests for `action` whose body contains `match` go wrong."""
        fault = {"action": action, "kind": kind, "match": match, "times": times}
        httpx.post(f"{self.url}/__faults", json=[fault])

    def requests(self, action: str, match: str = "") -> list[dict[str, str]]:
        """Those that have come."""
        log = httpx.get(f"{self.url}/__log").json()
        return [r for r in log if r["action"] == action and match in r["text"]]


@pytest.fixture
def start_standin(tool: Tool) -> Iterator[Callable[[Path], StandIn]]:
    """Starts the stand-in for an app's local state."""
    running: list[subprocess.Popen[str]] = []

    def start(app: Path) -> StandIn:
        modules = tool.script.parents[2]
        process = subprocess.Popen(
            [
                str(tool.node),
                str(HERE / "standin.mjs"),
                str(modules),
                str(app / ".wrangler" / "state"),
                DATABASE_ID,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        return StandIn(f"http://127.0.0.1:{int(process.stdout.readline())}")

    yield start
    for process in running:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


@pytest.fixture
def standin(app: Path, start_standin: Callable[[Path], StandIn]) -> StandIn:
    return start_standin(app)


@pytest.fixture
def remote(app: Path, tool: Tool, standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> Wrangler:
    """wrangler's own `--remote` client, pointed at the stand-in."""
    monkeypatch.setenv("CLOUDFLARE_API_BASE_URL", standin.url)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "a" * 32)
    return Wrangler(app / "wrangler.toml", "app-db", Where(local=False), tool=tool)


@pytest.fixture
def cloud(shop: Path, standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The database of the app that a module calls its shop, as a remote one."""
    monkeypatch.setenv("CLOUDFLARE_API_BASE_URL", standin.url)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "a" * 32)
    monkeypatch.setattr("runbook.targets.d1.apply.REMOTE_PATIENCE", 1.0)
    return standin
