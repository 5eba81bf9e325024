"""Runs a command of the operator's with a time limit, and keeps its output, secrets masked."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from runbook.plan.plan import Command
from runbook.plan.secrets import Secrets, of_command, of_environment
from runbook.wording import visible

KEPT = 8_192
"""Bytes of output that are kept: a quarter from the beginning, the rest from the end."""

MOST_OUTPUT = 64 * 1024 * 1024
"""Bytes after which a command that does not stop writing is ended."""

GRACE = 2.0
"""Seconds between asking a process to end and ending it."""

_SHOWN, _WIDTH = 10, 200
"""Lines of an output that a person is shown, and characters of each."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Ran:
    """How a command ended: `exit_status` is None where it never began; `problem` is "" if it
    succeeded.

    `output` is standard output and standard error, bounded and masked.
    """

    exit_status: int | None
    seconds: float
    output: str
    problem: str = ""


def run_command(
    command: Command, more: Mapping[str, str] | None = None, secrets: Secrets | None = None
) -> Ran:
    """Runs `command` to its end or its time limit; `more` is added to its environment.

    Hidden in its output are `secrets`, its own arguments that look like secrets, and the values of
    the environment.

    It reads nothing (standard input is empty). At the time limit it is ended together with every
    process that it started in its group; what it leaves running when it ends by itself goes on.
    """
    environment = {**os.environ, **(more or {})}
    hidden = (secrets or Secrets()) | of_command(command) | of_environment(environment)
    began = time.monotonic()
    # A file and not a pipe: a server started in the background inherits it and must not die of it.
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command.shell or list(command.command),
                shell=bool(command.shell),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
            )
        except OSError as error:
            reason = f"could not be started ({error.strerror})"
            return Ran(None, 0.0, "", reason)
        try:
            problem = _wait(process, output, began + command.timeout)
        except BaseException:
            _end_group(process)
            raise
        if problem:
            _end_group(process)
        seconds = round(time.monotonic() - began, 3)
        status = process.returncode
        if problem == _LATE:
            problem = f"did not finish within {command.timeout:g} s and was stopped"
        elif not problem and status:
            how = (
                f"ended with exit status {status}"
                if status > 0
                else f"was killed by signal {-status}"
            )
            problem = how
        return Ran(status, seconds, _kept(output, hidden), problem)


def last_lines(output: str) -> tuple[str, ...]:
    """The last ten lines that say something, each cut at 200 characters.

    `output` is one that was kept, so its secrets are masked already.
    """
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    return tuple(visible(line)[:_WIDTH] for line in lines[-_SHOWN:])


_LATE = "late"


def _wait(process: subprocess.Popen[bytes], output: IO[bytes], until: float) -> str:
    """Waits for the end; otherwise says why it must be brought about."""
    while True:
        left = until - time.monotonic()
        try:
            process.wait(timeout=max(min(left, 0.25), 0.001))
        except subprocess.TimeoutExpired:
            if left <= 0:
                return _LATE
            if os.fstat(output.fileno()).st_size > MOST_OUTPUT:
                return f"wrote more than {MOST_OUTPUT // 1024 // 1024} MB and was stopped"
        else:
            return ""


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and its group: it leads a session of its own, so nothing else is hit."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=GRACE)
    # Also where the leader has ended: its children may have ignored the request.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _kept(output: IO[bytes], secrets: Secrets) -> str:
    """What the command wrote, cut in the middle, without secrets and control characters.

    A secret that a cut would divide is left out whole, so a little more is read on both sides.
    """
    length = output.seek(0, os.SEEK_END)
    output.seek(0)
    more = 4 * secrets.longest
    if length <= KEPT + 2 * more:
        return secrets.hide(_without_controls(output.read()))
    head = _without_controls(output.read(KEPT // 4 + more))
    output.seek(length - (KEPT - KEPT // 4) - more)
    tail = _without_controls(output.read())
    end, begin = KEPT // 4, max(len(tail) - (KEPT - KEPT // 4), 0)
    if secrets.pattern:
        for match in secrets.pattern.finditer(head):
            end = match.start() if match.start() < end < match.end() else end
        for match in secrets.pattern.finditer(tail):
            begin = match.end() if match.start() < begin < match.end() else begin
    cut = f"\n[... {length - KEPT:,} bytes left out ...]\n"
    return (secrets.hide(head[:end]) + cut + secrets.hide(tail[begin:])).strip()


def _without_controls(output: bytes | str) -> str:
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
    return _CONTROL.sub("", _ANSI.sub("", text.replace("\r\n", "\n"))).strip()
