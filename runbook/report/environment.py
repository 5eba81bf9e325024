"""How the templates of the report are rendered."""

from __future__ import annotations

import functools
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from runbook import wording as text
from runbook.report.change_lines import witness_name
from runbook.run.findings import WITNESS_NAMES, render_sample, sample_line
from runbook.sqlite.fields import render_row

TEMPLATES = Path(__file__).parent / "template"


@functools.cache
def environment() -> jinja2.Environment:
    """The Jinja environment of the report: every value is escaped, a missing name is an error."""
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {
        "number": text.number,
        "duration": text.duration,
        "size": text.size,
        "when": text.when,
        "clock": text.clock,
        "clip": text.clip,
        "spans": _spans,
        "rendered": render_sample,
        "line": sample_line,
        "row": render_row,
        "listed": text.listed,
        "witness_name": witness_name,
    }
    jinja.globals |= {
        "counted": text.counted,
        "chart_style": chart_style,
        "witnesses": {"gate": "Gate", **WITNESS_NAMES},
    }
    return jinja


@functools.cache
def chart_style() -> Markup:
    """The style sheet of pictures, with the colours that they need where no page has them."""
    sheets = ("palette.css", "charts.css")
    return Markup("".join((TEMPLATES / sheet).read_text(encoding="utf-8") for sheet in sheets))


def _spans(text: str) -> Markup:
    """The text, escaped; what stands between backticks is set as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else part
        for index, part in enumerate(parts)
    )
