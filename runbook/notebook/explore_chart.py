"""An answer drawn as bars: a picture that needs no display, no browser and no pyplot."""

from __future__ import annotations

import io
import logging
from typing import Any

import pandas as pd

_INCHES = (7.0, 3.2)
_COLOR = "#2f6f9f"


def bars(frame: pd.DataFrame, *, x: str, y: str, title: str) -> Any:
    """The column `y` as a bar for each row, named by the column `x`; a picture for a notebook."""
    from IPython.display import Image

    # Its remarks (on building a cache of fonts, on a home that cannot be written) are no output.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.add_subplot()
    axes.bar([str(name) for name in frame[x]], [float(n) for n in frame[y]], color=_COLOR)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    return Image(drawn.getvalue(), alt=title)  # type: ignore[no-untyped-call]
