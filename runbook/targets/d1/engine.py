"""D1's engine kept open on one local database, for reading it page by page.

Each call of wrangler takes more than a second before it does anything; the engine that it brings
answers within milliseconds once it runs. It is given the same statements, and its answers are
read by the same code; only reads go this way.
"""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from runbook.errors import TargetError
from runbook.targets.d1.install import SOURCES
from runbook.targets.d1.schema import Read
from runbook.targets.d1.wrangler import Row, Wrangler

_SCRIPT = SOURCES / "engine.mjs"


@contextlib.contextmanager
def open_engine(wrangler: Wrangler) -> Iterator[Read]:
    """Reads the local database that `wrangler` is for, all statements of a call in one transaction.

    Nothing else may have the database open meanwhile. Reading raises a TargetError where the engine
    refuses a statement, or does not answer.
    """
    with (
        tempfile.TemporaryDirectory(prefix="runbook-engine-") as home,
        (Path(home) / "errors").open("w+b") as errors,
    ):
        package = wrangler.tool.script.parent.parent
        process = subprocess.Popen(
            [wrangler.tool.node, _SCRIPT, package, wrangler.state_folder, wrangler.config.local_id],
            env=wrangler.environment(home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield functools.partial(_read, wrangler, process, errors)
        finally:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _read(
    wrangler: Wrangler,
    process: subprocess.Popen[bytes],
    errors: IO[bytes],
    statements: Sequence[str],
) -> list[list[Row]]:
    """The rows of each of the SELECT `statements`."""
    watch = threading.Timer(wrangler.timeout, process.kill)
    watch.start()
    try:
        line = _exchange(process, statements)
    finally:
        watch.cancel()
    if not line.endswith(b"\n"):
        errors.seek(0)
        last = errors.read().decode("utf-8", "replace").strip().splitlines()[-1:]
        raise TargetError(
            f"The engine of the local D1 database {wrangler.config.name} gave no answer "
            f"and ended ({' '.join(last)[:200] or 'it said nothing'}); stop what else "
            "uses it, or see that RUNBOOK_WRANGLER names a wrangler that can open it."
        )
    answer = json.loads(line)
    if "error" in answer:
        raise TargetError(
            f"Reading the D1 database {wrangler.config.name} failed: {answer['error']}."
        )
    rows: list[list[Row]] = answer["rows"]
    return rows


def _exchange(process: subprocess.Popen[bytes], statements: Sequence[str]) -> bytes:
    """Sends one line and receives one; nothing, or only a part, where there is no answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(list(statements)).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return b""
    return process.stdout.readline()
