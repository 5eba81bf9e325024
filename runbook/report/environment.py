"""How the templates of the report are rendered."""

from __future__ import annotations

import functools
import html
import re
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
        "content": _content,
        "spans": _spans,
        "rendered": render_sample,
        "line": sample_line,
        "row": render_row,
        "listed": text.listed,
        "witness_name": witness_name,
    }
    jinja.globals |= {
        "counted": text.counted,
        "more": text.more,
        "styles": styles,
        "witnesses": {"gate": "Gate", **WITNESS_NAMES},
    }
    return jinja


@functools.cache
def styles(*names: str) -> Markup:
    """Style sheets of a page, without their comments; the palette that all need comes first."""
    sheets = ("palette.css", *names)
    text = "".join((TEMPLATES / sheet).read_text(encoding="utf-8") for sheet in sheets)
    return Markup(re.sub(r"/\*.*?\*/\n?", "", text, flags=re.DOTALL))


def _content(text: str) -> Markup:
    """The text, escaped for the inside of an element only: there quotation marks mean nothing."""
    return Markup(html.escape(text, quote=False))


def _spans(text: str) -> Markup:
    """The text, escaped; what stands between backticks is set as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else part
        for index, part in enumerate(parts)
    )
