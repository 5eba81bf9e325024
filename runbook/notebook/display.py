"""What a notebook shows in words: a line of text, or an error with its traceback folded away."""

from __future__ import annotations

import html
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from runbook.errors import RunbookError
from runbook.notebook.parameters import INJECTED

HERE = str(Path(__file__).resolve().parent.parent)


def sentence(error: BaseException) -> str:
    """What is wrong and what to do, in one line."""
    if isinstance(error, RunbookError):
        return f"{type(error).__name__}: {error}"
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted; run this cell again, which checks the actual state and continues."
    return (
        f"Unexpected: {type(error).__name__}: {error}; run this cell again, which finds out what "
        "is true and goes on, and if it happens again, report it with the traceback."
    )


def shell() -> Any:
    """The notebook's IPython; None where there is none."""
    from IPython import get_ipython

    return get_ipython()


def is_attended() -> bool:
    """Whether a person goes through this notebook, and not Papermill, which adds a cell to it."""
    here = shell()
    cells = here.user_ns.get("In", []) if here is not None else [INJECTED]
    return not any(cell.lstrip().startswith(INJECTED) for cell in cells)


def has_person() -> bool:
    """Whether there is a person to answer a question: not under Papermill, nbval or a scheduler."""
    kernel = getattr(shell(), "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", False))


def show(shown: object) -> None:
    """Shows a table or a text in the notebook; nothing where there is none."""
    from IPython.display import display

    if shell() is not None:
        display(shown)  # type: ignore[no-untyped-call]


def echo(text: str) -> None:
    """One line of text in the notebook; it may hold Markdown."""
    from IPython.display import Markdown, display

    if shell() is not None:
        display(Markdown(f"*{text}*"))  # type: ignore[no-untyped-call]


def fold_errors(shell: Any) -> None:
    """Shows errors of this package folded in the notebook of `shell`; all others as ever."""
    shell.set_custom_exc((Exception, KeyboardInterrupt), _show_error)


def _show_error(
    shell: Any,
    kind: type[BaseException],
    error: BaseException,
    frames: TracebackType | None,
    tb_offset: int | None = None,
) -> None:
    if not isinstance(error, RunbookError) and not _ours(frames):
        shell.showtraceback((kind, error, frames), tb_offset=tb_offset)
        return
    from IPython.display import HTML, display

    # The sentence is the error's own output, which is what stops Papermill.
    shell._showtraceback(kind, error, [sentence(error)])
    whole = "".join(traceback.format_exception(kind, error, frames))
    display(  # type: ignore[no-untyped-call]
        HTML(  # type: ignore[no-untyped-call]
            f"<details><summary>Traceback</summary><pre>{html.escape(whole)}</pre></details>"
        )
    )


def _ours(frames: TracebackType | None) -> bool:
    """Whether the error passed through this package, not only through what was typed."""
    return any(
        Path(frame.f_code.co_filename).is_relative_to(HERE)
        for frame, _ in traceback.walk_tb(frames)
    )
