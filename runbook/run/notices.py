"""Notices to people: what is logged of a run and concerns somebody who is not looking.

The addresses stand in environment variables, which the plan names; no record holds them. A notice
says which run it is and what happened, and nothing of the data. One that fails, or hangs, is
logged and stops nothing.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from runbook.errors import Blocked
from runbook.plan.plan import Event

if TYPE_CHECKING:
    from runbook.run.folder import Run

_TEXTS: dict[Event, str] = {
    "blocked": "preflight found what blocks the migration; nothing was changed",
    "waiting": "the migration waits for the approval of other people",
    "shut": "the application is shut",
    "migrated": "the database is migrated",
    "failed": "something failed; see the report, or runbook status",
    "opened": "the application is open again",
    "violated": "the monitoring found a violated invariant",
    "rolled back": "the migration was taken back",
}


def event_of(stage: str, event: str, details: Mapping[str, object]) -> Event | None:
    """What a line of the log is to people; None where it does not concern them."""
    step = details.get("step")
    if stage == "window" and event == "done" and not details.get("again"):
        return {"maintenance_on": "shut", "maintenance_off": "opened"}.get(str(step))  # type: ignore[return-value]
    if event == "failed" and stage != "notice":
        return "blocked" if details.get("type") == Blocked.__name__ else "failed"
    known: dict[tuple[str, str], Event] = {
        ("approval", "waits"): "waiting",
        ("migrate", "finished"): "migrated",
        ("rollback", "finished"): "rolled back",
        ("monitor", "violated"): "violated",
    }
    return known.get((stage, event))


def notify(run: Run, stage: str, event: str, details: Mapping[str, object]) -> None:
    """Sends what was logged to whom the plan names, and waits no longer than it says."""
    settings = run.info.plan.notify
    what = event_of(stage, event, details) if settings.variables else None
    if what is None or what not in settings.events:
        return
    title = f"{run.info.identity.name}: {what}"
    ticket = f" ({run.info.ticket})" if run.info.ticket else ""
    body = f"{_TEXTS[what][:1].upper()}{_TEXTS[what][1:]}.\nRun {run.info.run}{ticket}, {stage}."
    for problem in _send(settings.variables, title, body, settings.timeout):
        run.log("notice", "failed", note=f"{what}: {problem}")


def _send(variables: tuple[str, ...], title: str, body: str, timeout: float) -> Iterator[str]:
    """Sends to every address at once; why each failed, without the address."""
    results: dict[threading.Thread, tuple[str, list[str]]] = {}
    for variable in variables:
        addresses = os.environ.get(variable, "").split()
        if not addresses:
            yield f"the environment variable {variable} holds no address"
        for address in addresses:
            problems = ["no answer in time"]

            def send(address: str = address, problems: list[str] = problems) -> None:
                problems[:] = _sent(address, title, body)

            # A daemon: what hangs must not keep the process from ending.
            thread = threading.Thread(target=send, daemon=True)
            results[thread] = (variable, problems)
            thread.start()
    left = timeout
    for thread, (variable, problems) in results.items():
        thread.join(max(left, 0.01))
        if thread.is_alive():
            left = 0.0  # they began together, so the time of one is the time of all
        yield from (f"an address in {variable}: {problem}" for problem in tuple(problems))


def _sent(address: str, title: str, body: str) -> list[str]:
    """What went wrong with one address."""
    try:
        import apprise
    except ImportError:
        return ["apprise is not installed (pip install 'runbook[notify]')"]
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it would print the address
    try:
        sender = apprise.Apprise()
        if not sender.add(address):
            return ["it is no address that apprise knows"]
        return [] if sender.notify(title=title, body=body) else ["it was not delivered"]
    except Exception as error:  # whatever a plugin makes of it stops nothing
        return [type(error).__name__]
