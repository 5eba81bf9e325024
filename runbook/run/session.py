"""Who works in a run in one call, for which ticket, and by which way the stages are executed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Way = Literal["", "headless", "JupyterLab", "VS Code", "Papermill", "notebook"]
"""How a stage is executed; empty: not as a notebook.

`headless` is the command's own driver, `Papermill` its being called by itself, and `notebook` any
other kernel, such as that of `jupyter execute`.
"""


@dataclass(frozen=True)
class Session:
    """The operator and the ticket of one call, which may be others than those of its run."""

    operator: str = ""
    ticket: str = ""
    way: Way = ""

    def changed(self, operator: str, ticket: str, way: Way | None) -> Session:
        """The session with what is not empty in the place of its own."""
        own = self.way if way is None else way
        return Session(operator or self.operator, ticket or self.ticket, own)


def sentence_of(way: str, operator: str = "", ticket: str = "") -> str:
    """By which way a stage was executed, and by whom and for what where that is to be named."""
    words = {
        "headless": "headless",
        "JupyterLab": "in JupyterLab",
        "VS Code": "in VS Code",
        "Papermill": "by Papermill alone",
        "notebook": "as a notebook",
    }
    by = f", by {operator}" if operator else ""
    of = f", ticket {ticket}" if ticket else ""
    return words.get(way, "not as a notebook") + by + of
