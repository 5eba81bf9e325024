"""A real JupyterLab server on the loopback, and its notebooks in a real browser."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.support.notebooks import environment

START = 60.0
"""Seconds in which the server must answer."""

SETTINGS = {
    # Every cell stays in the page, also those that are scrolled out of sight.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


class Lab:
    """A running server; `address` opens notebooks of its folder."""

    def __init__(self, port: int, token: str) -> None:
        self._base, self._token = f"http://127.0.0.1:{port}", token

    def address(self, path: str) -> str:
        """The address of a notebook in a workspace where nothing else is open."""
        return f"{self._base}/lab/tree/{path}?token={self._token}&reset"

    def answers(self) -> bool:
        """Whether the server is up."""
        request = urllib.request.Request(
            f"{self._base}/api/status", headers={"Authorization": f"token {self._token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


@contextlib.contextmanager
def jupyterlab(root: Path, home: Path) -> Iterator[Lab]:
    """JupyterLab on the folder `root`, with nothing of the account's own set-up, kept in `home`."""
    settings = home / "settings"
    for name, values in SETTINGS.items():
        path = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    folders = {
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": settings,
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        "IPYTHONDIR": home / "ipython",
    }
    variables = {
        **environment(),
        **{name: str(folder) for name, folder in folders.items()},
        "JUPYTER_TOKEN": token,
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", "--ServerApp.use_redirect_file=False"),
        *([] if os.geteuid() else ["--allow-root"]),
    ]
    log = home / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=root, env=variables, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            lab, until = Lab(port, token), time.monotonic() + START
            while not lab.answers():
                assert server.poll() is None, log.read_text()[-4000:]
                assert time.monotonic() < until, "JupyterLab does not answer: " + log.read_text()
                time.sleep(0.1)
            yield lab
        finally:
            server.terminate()  # and with it, its kernels
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def without_outputs(folder: Path) -> None:
    """Takes the stored outputs away, so that only what is run now can be seen."""
    for path in folder.glob("*.ipynb"):
        notebook = json.loads(path.read_text())
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell |= {"outputs": [], "execution_count": None}
        path.write_text(json.dumps(notebook))


class Notebook:
    """One notebook open in the browser, as a person works with it: by its keys."""

    def __init__(self, page: Page, name: str, *, state: str = "Idle") -> None:
        self.page = page
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        bar = page.locator("#jp-main-statusbar")
        expect(bar).to_contain_text(f"{name}.ipynb", timeout=60_000)
        expect(self.panel.locator(".jp-Cell").first).to_be_visible(timeout=60_000)
        expect(bar).to_contain_text(f"| {state}", timeout=60_000)

    def interrupt(self) -> None:
        """The button with the square: interrupts the kernel."""
        self.panel.locator("[data-command='notebook:interrupt-kernel']").first.click()
        expect(self.page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60_000)

    @property
    def cells(self) -> Locator:
        """Every cell, texts included."""
        return self.panel.locator(".jp-Notebook-cell")

    def codes(self) -> list[Locator]:
        """The cells with code in them."""
        code_cells = self.panel.locator(".jp-Notebook-cell.jp-CodeCell")
        cells = [code_cells.nth(n) for n in range(code_cells.count())]
        return [c for c in cells if c.locator(".cm-content").inner_text().strip()]

    def press(self, cell: Locator) -> None:
        """Shift+Enter in the cell."""
        cell.locator(".jp-InputArea-prompt").click()
        self.page.keyboard.press("Shift+Enter")

    def run(self, cell: Locator, count: int, timeout: float = 60_000) -> None:
        """Runs the cell and waits until it carries its execution count."""
        self.press(cell)
        expect(cell.locator(".jp-InputPrompt")).to_have_text(f"[{count}]:", timeout=timeout)

    def run_all(self, after: int = 0) -> None:
        """Runs the notebook cell by cell; none may raise an error.

        `after` is the number of executions before, as a kernel counts them.
        """
        for number, cell in enumerate(self.codes(), start=after + 1):
            self.run(cell, number)
            expect(self.errors(cell), self.text(cell)).to_have_count(0)

    def errors(self, cell: Locator) -> Locator:
        """What the cell shows of an error."""
        return cell.locator("[data-mime-type='application/vnd.jupyter.stderr']")

    def text(self, cell: Locator) -> str:
        """All that the cell shows."""
        return cell.locator(".jp-OutputArea-output").all_inner_texts().__str__()

    def answer(self, cell: Locator, text: str, picture: Path | None = None) -> None:
        """Runs the cell, which asks, and types `text` for an answer."""
        self.press(cell)
        field = cell.locator("input.jp-Stdin-input")
        expect(field).to_be_visible(timeout=60_000)
        if picture is not None:
            self.picture(picture)
        field.fill(text)
        field.press("Enter")

    def reply(self, cell: Locator, prompt: str, text: str) -> None:
        """Types `text` for the answer to the next question of a cell that runs already."""
        asked = cell.locator(".jp-Stdin", has_text=prompt)
        field = asked.locator("input.jp-Stdin-input")
        expect(field).to_be_visible(timeout=60_000)
        field.fill(text)
        field.press("Enter")

    def set(self, cell: Locator, source: str) -> None:
        """Types `source` over what stands in the cell."""
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(source)

    def picture(self, path: Path) -> None:
        """The whole notebook as a picture, however long."""
        path.parent.mkdir(parents=True, exist_ok=True)
        size = self.page.viewport_size
        assert size is not None
        inner = self.panel.locator(".jp-WindowedPanel-outer")
        # Some more than the cells, or the page would still have to be scrolled.
        height = sum(
            self.cells.nth(n).evaluate("e => e.offsetHeight + 12")
            for n in range(self.cells.count())
        )
        self.page.set_viewport_size({"width": size["width"], "height": int(height) + 160})
        inner.evaluate("e => e.scrollTo(0, 0)")
        self.page.screenshot(path=path)
        self.page.set_viewport_size(size)
