"""One call of wrangler: quiet, in a private HOME, without our secrets, and dead when we are."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runbook.errors import TargetError

# What wrangler may see of our environment, for both kinds of use and for `--remote` alone.
_PASSED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
_PASSED_REMOTE = (
    "CLOUDFLARE_API_TOKEN",
    "CLOUDFLARE_ACCOUNT_ID",
    "CLOUDFLARE_API_BASE_URL",
    "CLOUDFLARE_COMPLIANCE_REGION",
    "HTTPS_PROXY",
    "NO_PROXY",
    "NODE_EXTRA_CA_CERTS",
)
_SECRETS = ("CLOUDFLARE_API_TOKEN",)
_QUIET = {
    "WRANGLER_SEND_METRICS": "false",
    "WRANGLER_SEND_ERROR_REPORTS": "false",
    "CLOUDFLARE_CF_FETCH_ENABLED": "false",
    "WRANGLER_HIDE_BANNER": "true",
    "CI": "1",
    "NO_COLOR": "1",
}
# A dead man's switch: when the pipe on descriptor 3 closes, because we finished or were killed,
# wrangler's process group, workerd included, is killed.
_SWITCH = 'exec 3<&0; (cat <&3; kill -KILL 0) >/dev/null 2>&1 & exec "$@" 3<&- </dev/null'


@dataclass(frozen=True)
class Ended:
    """How a call ended; `code` is None where it had to be killed after `seconds`."""

    code: int | None
    stdout: str
    stderr: str
    seconds: float


def run_call(
    command: list[str], folder: Path, environment: Callable[[str], dict[str, str]], timeout: float
) -> Ended:
    """Runs `command` in `folder`, and kills it after `timeout` seconds.

    `environment` makes its environment of the path of a private and empty HOME.

    Raises:
        TargetError: it cannot be started.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="runbook-wrangler-") as home:
        (Path(home) / "quiet.log").symlink_to(os.devnull)
        our_end, their_end = os.pipe()
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _SWITCH, "sh", *command],
                cwd=folder,
                env=environment(home),
                stdin=our_end,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            os.close(their_end)
            raise TargetError(f"wrangler cannot be started ({error.strerror}).") from error
        finally:
            os.close(our_end)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            _kill(process)
            stdout, stderr = process.communicate()
            code = None
        except BaseException:
            _kill(process)
            process.communicate()
            raise
        finally:
            os.close(their_end)
    seconds = time.monotonic() - began
    return Ended(code, _masked(stdout), _masked(stderr), seconds)


def call_environment(home: str, local: bool) -> dict[str, str]:
    """The environment of a call: quiet, with `home` for its own, and no token if local."""
    names = _PASSED if local else _PASSED + _PASSED_REMOTE
    passed = {name: os.environ[name] for name in names if name in os.environ}
    # wrangler copies all that it prints, rows included, to a log file: let it go nowhere.
    private = {"HOME": home, "WRANGLER_LOG_PATH": f"{home}/quiet.log"}
    return {**passed, **_QUIET, **private, "WRANGLER_CACHE_DIR": f"{home}/cache"}


def _masked(output: bytes) -> str:
    return mask(output.decode("utf-8", "replace"), os.environ)


def mask(text: str, environment: Mapping[str, str]) -> str:
    """`text` without the secrets of the environment."""
    for name in _SECRETS:
        secret = environment.get(name)
        if secret:
            text = text.replace(secret, f"({name})")
    return text


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends wrangler and workerd at once, so that nothing is still being written afterwards."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
