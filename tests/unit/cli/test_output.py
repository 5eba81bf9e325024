"""What a name in a database says to a terminal: nothing but its letters."""

from __future__ import annotations

import pytest

from runbook.cli import output

HOSTILE = 'the table "notes\x1b[2J\x1b]0;title\x07\r\u202e" is wrong'
SHOWN = r'the table "notes\x1b[2J\x1b]0;title\x07\x0d\u202e" is wrong'


def test_errors_and_lines_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.complain(HOSTILE)
    output.echo(HOSTILE)
    assert capsys.readouterr() == (f"{SHOWN}\n", f"{SHOWN}\n")


@pytest.mark.parametrize(("terminal", "printed"), [(True, SHOWN), (False, HOSTILE)])
def test_only_a_terminal_gets_another_text(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, printed: str
) -> None:
    texts: list[str] = []
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setattr(output.click, "echo", lambda text, nl: texts.append(text))
    output.print_text(HOSTILE)
    assert texts == [printed]


def test_a_question_commands_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", asked.append)
    ask = output.asker()
    assert ask is not None
    ask(HOSTILE)
    assert asked == [SHOWN]
