"""Kernels as a driver has them: soon there, with all they print, and gone when they are ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nbclient.util import run_sync

from runbook.headless.account import provided
from runbook.headless.kernels import Kernels, PromptClient
from runbook.headless.papermill import kernels


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernels]:
    with provided(), kernels(tmp_path_factory.mktemp("kernels") / "kernels.log") as started:
        yield started


@pytest.fixture
def kernel(pool: Kernels) -> Iterator[Any]:
    """The manager of a kernel that was started."""
    manager = pool.take()
    yield manager
    pool.end(manager)


def _with_client(
    manager: Any, work: Callable[[PromptClient], Awaitable[Any]], timeout: float = 60
) -> Any:
    """What `work` gives for a client that is ready."""

    async def ready() -> Any:
        client = manager.client()
        assert isinstance(client, PromptClient)
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=timeout)
            return await work(client)
        finally:
            client.stop_channels()

    return run_sync(ready)()


async def _nothing(client: PromptClient) -> None:
    pass


async def _printed(client: PromptClient) -> str:
    """What the kernel prints first, for which nothing waited before."""
    request = client.execute("print('first')")
    while True:
        message = await client.get_iopub_msg(timeout=20)
        if message["parent_header"].get("msg_id") == request and message["msg_type"] == "stream":
            return str(message["content"]["text"])


@pytest.mark.parametrize("attempt", range(5))
def test_no_output_of_the_first_cell_is_lost(kernel: Any, attempt: int) -> None:
    assert _with_client(kernel, _printed) == "first\n"


def test_a_kernel_that_was_slow_is_asked_again(kernel: Any) -> None:
    _with_client(kernel, _nothing)  # it has started
    pid = kernel.provisioner.pid
    os.kill(pid, signal.SIGSTOP)

    async def stopped() -> None:
        client = kernel.client()
        client.start_channels()
        asked = []
        ask = client.kernel_info

        def counted(*values: Any, **named: Any) -> Any:
            asked.append(1)
            if len(asked) == 3:
                os.kill(pid, signal.SIGCONT)
            return ask(*values, **named)

        client.kernel_info = counted
        try:
            await client.wait_for_ready(timeout=60)
        finally:
            client.stop_channels()
        assert len(asked) >= 3

    run_sync(stopped)()


def test_a_kernel_that_never_answers_is_waited_for_as_long_as_was_said(kernel: Any) -> None:
    os.kill(kernel.provisioner.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        _with_client(kernel, _nothing, timeout=0.2)


def test_a_kernel_that_died_before_it_answered_is_no_kernel(kernel: Any) -> None:
    os.kill(kernel.provisioner.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="died"):
        _with_client(kernel, _nothing)


def test_what_was_ended_is_gone_and_may_be_ended_again(pool: Kernels) -> None:
    manager = pool.take()
    pid = manager.provisioner.pid
    connection = Path(manager.connection_file)
    assert connection.exists()
    pool.end(manager)
    assert not connection.exists()
    assert not run_sync(manager.is_alive)()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    pool.end(manager)


def test_a_kernel_that_is_dead_already_leaves_nothing_behind(pool: Kernels) -> None:
    manager = pool.take()
    connection = Path(manager.connection_file)
    os.kill(manager.provisioner.pid, signal.SIGKILL)
    pool.end(manager)
    assert not connection.exists()
