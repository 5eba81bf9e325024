"""D1's engine kept open on one local database, for reading it page by page.

Each call of wrangler takes more than a second before it does anything; the engine that it brings
answers within milliseconds once it runs. It is given the same statements, and its answers are
read by the same code; only reads go this way.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from runbook.errors import TargetError
from runbook.targets.d1.install import SOURCES
from runbook.targets.d1.wrangler import Row, Wrangler

_SCRIPT = SOURCES / "engine.mjs"


class Engine:
    """The engine, open while the context is; nothing else may have the database open meanwhile."""

    def __init__(self, wrangler: Wrangler) -> None:
        """Takes the local database that `wrangler` is for."""
        self._wrangler = wrangler
        self._home: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Engine:
        tool = self._wrangler.tool
        self._home = tempfile.TemporaryDirectory(prefix="runbook-engine-")
        self._errors = (Path(self._home.name) / "errors").open("w+b")
        package = tool.script.parent.parent
        state = self._wrangler.state_folder
        self._process = subprocess.Popen(
            [tool.node, _SCRIPT, package, state, self._wrangler.config.local_id],
            env=self._wrangler.environment(self._home.name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process, home = self._process, self._home
        assert process is not None
        assert home is not None
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._errors.close()
        home.cleanup()

    def read(self, statements: Sequence[str]) -> list[list[Row]]:
        """The rows of each of the SELECT `statements`, all run in one transaction.

        Raises:
            TargetError: the engine refused a statement, or does not answer.
        """
        process = self._process
        assert process is not None
        watch = threading.Timer(self._wrangler.timeout, process.kill)
        watch.start()
        try:
            answer = _exchange(process.stdin, process.stdout, statements)
        finally:
            watch.cancel()
        if answer is None:
            self._errors.seek(0)
            last = self._errors.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            raise TargetError(
                f"The engine of the local D1 database {self._wrangler.config.name} gave no answer "
                f"and ended ({' '.join(last)[:200] or 'it said nothing'}); stop what else "
                "uses it, or see that RUNBOOK_WRANGLER names a wrangler that can open it."
            )
        if "error" in answer:
            raise TargetError(
                f"Reading the D1 database {self._wrangler.config.name} failed: {answer['error']}."
            )
        rows: list[list[Row]] = answer["rows"]
        return rows


def _exchange(
    to: IO[bytes] | None, back: IO[bytes] | None, statements: Sequence[str]
) -> dict[str, Any] | None:
    """Sends one line and receives one; None where there is no answer."""
    assert to is not None
    assert back is not None
    try:
        to.write(json.dumps(list(statements)).encode() + b"\n")
        to.flush()
    except BrokenPipeError:
        return None
    line = back.readline()
    if not line.endswith(b"\n"):
        return None
    answer: dict[str, Any] = json.loads(line)
    return answer
