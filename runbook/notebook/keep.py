"""Keeps the notebook of this kernel in the run folder, as the headless driver keeps its own.

The file that the browser saves is always behind: the cell that is being executed has no output in
it yet. So it gives the texts and the order of the cells, and what they showed is what this kernel
sent. Where no file is known, the cells are those that the kernel executed. The metadata says which
it was.
"""

from __future__ import annotations

import ast
import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runbook.errors import RunFolderError
from runbook.notebook.display import shell
from runbook.notebook.parameters import as_truth
from runbook.notebook.recording import CellRun, Recording, recording
from runbook.notebook.way import notebook_file
from runbook.report.masking import mask_emails
from runbook.run.command_line import kept_whole
from runbook.run.folder import Run, file_stem, now
from runbook.run.notebooks import NOTEBOOKS, described, keep_notebook, kept_notebooks
from runbook.wording import map_text

LEFT_OUT = "Not kept: this cell is not part of the runbook, so its output may hold personal data."
"""What is kept in the place of an output that nobody has masked."""

_WIDGET = "application/vnd.jupyter.widget-view+json"
_TEXT_CELL = ("cell_type", "metadata", "attachments")
_FROM_FILE = "texts and order of the cells from the notebook's file as it was last saved"
_FROM_KERNEL = "the cells that the kernel executed; its file is not known to it"

Cell = dict[str, Any]


@dataclass(frozen=True)
class _Mask:
    """What masks outputs as the driver's are, unless personal data was `asked` for.

    `whole` are texts that stay readable, `private` those that were for a person alone, each with
    what is kept instead, and `own` the sources of the notebook's own cells.
    """

    asked: bool
    whole: tuple[str, ...]
    private: tuple[tuple[str, str], ...]
    own: frozenset[str]

    def output(self, output: Cell, source: str) -> Cell:
        """The output as it may be kept."""
        if not self.asked and source.strip() not in self.own and not _is_ours(source):
            return {"output_type": "stream", "name": "stdout", "text": LEFT_OUT}
        return map_text(output, self._text, names=False)

    def _text(self, text: str) -> str:
        for private, kept in self.private:
            text = text.replace(private, kept)
        return text if self.asked else self._masked(text)

    def _masked(self, text: str) -> str:
        for part in self.whole:
            if part in text:
                return part.join(self._masked(piece) for piece in text.split(part))
        return mask_emails(text)


def keep_after_cell(run: Run, stage: str) -> None:
    """Keeps the notebook of `stage` as soon as the cell that is being executed has ended.

    Nothing is kept where the headless driver does it, nor a second time for the same attempt.
    """
    active = recording()
    if active is None or run.session.way in ("", "headless"):
        return

    def keep() -> None:
        try:
            _keep(run, stage, active)
        except Exception as error:  # the work is done, whatever becomes of its picture
            run.log("notebook", "lost", error=f"{stage}: {type(error).__name__}: {error}")

    active.after_cell = keep


def _keep(run: Run, stage: str, active: Recording) -> None:
    attempt = _attempt(run, stage)
    name = f"{file_stem(stage)}.ipynb"
    for _, about in kept_notebooks(run.folder, name):
        if about.get("attempt") == attempt and about.get("session") != active.session:
            return  # it shows the work; this one, only that it was done
    cells, source = _cells(run, active, stage)
    about = {
        "way": run.session.way,
        "attempt": attempt,
        "session": active.session,
        "kept_at": now(),
        "cells": source,
        "outputs": "as the kernel sent them, of its present session alone",
    }
    content = json.dumps(_notebook(cells)).encode()
    keep_notebook(run.folder, name, described(content, run.folder, about))


def _attempt(run: Run, stage: str) -> int:
    with contextlib.suppress(RunFolderError):
        record = run.record(stage)
        return record.order if record else 0
    return 0


def _notebook(cells: list[Cell]) -> dict[str, Any]:
    """A notebook of these cells, as nbformat writes and checks it."""
    import nbformat

    whole = nbformat.v4.new_notebook(
        cells=[nbformat.from_dict(cell) for cell in cells],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
    )
    nbformat.validate(whole)
    return json.loads(nbformat.writes(whole))  # type: ignore[no-any-return]


# -- cells -------------------------------------------------------------------------------------


