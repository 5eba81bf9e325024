"""Commands of the operator's: time limits, groups of processes, output, secrets."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from runbook.plan.plan import Command
from runbook.plan.secrets import of_environment
from runbook.window.commands import KEPT, last_lines, run_command


def test_words_are_not_read_by_a_shell(tmp_path: Path) -> None:
    ran = run_command(Command(("echo", "$HOME; rm *", str(tmp_path))))
    assert (ran.exit_status, ran.problem) == (0, "")
    assert ran.output == f"$HOME; rm * {tmp_path}"


def test_a_line_is_read_by_a_shell_that_was_asked_for() -> None:
    assert run_command(Command(shell="echo $((6 * 7)) | tr 2 3")).output == "43"


def test_both_outputs_are_kept_and_nothing_is_to_be_read() -> None:
    ran = run_command(Command(shell="cat; echo out; echo err >&2; exit 5"))
    assert ran.output == "out\nerr"
    assert (ran.exit_status, ran.problem) == (5, "ended with exit status 5")


def test_a_command_that_dies_says_of_what() -> None:
    assert run_command(Command(shell="kill -9 $$")).problem == "was killed by signal 9"


@pytest.mark.parametrize(
    ("words", "reason"),
    [(("./not-there",), "No such file"), (("/etc/passwd",), "Permission denied")],
)
def test_a_command_that_cannot_begin(words: tuple[str, ...], reason: str) -> None:
    ran = run_command(Command(words))
    assert ran.exit_status is None
    assert reason in ran.problem


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_at_the_time_limit_the_whole_group_ends(tmp_path: Path) -> None:
    """Even a child that will not listen, of a parent that has ended."""
    child = tmp_path / "child"
    stubborn = f"(trap '' TERM; echo $$ > /dev/null; sh -c 'echo $PPID' > '{child}'; sleep 300) &"
    ran = run_command(Command(shell=f"{stubborn} sleep 300", timeout=0.5))
    assert ran.problem == "did not finish within 0.5 s and was stopped"
    pid = int(child.read_text())
    for _ in range(100):
        if not alive(pid):
            break
        time.sleep(0.02)
    assert not alive(pid)


def test_what_it_leaves_running_goes_on_and_may_write(tmp_path: Path) -> None:
    """A deployment starts a server in the background: it is neither waited for nor ended."""
    go, late = tmp_path / "go", tmp_path / "late"
    wait = f"for i in $(seq 500); do [ -e '{go}' ] && break; sleep 0.02; done"
    line = f"({wait}; echo still here; echo yes > '{late}') & echo started"
    ran = run_command(Command(shell=line))
    assert (ran.exit_status, ran.output) == (0, "started")
    assert not late.exists()
    go.touch()
    for _ in range(500):
        if late.exists() and late.read_text():
            break
        time.sleep(0.02)
    assert late.read_text() == "yes\n"


def test_long_output_is_cut_in_the_middle() -> None:
    ran = run_command(Command(shell="echo first; seq 1 20000; echo last"))
    assert ran.output.startswith("first\n1\n2\n")
    assert ran.output.endswith("\n20000\nlast")
    assert "bytes left out" in ran.output
    assert len(ran.output) < KEPT + 100


def test_output_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbook.window.commands.MOST_OUTPUT", 1024 * 1024)
    ran = run_command(Command(("yes",), timeout=60))
    assert ran.problem == "wrote more than 1 MB and was stopped"


def test_control_characters_and_wrong_bytes_are_shown_harmlessly() -> None:
    ran = run_command(Command(("printf", r"\033[31mred\033[0m \377 \000\007 end")))
    assert ran.output == "red \N{REPLACEMENT CHARACTER}  end"


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "abcdef")
    monkeypatch.setenv("API_TOKEN_LONG", "abcdef-and-more")
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    monkeypatch.setenv("SHORT_KEY", "ab")
    monkeypatch.setenv("HARMLESS", "production")
    said = "abcdef-and-more abcdef hunter2 ab production https://me:pw@host/x"
    hidden = of_environment(os.environ).hide(said)
    assert hidden == "*** *** *** ab production https://***@host/x"
    assert run_command(Command(shell="echo $DB_PASSWORD")).output == "***"
    said = run_command(Command(("sh", "-c", "seq 20; echo; echo key=$DB_PASSWORD"))).output
    assert last_lines(said) == (*map(str, range(12, 21)), "key=***")
    assert last_lines("a\n" + "x" * 500 + "\u202e\n\n") == ("a", "x" * 200)
    assert last_lines("\u202eno") == ("\\u202eno",)


def test_the_environment_tells_which_run_it_is() -> None:
    ran = run_command(Command(shell='echo "$RUNBOOK_RUN_DIR"'), {"RUNBOOK_RUN_DIR": "/x"})
    assert ran.output == "/x"
    assert "RUNBOOK_RUN_DIR" not in os.environ
