"""The form in 01_preflight: which database by which plan, by whom and for what.

It is there only while a person is. Once the run has begun, its place is taken by a line that says
what was chosen, so that a saved notebook holds nothing which needs a kernel to be read.
"""

from __future__ import annotations

import html
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook.errors import RunbookError
from runbook.notebook.display import has_person
from runbook.notebook.offers import databases, plans
from runbook.run.folder import Run

_SPECIFICATION = "the specification's schema (users, projects)"
_WIDTH = "36em"


@dataclass(frozen=True)
class Values:
    """What a run is begun with, as the parameters have it; empty where nothing was said."""

    database: str = ""
    plan: str = ""
    run_dir: str = ""
    operator: str = ""
    ticket: str = ""


_LATEST: dict[Values, Values] = {}
"""What was chosen last in this kernel, by the parameters that the form began with."""


class Choice:
    """The values of the parameters, or what a person has chosen instead."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._form: Form | None = None

    @property
    def values(self) -> Values:
        """What is chosen now."""
        return self._form.values if self._form is not None else self._values

    def attach(self, form: Form) -> None:
        """From now on the form says what is chosen."""
        self._form = form

    def settle(self, run: Run) -> None:
        """The run has begun: the form, if there is one, becomes a line of text."""
        if self._form is not None:
            self._form.close(run)


class Form:
    """Fields for the values, and a button that begins the run."""

    def __init__(self, parameters: Values, call: Callable[[], Run]) -> None:
        import ipywidgets

        values = _LATEST.get(parameters, parameters)
        layout = {"layout": {"width": _WIDTH}, "style": {"description_width": "8em"}}
        here = Path.cwd()
        near = list(dict.fromkeys(filter(None, (values.database, *databases(here)))))
        written = list(dict.fromkeys(filter(None, (values.plan, *plans(here)))))
        self._parameters, self._call = parameters, call
        self._database = ipywidgets.Dropdown(
            description="database",
            options=[(path, path) for path in near] or [("none lies in this workspace", "")],
            value=values.database or (near or [""])[0],
            **layout,
        )
        self._other = ipywidgets.Text(
            description="or another", placeholder="the path of a SQLite file, or d1:NAME", **layout
        )
        self._plan = ipywidgets.Dropdown(
            description="plan",
            options=[(_SPECIFICATION, ""), *((path, path) for path in written)],
            value=values.plan,
            **layout,
        )
        self._operator = ipywidgets.Text(
            description="operator",
            value=values.operator,
            placeholder="the account's name",
            **layout,
        )
        self._ticket = ipywidgets.Text(
            description="ticket", value=values.ticket, placeholder="what it is done for", **layout
        )
        self._button = ipywidgets.Button(description="Begin the run", button_style="primary")
        self._message = ipywidgets.HTML()
        self._button.on_click(self._clicked)
        fields = (self._database, self._other, self._plan, self._operator, self._ticket)
        self.box = ipywidgets.VBox([*fields, self._button, self._message])
        self._handle: Any = None

    def show(self) -> None:
        """Shows the form in the notebook."""
        from IPython.display import display

        self._handle = display(self.box, display_id=True)  # type: ignore[no-untyped-call]

    @property
    def values(self) -> Values:
        """What stands in the fields."""
        return Values(
            database=self._other.value.strip() or self._database.value,
            plan=self._plan.value,
            run_dir=self._parameters.run_dir,
            operator=self._operator.value.strip(),
            ticket=self._ticket.value.strip(),
        )

    def close(self, run: Run) -> None:
        """Puts what was chosen in the place of the form."""
        from IPython.display import HTML

        if self._handle is not None:
            _LATEST[self._parameters] = values = self.values
            self._handle.update(HTML(_chosen(values, run)))  # type: ignore[no-untyped-call]
            self._handle = None

    def _clicked(self, button: object) -> None:
        try:
            self._call()
        except RunbookError as error:
            self._message.value = f"<p>{html.escape(str(error))}</p>"


def ask(values: Values, begin: Callable[[Choice], Run]) -> Choice:
    """The choice: as the parameters have it, or a form where a person is there."""
    choice = Choice(values)
    if has_person():
        form = Form(values, lambda: begin(choice))
        choice.attach(form)
        form.show()
    return choice


def _chosen(values: Values, run: Run) -> str:
    """What was chosen, as HTML that needs no kernel."""
    texts = {
        "database": values.database,
        "plan": values.plan or _SPECIFICATION,
        "operator": run.session.operator,
        "ticket": run.session.ticket or "none",
    }
    items = "".join(
        f"<li>{name}: <code>{html.escape(value)}</code></li>" for name, value in texts.items()
    )
    folder = html.escape(os.path.relpath(run.folder))
    return f"<p>Begun in <code>{folder}</code> with:</p><ul>{items}</ul>"