def _cells(run: Run, active: Recording, stage: str) -> tuple[list[Cell], str]:
    """The cells of the notebook with what they showed, and where they are from."""
    mask = _mask(run, active, stage)
    runs = list({each.source.strip(): each for each in active.runs}.values())  # the last of each
    saved = _saved(run)
    known = {"".join(cell["source"]).strip() for cell in saved if cell["cell_type"] == "code"}
    if not any(each.source.strip() in known for each in runs):
        return [_code(each.source, {}, each, mask) for each in runs], _FROM_KERNEL
    return list(_merged(saved, runs, mask)), _FROM_FILE


def _merged(saved: list[Cell], runs: list[CellRun], mask: _Mask) -> Iterator[Cell]:
    """The cells of the file, each with its last execution; what is not in it, after what was
    executed before it.
    """
    by_source = {each.source.strip(): each for each in runs}
    known = {"".join(cell["source"]).strip() for cell in saved}
    for cell in saved:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            kept = {name: cell[name] for name in _TEXT_CELL if name in cell}
            yield kept | {"source": source, "id": _id()}
            continue
        each = by_source.get(source.strip())
        yield _code(source, cell.get("metadata", {}), each, mask)
        following = runs[runs.index(each) + 1 :] if each else []
        for other in following:
            if other.source.strip() in known:
                break
            yield _code(other.source, {}, other, mask)


def _code(source: str, metadata: Cell, each: CellRun | None, mask: _Mask) -> Cell:
    tags = {"tags": metadata["tags"]} if "tags" in metadata else {}
    outputs = each.outputs if each else []
    return {
        "cell_type": "code",
        "id": _id(),
        "metadata": tags,
        "source": source,
        "execution_count": each.count if each else None,
        "outputs": [mask.output(output, source) for output in outputs if not _is_form(output)],
    }


def _id() -> str:
    return uuid.uuid4().hex[:8]


def _saved(run: Run) -> list[Cell]:
    """The cells of the notebook's file; none where it is not known or cannot be read."""
    path = notebook_file(run.session.way)
    if path is None:
        return []
    try:
        cells = json.loads(path.read_bytes())["cells"]
        return [cell for cell in cells if cell["cell_type"] and "".join(cell["source"]).strip()]
    except (OSError, ValueError, KeyError, TypeError):
        return []


# -- what may be kept ----------------------------------------------------------------------------


def _is_form(output: Cell) -> bool:
    """Whether it is a form, which nobody can read without its kernel."""
    return _WIDGET in output.get("data", {})


def _mask(run: Run, active: Recording, stage: str) -> _Mask:
    asked = False
    with contextlib.suppress(Exception):
        asked = as_truth("show_values", shell().user_ns.get("show_values", False))
    whole = tuple(filter(None, (*kept_whole(run), run.session.operator, run.session.ticket)))
    shipped = json.loads((NOTEBOOKS / f"{file_stem(stage)}.ipynb").read_bytes())["cells"]
    own = frozenset("".join(cell["source"]).strip() for cell in shipped)
    return _Mask(asked, whole, tuple(active.private), own)


def _is_ours(source: str) -> bool:
    """Whether a cell only calls the runbook, and shows what it returns.

    What a person adds (a query, a frame of another library) is nobody's to mask.
    """
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return False
    return all(_calls_runbook(statement) for statement in body)


def _calls_runbook(statement: ast.stmt) -> bool:
    match statement:
        case ast.ImportFrom(module=str(module)):
            return module.split(".")[0] == "runbook"
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            return _is_plain(value) or _is_call(value)
        case ast.Expr(value=value):
            return _is_call(value) or _is_plain(value)
    return False


def _is_call(value: ast.expr) -> bool:
    if not isinstance(value, ast.Call):
        return False
    root = value.func
    while isinstance(root, ast.Attribute):
        root = root.value
    arguments = [*value.args, *(word.value for word in value.keywords)]
    return (
        isinstance(root, ast.Name)
        and root.id == "nb"
        and all(_is_plain(each) or _is_field(each) for each in arguments)
    )


def _is_plain(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant)


def _is_field(value: ast.expr) -> bool:
    """A name, or a field of it such as `checked.hazards`."""
    while isinstance(value, ast.Attribute):
        value = value.value
    return isinstance(value, ast.Name)
