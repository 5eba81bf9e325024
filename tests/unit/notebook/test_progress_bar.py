"""Progress: for a terminal, for a log, and between the two processes."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from runbook import progress
from runbook.headless import progress_bar
from runbook.headless.progress_bar import Bar, watched, working
from runbook.notebook.progress_bar import Page
from runbook.progress import NOW, Beat, Doing, Lines, Pace, rehearsed, sentence


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "STATE_EVERY", 0.01)


def test_a_log_gets_few_lines_with_rows_and_time_remaining(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    written: list[dict[str, object]] = []
    lines = Lines(lambda **line: written.append(line))
    for done in range(0, 300_001, 100):  # thirty seconds
        clock[0] = done / 10_000
        lines("projects", done, 300_000, "rows")
    assert [line["done"] for line in written] == [100_000, 200_000, 300_000]
    assert [line["remaining"] for line in written] == [20.0, 10.0, 0.0]
    assert {line["rate"] for line in written} == {10_000.0}


def test_a_log_gets_its_line_also_where_nothing_can_be_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    written: list[str] = []
    lines = Lines(lambda **line: written.append(sentence(**line)))
    lines("Proof")
    for second in range(26):  # one long statement: nobody calls but the clock
        clock[0] = float(second)
        lines.tick()
    assert written == ["Proof: 10.0 s so far", "Proof: 20.0 s so far"]


def test_words() -> None:
    assert sentence("projects", 90_000, 200_000, "rows", elapsed=4, rate=22_512, remaining=4.9) == (
        "projects: 90,000 of 200,000 rows, 22,500 rows/s, about 5.00 s left"
    )
    assert sentence("Backup", 1, 9, "pages") == "Backup: 1 of 9 pages"
    assert sentence("Proof") == "Proof"
    assert sentence("Index", 3, 12, "steps", elapsed=2, remaining=0.2) == (
        "Index: 3 of 12 steps, 2.00 s so far, almost done"
    )


def test_a_pace_is_that_of_the_present_work_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    pace = Pace()
    assert pace.update(Doing("projects", 100, 500, "rows"))
    clock[0] = 10.0
    assert not pace.update(Doing("projects", 200, 500, "rows"))
    assert (pace.rate, pace.remaining) == (10.0, 30.0)  # of the hundred rows that went by
    assert pace.update(Doing("Index", 4, 12, "steps"))
    clock[0] = 15.0
    pace.update(Doing("Index", 5, 12, "steps"))
    assert (pace.rate, pace.remaining, pace.elapsed) == (None, None, 5.0)  # a step is no measure


def test_a_step_that_was_rehearsed_says_how_long_it_will_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    written: list[str] = []
    lines = Lines(lambda **line: written.append(sentence(**line)))
    shown = rehearsed(lines, {"Index": 14.0})
    shown("Index", 4, 12, "steps")
    for clock[0] in (10.0, 20.0):
        lines.tick()
    shown("Another", 5, 12, "steps")
    clock[0] = 30.0
    lines.tick()
    assert written == [
        "Index: 4 of 12 steps, 10.0 s so far, about 4.00 s left",
        "Index: 4 of 12 steps, 20.0 s so far",  # longer than rehearsed: nothing can be said
        "Another: 5 of 12 steps, 10.0 s so far",
    ]


def test_a_beat_draws_while_nothing_is_called() -> None:
    drawn: list[int] = []

    def draw() -> None:
        drawn.append(1)
        raise OSError("the page is gone")

    beat = Beat(draw, 0.005)
    until = time.monotonic() + 10
    while len(drawn) < 3 and time.monotonic() < until:
        time.sleep(0.005)
    beat.close()
    assert len(drawn) >= 3  # an error of the page neither ends it nor the work


def test_a_terminal_shows_what_another_process_does(tmp_path: Path, hurried: None) -> None:
    terminal = Terminal()
    with watched(tmp_path, terminal):
        kernel = Lines(lambda **line: None, tmp_path / NOW)
        kernel("projects", 50_000, 200_000, "rows")
        until = time.monotonic() + 10
        while "projects" not in terminal.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
    assert "projects" in terminal.getvalue()
    assert "50.0k/200k" in terminal.getvalue()
    assert " rows/s" in terminal.getvalue()
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
    bar("Hazards", 0, 2, "checks")
    bar("Prediction")
    bar("Index", 3, 12, "steps", 14.0)
    bar.tick()
    bar.close()
    assert "Hazards: 0 of 2 checks, 00:00" in terminal.getvalue()
    assert "Prediction: 00:00" in terminal.getvalue()
    assert "Index: 3 of 12 steps, 00:00, about 14 s when rehearsed" in terminal.getvalue()


def test_work_in_this_process_is_shown_and_gone_in_the_end() -> None:
    terminal, file = Terminal(), io.StringIO()
    with working("Sealing", terminal):
        assert "Sealing: 00:00" in terminal.getvalue()
    assert terminal.getvalue().rstrip(" ").endswith("\r")
    with working("Sealing", file):
        pass
    assert file.getvalue() == ""  # a log gets a line when it has taken ten seconds
    file.close()
    with working("Sealing", file):  # nor does output that cannot be written stop the work
        pass


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
        page("<b>", done, 1000, "rows")
    page.close()
    assert len(drawn) < 10
    assert "&lt;b&gt;: 0 of 1,000 rows" in drawn[0]
    assert drawn[-1] == ""
    assert 'value="0"' in drawn[0]


def test_a_page_draws_the_seconds_of_what_cannot_be_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    drawn: list[str] = []
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(Page, "_draw", lambda self, text: drawn.append(text))
    page = Page()
    page("Proof")
    page._handle = object()
    for second in (0.1, 4.0):
        clock[0] = second
        page.tick()
    assert len(drawn) == 2  # what comes too soon is not drawn
    assert "Proof: 4.00 s so far" in drawn[-1]
    assert "value=" not in drawn[-1]
