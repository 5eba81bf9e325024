"""Kernels for notebooks: Jupyter's own client over processes that are forked, not started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from nbclient.util import run_sync

from runbook.files import private
from runbook.headless.fork_server import fork_kernel

KERNEL = "python3"
"""The name that executed notebooks carry; JupyterLab has a kernel of that name, too."""

_PATIENCE = 0.2
"""Seconds after which a kernel that has not answered is asked once more."""

_END_SECONDS = 5.0
"""How long a kernel that was killed is waited for."""


class ForkedKernel(LocalProvisioner):
    """A kernel's process, as Jupyter's client wants to see it."""

    output: Path
    """The file that gets what the kernel prints past its notebook."""

    forked: ForkServerProcess | None = None

    @property
    def has_process(self) -> bool:
        """Whether one was started and not waited for."""
        return self.forked is not None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Forks a kernel that reads the connection file which the manager has written."""
        assert self.parent is not None
        with private(), self.output.open("ab"):  # created here, so that it is the operator's alone
            self.forked = fork_kernel(self.parent.connection_file, self.output)
        self.pid = self.forked.pid
        self.pgid = None  # the kernel makes a group of its own, in its own time
        return self.connection_info

    async def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self.forked.exitcode if self.forked is not None else 0

    async def wait(self) -> int | None:
        """The exit code, once there is one."""
        # A forked process's end is known to the fork server alone: there is no event to await.
        code = await self.poll()
        while code is None:
            await asyncio.sleep(0.01)
            code = await self.poll()
        self.forked = None
        return code

    async def send_signal(self, signum: int) -> None:
        """To the kernel and what it has started; to one that is gone: nothing."""
        if self.forked is None or self.pid is None or await self.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            # Before it has a group of its own, the kernel has no children either.
            own = os.getpgid(self.pid) == self.pid
            (os.killpg if own else os.kill)(self.pid, signum)

    async def kill(self, restart: bool = False) -> None:
        """At once."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """Asks it to end."""
        await self.send_signal(signal.SIGTERM)


class PromptClient(AsyncKernelClient):
    """A client that begins as soon as its kernel answers.

    Jupyter's own goes on to wait until the kernel has been silent for a fifth of a second.
    """

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Asks until something is received on both channels, and returns at once.

        What comes on the channel of outputs shows that it is subscribed to, so that no output of
        the first cell is lost. Answers left over belong to no cell, and nbclient passes them by.

        Raises:
            TimeoutError: nothing was received for `timeout` seconds.
            RuntimeError: the kernel has died.
        """
        async with asyncio.timeout(timeout):
            for receive in (self.get_shell_msg, self.get_iopub_msg):
                while not await self._answered(receive):
                    if not await self.is_alive():
                        raise RuntimeError("The kernel died before it answered.")

    async def _answered(self, receive: Callable[..., Awaitable[Any]]) -> bool:
        self.kernel_info()
        try:
            await receive(timeout=_PATIENCE)
        except Empty:
            return False
        return True


class Kernels:
    """Kernels that start while something else runs."""

    def __init__(self, log: Path) -> None:
        self._waiting: list[Any] = []
        self._log = log
        self._started = 0
        self._sockets = tempfile.TemporaryDirectory(prefix="runbook-")

    def start(self) -> None:
        """Starts one more kernel and does not wait until it answers."""
        # Sockets in a folder that no other account can enter, rather than TCP ports.
        self._started += 1
        place = Path(self._sockets.name) / str(self._started)
        manager = AsyncKernelManager(kernel_name=KERNEL, transport="ipc", ip=str(place))
        forked = ForkedKernel(
            kernel_id=manager.kernel_id, kernel_spec=manager.kernel_spec, parent=manager
        )
        forked.output = self._log
        manager.provisioner = forked
        manager.client_factory = PromptClient
        run_sync(manager.start_kernel)()
        self._waiting.append(manager)

    def take(self) -> Any:
        """A kernel that was started earlier, or one started now."""
        if not self._waiting:
            self.start()
        return self._waiting.pop(0)

    def close(self) -> None:
        """Ends the kernels that were not taken."""
        while self._waiting:
            self.end(self._waiting.pop())
        self._sockets.cleanup()

    @staticmethod
    def end(manager: Any) -> None:
        """Ends a kernel; one that is dead already is no error."""
        with contextlib.suppress(Exception):
            run_sync(_end)(manager)


async def _end(manager: Any) -> None:
    # Jupyter's own looks only ten times a second whether a kernel has ended.
    await manager.provisioner.kill()
    with contextlib.suppress(TimeoutError):  # of one that waits for a disk
        await asyncio.wait_for(manager.provisioner.wait(), _END_SECONDS)
    await manager.shutdown_kernel(now=True)
