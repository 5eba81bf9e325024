"""Progress: for a terminal, for a log, and between the two processes."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from runbook.headless.progress_bar import Bar, watched
from runbook.notebook import progress_bar as progress
from runbook.notebook.progress_bar import Page
from runbook.progress import NOW, Lines, remaining, sentence


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "STATE_EVERY", 0.01)


def test_a_log_gets_few_lines_with_rows_and_time_remaining(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    written: list[dict[str, object]] = []
    lines = Lines(lambda **line: written.append(line))
    for done in range(0, 300_001, 100):  # thirty seconds
        clock[0] = done / 10_000
        lines("projects", done, 300_000)
    assert [line["done"] for line in written] == [100_000, 200_000, 300_000]
    assert [line["remaining"] for line in written] == [20.0, 10.0, 0.0]


def test_words() -> None:
    assert sentence("projects", 90_000, 200_000, 4.0) == (
        "projects: 90,000 of 200,000 rows, about 4.00 s left"
    )
    assert sentence("Backup", 1, 9) == "Backup: 1 of 9 pages"
    assert remaining(10, 0, 5) is None
    assert remaining(10, 2, 4) == 10


def test_a_terminal_shows_what_another_process_does(tmp_path: Path, hurried: None) -> None:
    terminal = Terminal()
    with watched(tmp_path, terminal):
        kernel = Lines(lambda **line: None, tmp_path / NOW)
        kernel("projects", 50_000, 200_000)
        until = time.monotonic() + 10
        while "projects" not in terminal.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
    assert "projects" in terminal.getvalue()
    assert "50.0k/200k" in terminal.getvalue()
    assert list(tmp_path.iterdir()) == []


def test_a_torn_state_is_no_error(tmp_path: Path, hurried: None) -> None:
    terminal = Terminal()
    with watched(tmp_path, terminal):
        (tmp_path / NOW).write_text('["proj')
        time.sleep(0.1)
    assert terminal.getvalue() == ""


def test_a_bar_begins_anew_for_other_work() -> None:
    terminal = Terminal()
    bar = Bar(terminal)
    bar("Hazards", 0, 2)
    bar("Prediction", 1, 2)
    bar.close()
    assert "Hazards" in terminal.getvalue()
    assert "Prediction" in terminal.getvalue()


def test_a_page_is_drawn_seldom_and_is_empty_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    class Handle:
        def update(self, shown: object) -> None:
            drawn.append(shown.data)  # type: ignore[attr-defined]

    def display(shown: object, display_id: bool) -> Handle:
        drawn.append(shown.data)  # type: ignore[attr-defined]
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    page = Page()
    for done in range(1000):
        page("<b>", done, 1000)
    page.close()
    assert len(drawn) < 10
    assert "&lt;b&gt;: 0 of 1,000 rows" in drawn[0]
    assert drawn[-1] == ""
