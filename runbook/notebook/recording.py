"""What the cells of this kernel showed, captured as it is sent to the page."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runbook.notebook.display import shell

_TYPES = ("stream", "display_data", "execute_result", "error")
_DISPLAYED = "display_id"


@dataclass
class CellRun:
    """One execution of a cell: its outputs as nbformat has them, with what updates them by id."""

    count: int
    source: str
    outputs: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    clears: bool = False


class Recording:
    """The cells that this kernel executed, with what they showed since it was begun."""

    def __init__(self, here: Any) -> None:
        self.session = uuid.uuid4().hex[:12]
        self.private: list[tuple[str, str]] = []
        """Texts that a person read, each with what is kept in its place."""
        self.after_cell: Callable[[], None] | None = None
        """Called once, when the cell that is being executed has shown everything."""
        self._shell = here
        self._runs: dict[str, CellRun] = {}
        sources = here.history_manager.input_hist_raw
        for count, source in enumerate(sources[:-1]):
            if count:
                self._runs[str(count)] = CellRun(count, source)  # its outputs were not captured
        self._runs[self._parent()] = CellRun(len(sources) - 1, sources[-1])
        self._capture(here.kernel.session)
        here.events.register("pre_run_cell", self._begin)
        here.events.register("post_run_cell", self._end)

    @property
    def runs(self) -> list[CellRun]:
        """Every execution so far, in order."""
        return [run for run in self._runs.values() if run.source.strip()]

    def _parent(self) -> str:
        message: Any = self._shell.get_parent() or {}
        return str(message.get("header", {}).get("msg_id", ""))

    def _begin(self, info: Any) -> None:
        if info.store_history and not info.silent:
            self._runs[self._parent()] = CellRun(self._shell.execution_count, info.raw_cell)

    def _end(self, result: Any) -> None:
        if (run := self._runs.get(self._parent())) is not None and result.execution_count:
            run.count = result.execution_count
        call, self.after_cell = self.after_cell, None
        if call is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            call()

    def _capture(self, session: Any) -> None:
        send = session.send

        def send_recorded(
            stream: Any, message: Any, content: Any = None, *more: Any, **named: Any
        ) -> Any:
            with contextlib.suppress(Exception):  # must never disturb what is shown
                if isinstance(message, dict):
                    parent = message.get("parent_header") or {}
                    self._take(message["header"]["msg_type"], message["content"], parent)
                else:
                    self._take(message, content or {}, named.get("parent") or (*more, {})[0])
            return send(stream, message, content, *more, **named)

        session.send = send_recorded

    def _take(self, kind: str, content: dict[str, Any], parent: dict[str, Any]) -> None:
        if kind == "update_display_data":
            self._update(content)
        run = self._runs.get(parent.get("header", parent).get("msg_id", ""))
        if run is None:
            return
        if kind == "clear_output":
            run.clears = True
            if not content.get("wait"):
                _clear(run)
        elif kind in _TYPES:
            _clear(run)
            _add(run, kind, content)

    def _update(self, content: dict[str, Any]) -> None:
        known = content.get("transient", {}).get(_DISPLAYED, "")
        for run in self._runs.values():
            for output, own in zip(run.outputs, run.ids, strict=True):
                if known and own == known:
                    output.update(data=content["data"], metadata=content["metadata"])


def _clear(run: CellRun) -> None:
    if run.clears:
        run.outputs.clear()
        run.ids.clear()
        run.clears = False


def _add(run: CellRun, kind: str, content: dict[str, Any]) -> None:
    last = run.outputs[-1] if run.outputs else {}
    if kind == "stream" and last.get("output_type") == kind and last["name"] == content["name"]:
        last["text"] += content["text"]
        return
    kept = {name: value for name, value in content.items() if name != "transient"}
    if kind == "execute_result":
        kept.setdefault("execution_count", run.count)
    run.outputs.append({"output_type": kind, **kept})
    run.ids.append(content.get("transient", {}).get(_DISPLAYED, ""))


_RECORDINGS: dict[int, Recording] = {}


def recording() -> Recording | None:
    """The recording of this kernel, begun now if there is none; None where there is no kernel."""
    here = shell()
    if getattr(here, "kernel", None) is None:
        return None
    if id(here) not in _RECORDINGS:
        _RECORDINGS[id(here)] = Recording(here)
    return _RECORDINGS[id(here)]


def print_private(text: str, kept: str) -> None:
    """Prints `text` for the person who is there; a notebook that is kept has `kept` instead."""
    if (active := recording()) is not None and text != kept:
        active.private.append((text, kept))
    print(text)
