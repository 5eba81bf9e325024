"""A kernel with a person at it, as JupyterLab has one: questions are answered, or interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

from tests.support.notebooks import environment

SECONDS = 120


class Attended:
    """A running kernel."""

    def __init__(self, manager: KernelManager, client: Any) -> None:
        self._manager, self._client = manager, client
        self.questions: list[str] = []

    def run(self, source: str, answer: str | None = None) -> list[dict[str, Any]]:
        """What the cell shows; a question gets the `answer`, or without one an interrupt."""
        shown: list[dict[str, Any]] = []

        def asked(message: dict[str, Any]) -> None:
            self.questions.append(message["content"]["prompt"])
            if answer is None:
                self._manager.interrupt_kernel()
            else:
                self._client.input(answer)

        def sent(message: dict[str, Any]) -> None:
            if message["msg_type"] not in ("status", "execute_input"):
                shown.append({"type": message["msg_type"], **message["content"]})

        self._client.execute_interactive(
            source, allow_stdin=True, stdin_hook=asked, output_hook=sent, timeout=SECONDS
        )
        return shown


@contextlib.contextmanager
def attended(file: Path) -> Iterator[Attended]:
    """A kernel as JupyterLab starts it for the notebook `file`."""
    manager = KernelManager(kernel_name="python3")
    variables = {**environment(), "JPY_SESSION_NAME": str(file), "LOGNAME": "ada"}
    manager.start_kernel(cwd=str(file.parent), env=variables)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SECONDS)
        yield Attended(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
