"""A pandas frame that shows itself as people read tables; in every other way it is a frame."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from runbook.wording import clip, more, visible

NOTHING = "nothing found"
"""What a table without rows shows, unless it has something better."""

MOST_ROWS = 200
WIDEST = 400
"""Characters of a cell in a terminal; a notebook wraps them instead."""

LONGEST_NAME = 30
"""Characters above which a text is broken where it must be."""

_CELL = "padding:.3em .45em;vertical-align:top;"
_NAME = _CELL + "text-align:left;white-space:pre-line;"
_TEXT = _NAME + "overflow-wrap:anywhere;min-width:8em;max-width:34em;"
_NUMBER = _CELL + "text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;"
_FIXED = _CELL + "text-align:left;font-family:monospace;overflow-wrap:anywhere;min-width:20em;"
_CODE = _CELL + "text-align:left;font-family:monospace;word-break:break-all;min-width:17em;"


class Table(pd.DataFrame):
    """A frame shown without row numbers, with numbers in groups of three and whole texts.

    The attribute `nothing` is what it says without rows, `fixed` names columns that are code.
    """

    @property
    def _constructor(self) -> type[Table]:
        return Table

    def _repr_html_(self) -> str:
        """HTML for a notebook; every value is escaped.

        Styles stand in each cell, because JupyterLab drops style sheets from notebooks that it
        does not trust yet.
        """
        if self.empty:
            return f"<p><em>{html.escape(self._nothing())}</em></p>"
        styles = [self._style(n) for n in range(len(self.columns))]
        heads = [_NUMBER if style is _NUMBER else _NAME for style in styles]
        head = _row("th", self.columns.astype(str), heads)
        body = "".join(_row("td", cells, styles) for cells in self._cells())
        left_out = f"<p>{more(self._left(), 'row')}</p>" if self._left() else ""
        return (
            f'<table border="0" class="dataframe"><thead>{head}</thead>'
            f"<tbody>{body}</tbody></table>{left_out}"
        )

    def __repr__(self) -> str:
        """Text for a terminal."""
        if self.empty:
            return self._nothing()
        lines = [
            list(map(str, self.columns)),
            *(
                [clip(cell.replace("\n", "; "), WIDEST) for cell in cells]
                for cells in self._cells()
            ),
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        right = [self._style(n) is _NUMBER for n in range(len(widths))]
        text = "\n".join(
            "  ".join(
                cell.rjust(width) if is_number else cell.ljust(width)
                for cell, width, is_number in zip(line, widths, right, strict=True)
            ).rstrip()
            for line in lines
        )
        return f"{text}\n{more(self._left(), 'row')}" if self._left() else text

    def _nothing(self) -> str:
        return str(self.attrs.get("nothing", NOTHING))

    def _left(self) -> int:
        return max(len(self) - MOST_ROWS, 0)

    def _cells(self) -> Iterable[list[str]]:
        for row in self.head(MOST_ROWS).itertuples(index=False, name=None):
            yield [shown(value) for value in row]

    def _style(self, column: int) -> str:
        if self.columns[column] in self.attrs.get("fixed", ()):
            return _FIXED
        values = [v for v in self.iloc[:MOST_ROWS, column] if not _missing(v)]
        if values and all(_is_number(v) for v in values):
            return _NUMBER
        if values and all(_is_digest(v) for v in values):
            return _CODE
        # Names stay in one piece; sentences may be broken anywhere before a table gets too wide.
        return _TEXT if any(len(str(v)) > LONGEST_NAME for v in values) else _NAME


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, nothing: str = NOTHING
) -> Table:
    """A table of `rows`; `nothing` is what it says when there are none."""
    # A lone surrogate, which SQLite may hold, fits into no column of texts.
    readable = [[visible(v) if isinstance(v, str) else v for v in row] for row in rows]
    frame = Table(Table(readable, columns=list(columns), dtype=object).convert_dtypes())
    frame.attrs["nothing"] = nothing
    return frame


def shown(value: object) -> str:
    """A value as people read it: `1,234`, `0.123`, `yes`; nothing for what is missing."""
    if _missing(value):
        return ""
    if pd.api.types.is_bool(value):
        return "yes" if value else "NO"
    if _is_number(value):
        number: Any = value
        return f"{number:,.3f}" if isinstance(number, float) else f"{number:,}"
    return str(value)


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def _is_number(value: object) -> bool:
    if pd.api.types.is_bool(value):
        return False
    return isinstance(value, int | float) or hasattr(value, "__index__")


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _row(tag: str, cells: Iterable[str], styles: Sequence[str]) -> str:
    inside = "".join(
        f'<{tag} style="{style}">{html.escape(cell)}</{tag}>'
        for cell, style in zip(cells, styles, strict=True)
    )
    return f"<tr>{inside}</tr>"
