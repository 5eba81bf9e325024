"""Dask as a pool: the only module that imports it.

Dask spreads the work, and nothing else is left to it: it may run a task twice, and may call a task
lost that has committed. Results are taken where there are some, because they are what the ledger
said at the end; of everything lost, the coordinator asks the ledger itself.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import logging
import queue
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from runbook import __version__
from runbook.errors import BadInput
from runbook.fleet.pool import PER_WORKER, Arrival, PoolLost
from runbook.fleet.records import Order, Outcome
from runbook.fleet.work import work
from runbook.terminal import Echo

WORKER_SECONDS = 30.0
"""How long the first worker may take to come."""

_SETTINGS = {
    # A task that lost its worker comes back to us at once; whether it happened, the ledger says.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-ttl": None,
    "distributed.worker.profile.enabled": False,
    # A stage in native code may hold a worker's loop up for minutes, which is no reason to end it.
    "distributed.worker.memory.terminate": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    "distributed.admin.tick.limit": "1h",
}

_NEWS_SECONDS = 2.0


@dataclass(frozen=True)
class Place:
    """Where the work is done.

    Attributes:
        scheduler: address of a scheduler; empty for a cluster of this machine's own.
        workers: processes of the local cluster.
        listen: address that the local cluster's ports listen on.
        dashboard: address of Dask's dashboard, as HOST:PORT; empty for none.
        tls_ca: certificate of the authority, for an encrypted connection to the scheduler.
        tls_cert: this client's certificate.
        tls_key: its key.
    """

    scheduler: str = ""
    workers: int = 1
    listen: str = "127.0.0.1"
    dashboard: str = ""
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""


def check_installed() -> None:
    """Raises BadInput, in one sentence, where Dask is not installed."""
    try:
        importlib.import_module("distributed")
    except ImportError as error:
        raise BadInput(
            "A fleet is spread over workers by Dask, which is not installed; "
            "install it with `pip install 'runbook[fleet]'`."
        ) from error


@contextlib.contextmanager
def open_cluster(place: Place, echo: Echo) -> Iterator[DaskPool]:
    """A pool of workers: of this machine, or of the scheduler that is named.

    Raises:
        BadInput: Dask is not installed, the scheduler cannot be reached, or it has no worker that
            can do the work.
    """
    check_installed()
    import dask

    for name in ("distributed", "tornado.application", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with dask.config.set(_SETTINGS), _client(place) as client:
        pool = DaskPool(client, local=not place.scheduler, echo=echo)
        pool.await_workers(place)
        try:
            yield pool
        finally:
            pool.forget()


@contextlib.contextmanager
def _client(place: Place) -> Iterator[Any]:
    from distributed import Client

    if place.scheduler:
        try:
            client = Client(
                place.scheduler,
                security=_security(place),
                timeout=10,
                set_as_default=False,
            )
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            raise BadInput(
                f"The scheduler {place.scheduler} cannot be reached "
                f"({' '.join(str(error).split())[:160] or type(error).__name__}); start it with "
                "`dask scheduler`, or check --scheduler."
            ) from error
        with client:
            yield client
        return
    with _local_cluster(place) as cluster, Client(cluster, set_as_default=False) as client:
        client.register_plugin(_unmoved_by_ctrl_c())
        yield client


@contextlib.contextmanager
def _local_cluster(place: Place) -> Iterator[Any]:
    from distributed import LocalCluster

    cluster = LocalCluster(
        n_workers=place.workers,
        threads_per_worker=1,
        processes=True,
        host=place.listen,
        # Without an address Dask takes port 8787 even where there is no dashboard.
        dashboard_address=place.dashboard or f"{place.listen}:0",
        scheduler_kwargs={"dashboard": bool(place.dashboard)},
        worker_dashboard_address=None,
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    )
    try:
        yield cluster
    finally:
        cluster.close(timeout=10)


def _unmoved_by_ctrl_c() -> Any:
    """Ctrl-C at the terminal reaches every process; only the coordinator answers to it."""
    from distributed import WorkerPlugin

    class Unmoved(WorkerPlugin):  # type: ignore[misc]
        name = "runbook-unmoved"

        def setup(self, worker: Any) -> None:
            import runbook.fleet.work  # noqa: F401 (imported while nobody waits for it)

            with contextlib.suppress(ValueError):  # not in the main thread
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Unmoved()


def _security(place: Place) -> Any:
    if not (place.tls_ca or place.tls_cert or place.tls_key):
        return None
    from distributed.security import Security

    return Security(
        tls_ca_file=place.tls_ca or None,
        tls_client_cert=place.tls_cert or None,
        tls_client_key=place.tls_key or None,
        require_encryption=True,
    )


def _version() -> tuple[str, str]:
    """The versions of the runbook and of Python, on a worker."""
    from runbook import __version__ as version

    return version, ".".join(map(str, sys.version_info[:2]))


class DaskPool:
    """Orders as tasks of Dask, a few for each worker."""

    def __init__(self, client: Any, *, local: bool, echo: Echo) -> None:
        self._client = client
        self._local = local
        self._echo = echo
        self._arrived: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._open: dict[str, tuple[Order, Any]] = {}
        self._fit: frozenset[str] = frozenset()
        self._unfit: dict[str, str] = {}
        self._asked = 0.0
        self._call = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    # -- the workers -------------------------------------------------------------------------

    def await_workers(self, place: Place) -> None:
        """Waits for the first worker that can do the work.

        Raises:
            BadInput: none came in time.
        """
        Retrying(
            retry=retry_if_result(lambda _: not self._fit and not self._unfit),
            stop=stop_after_delay(WORKER_SECONDS),
            wait=wait_fixed(0.2),
            retry_error_callback=lambda _: None,
        )(self._ask_workers)
        if self._fit:
            return
        where = place.scheduler or "the local cluster"
        reason = next(iter(self._unfit.values()), f"none came within {WORKER_SECONDS:g} s")
        raise BadInput(
            f"{where} has no worker that can do the work ({reason}); start some with `dask worker "
            f"{place.scheduler or 'ADDRESS'} --nthreads 1` in an environment with this runbook."
        )

    def _ask_workers(self) -> None:
        """Learns which workers there are, and whether new ones can do the work."""
        self._asked = time.monotonic()
        present = frozenset(self._client.nthreads())
        fresh = present - self._fit - self._unfit.keys()
        answers: dict[str, object] = {}
        if fresh:
            try:
                answers = self._client.run(_version, workers=sorted(fresh), on_error="return")
            except (OSError, TimeoutError) as error:
                answers = dict.fromkeys(fresh, error)
        # One that went away while it was asked is neither fit nor unfit.
        silent = {a for a, answer in answers.items() if isinstance(answer, OSError | TimeoutError)}
        for address, answer in answers.items():
            problem = _misfit(answer) if address not in silent else ""
            if problem:
                self._unfit[address] = f"the worker {address} {problem}"
                self._echo(f"  The worker {address} gets nothing to do: it {problem}.")
        self._fit = present - self._unfit.keys() - silent

    def _refresh(self) -> None:
        if time.monotonic() - self._asked > _NEWS_SECONDS:
            with contextlib.suppress(OSError, TimeoutError):
                self._ask_workers()

    # -- the orders --------------------------------------------------------------------------

    def room(self) -> int:
        """How many more orders it takes now."""
        self._refresh()
        return max(0, PER_WORKER * len(self._fit) - len(self._open))

    def submit(self, order: Order) -> None:
        """Hands an order to Dask, once."""
        key = f"{order.work}-{order.number}-{self._call}-{next(self._numbers)}"
        future = self._client.submit(
            work,
            order,
            key=key,
            pure=False,
            retries=0,
            workers=sorted(self._fit) if self._unfit else None,
        )
        self._open[key] = (order, future)
        future.add_done_callback(lambda done: self._arrived.put((key, done)))

    def arrivals(self, seconds: float) -> Sequence[Arrival]:
        """What has come back, after at most so many seconds.

        Raises:
            PoolLost: the scheduler is gone.
        """
        arrived = []
        try:
            arrived.append(self._arrived.get(timeout=seconds))
            while True:
                arrived.append(self._arrived.get_nowait())
        except queue.Empty:
            pass
        if self._client.status != "running":
            raise PoolLost("The scheduler is gone; start it, and call the same command again.")
        self._refresh()
        return [self._arrival(key) for key, _ in arrived if key in self._open] + self._stranded()

    def _arrival(self, key: str) -> Arrival:
        order, future = self._open.pop(key)
        try:
            if future.status == "finished":
                outcome = future.result(timeout=10)
                if isinstance(outcome, Outcome):
                    return Arrival(order, outcome)
            error = future.exception(timeout=10) if future.status == "error" else None
            return Arrival(order, None, _reason(error))
        except Exception as error:  # whatever Dask raises: the order is lost, and the ledger asked
            return Arrival(order, None, _reason(error))
        finally:
            future.release()

    def _stranded(self) -> list[Arrival]:
        """Orders that nobody can do any more, because all the workers they may go to are gone."""
        if self._fit or not self._open or not self._unfit:
            return []
        stranded = [order for order, _ in self._open.values()]
        self.forget()
        return [Arrival(order, None, "every worker that could do it is gone") for order in stranded]

    def open_orders(self) -> Sequence[Order]:
        """The orders that have not come back."""
        return tuple(order for order, _ in self._open.values())

    def forget(self) -> None:
        """Lets go of what has not come back; what is at work comes to its end."""
        for _, future in self._open.values():
            with contextlib.suppress(Exception):
                future.cancel()
        self._open.clear()


def _misfit(answer: object) -> str:
    """Why a worker cannot do the work; an empty text where it can."""
    if isinstance(answer, BaseException):
        return f"does not have this runbook ({type(answer).__name__}: {answer})"
    own = (__version__, ".".join(map(str, sys.version_info[:2])))
    if not isinstance(answer, tuple | list) or tuple(answer) != own:
        other, python = answer if isinstance(answer, tuple | list) else ("?", "?")
        return f"has the runbook {other} on Python {python}, not {own[0]} on {own[1]}"
    return ""


def _reason(error: BaseException | None) -> str:
    if error is None:
        return "its worker is gone"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
