"""`%%sql` in a notebook: a cell of SQL over the run that `nb.explore` opened last.

%%sql                %%sql largest
SELECT ...           SELECT ...        (the answer also becomes the variable `largest`)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runbook.errors import BadInput
from runbook.notebook.display import echo, shell

_NAME = "sql"


def provide(ask: Callable[[str], Any]) -> None:
    """Makes `%%sql` cells possible, which `ask` answers; does nothing outside of a notebook.

    Where another extension has a `%%sql` of its own, that one stays.
    """
    here = shell()
    if here is None:
        return
    other = here.magics_manager.magics["cell"].get(_NAME)
    if other is not None and not getattr(other, "of_runbook", False):
        echo("`%%sql` belongs to another extension in this notebook; use `nb.sql(run, ...)`.")
        return

    def cell(line: str, query: str) -> Any:
        """Answers the cell's query; a name behind `%%sql` keeps the answer as a variable."""
        name = line.strip()
        if name and not name.isidentifier():
            raise BadInput(f"%%sql takes the name of one variable, not {name!r}.")
        answered = ask(query)
        if name:
            here.push({name: answered})
        return answered

    cell.of_runbook = True  # type: ignore[attr-defined]
    here.register_magic_function(cell, magic_kind="cell", magic_name=_NAME)
