"""What Papermill hands a notebook: names that it does not know, and values of the wrong type.

Papermill only warns of an unknown parameter and runs on with the default, which here might be
another database. It also makes numbers and truth values of texts that read like them:
`-p ticket 0012` arrives as 12.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence

from runbook.errors import BadInput

INJECTED = "# Parameters"
"""The first line of the cell that Papermill adds."""

PAPERMILL_PATHS = ("PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")
"""What `papermill --inject-paths` adds to it: where the notebook comes from and goes to."""


def check_names(cells: Sequence[str]) -> None:
    """Checks the parameters that Papermill injected against those that the notebook has.

    Args:
        cells: the source of the cells run so far, in order.

    Raises:
        BadInput: one is unknown; the message names the nearest that there is.
    """
    known: list[str] = [*PAPERMILL_PATHS]
    for cell in cells:
        assigned = _assigned(cell)
        if not cell.lstrip().startswith(INJECTED):
            known += assigned
            continue
        for name in assigned:
            if name not in known:
                own = known[len(PAPERMILL_PATHS) :]
                near = difflib.get_close_matches(name, own, n=1, cutoff=0.5)
                advice = f'did you mean "{near[0]}"?' if near else f"it has: {', '.join(own)}."
                raise BadInput(f'This notebook has no parameter "{name}"; {advice}')


def as_text(name: str, value: object) -> str:
    """The text that was meant by a parameter that may have arrived as something else.

    Raises:
        BadInput: it is a truth, a list or anything else that is no text.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise BadInput(
        f'The parameter "{name}" must be a string, not {value!r}; pass it with -r instead of -p.'
    )


def as_truth(name: str, value: object) -> bool:
    """The truth that was meant; a text is never taken for one, since "no" would count as yes.

    Raises:
        BadInput: it is neither True nor False.
    """
    words = {"true": True, "false": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise BadInput(f'The parameter "{name}" must be True or False, not {value!r}.')


def looks_changed(value: object) -> bool:
    """Whether Papermill made a number of what may have been typed otherwise (`0012`, `1e3`)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _assigned(source: str) -> list[str]:
    """Names that a cell assigns to, in their order."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a cell with a magic in it assigns no parameters
        return []
    names: list[str] = []
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        names += [t.id for t in targets if isinstance(t, ast.Name)]
    return names
