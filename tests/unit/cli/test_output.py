"""What a name in a database says to a terminal: nothing but its letters."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook.cli import main, output

HOSTILE = 'the table "notes\x1b[2J\x1b]0;title\x07\r\u202e" is wrong'
SHOWN = r'the table "notes\x1b[2J\x1b]0;title\x07\x0d\u202e" is wrong'


def test_errors_and_lines_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.complain(HOSTILE)
    output.echo(HOSTILE)
    assert capsys.readouterr() == (f"{SHOWN}\n", f"{SHOWN}\n")


@pytest.mark.parametrize(("terminal", "printed"), [(True, SHOWN), (False, HOSTILE)])
def test_only_a_terminal_gets_another_text(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: bool,
    printed: str,
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    output.print_text(HOSTILE)
    assert capsys.readouterr().out == f"{printed}\n"


def test_a_question_commands_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", asked.append)
    ask = output.asker()
    assert ask is not None
    ask(HOSTILE)
    assert asked == [SHOWN]


@pytest.mark.parametrize(
    "command", ["status --run-dir", "check", "run --run-dir", "sql q --run-dir"]
)
@pytest.mark.parametrize("name", ["circle", "x" * 300, "circle/below"])
def test_a_path_that_leads_nowhere_is_a_sentence(tmp_path: Path, command: str, name: str) -> None:
    (tmp_path / "circle").symlink_to("circle")
    result = CliRunner().invoke(main, [*command.split(), str(tmp_path / name)])
    assert result.exit_code == 2
    assert name in result.output
    assert isinstance(result.exception, SystemExit)
