"""A report taken apart again: its elements, and the text that a reader sees."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from runbook.report.html import html
from runbook.report.view_model import read_view

VOID = {"meta", "link", "img", "br", "hr", "input", "path", "rect", "line"}


class Page(HTMLParser):
    """Elements, attributes and texts of a page; `first` is the text of its first screen."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self._open: list[str] = []
        self._words: list[str] = []
        self._first: list[str] = []
        self.feed(source)
        self.close()

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())

    @property
    def first(self) -> str:
        return " ".join(" ".join(self._first).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self._words.append(data)
        if "header" in self._open:
            self._first.append(data)


def page_of(run_dir: Path, *, show_values: bool = False) -> Page:
    """The report of a run folder, taken apart."""
    return Page(html(read_view(run_dir, show_values=show_values)).decode())
