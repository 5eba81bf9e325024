"""What a person is told who has to act: how everything stands, and what to type for each way out.

Every line is a command that works as it is printed, or begins with `#` and says what to do by hand.
"""

from __future__ import annotations

from collections.abc import Callable

from runbook.run.command_line import command_line, kept_whole, vouching
from runbook.run.folder import Run
from runbook.run.window_records import WindowStep
from runbook.window.commands import last_lines
from runbook.window.state import WindowState, window_state
from runbook.window.store import STEPS, configured, read_step

Way = tuple[str, tuple[str, ...]]
"""A title, and what to type."""


def block(run: Run, problem: str, *, hide: Callable[[str], str] = str, output: bool = True) -> str:
    """The states and the commands that lead out, for the operator, in one block.

    `hide` keeps from people what they should not read; no command goes through it, for it would not
    work any more. `output` shows the last lines that a command wrote which failed.
    """
    state = window_state(run)
    written = output_lines(run, problem) if output else ()
    lines = [
        "The maintenance window is not over.",
        f"  problem      {_hidden(run, problem, hide)}",
        *(f"               {hide(line)}" for line in written),
        f"  database     {hide(state.database_says)}",
        f"  code         {hide(state.code_says)}",
        f"  maintenance  {hide(state.maintenance_says)}",
    ]
    for title, commands in ways_out(run, state):
        lines.append(f"{title}:")
        lines += [f"  {command}" for command in commands]
    return "\n".join([*lines, ""])  # what is printed next is none of these commands


def output_lines(run: Run, problem: str) -> tuple[str, ...]:
    """The last lines that the command wrote of whose failure `problem` speaks; () for none.

    Each begins with `|`, so that none can pass for a line of ours.
    """
    for name in STEPS:
        step = read_step(run.folder, name)
        if step is not None and step.status == "failed" and step.error and step.error in problem:
            return output_of(step)
    return ()


def output_of(step: WindowStep) -> tuple[str, ...]:
    """The last lines that the command of a step wrote, secrets masked, each behind a `|`."""
    return tuple(f"| {line}" for line in last_lines(step.output))


def _hidden(run: Run, text: str, hide: Callable[[str], str]) -> str:
    """The text without what is to be hidden, but with the commands of this run whole."""
    for part in kept_whole(run):
        if part in text:
            return part.join(_hidden(run, piece, hide) for piece in text.split(part))
    return hide(text)


def ways_out(run: Run, state: WindowState) -> tuple[Way, ...]:
    """What may be done now, each with what to type; first to shut it, unless it is shut."""
    shutting = _to_shut(run)
    begin = shutting if state.maintenance in ("off", "unknown") else []
    ways: list[tuple[str, list[str]]] = []
    if state.database == "unknown":
        ways.append(("To find out what is true", [command_line(run, "status")]))
    elif state.database != "rolled back":
        first = _to_open(run) if _waits_for_a_person(run) else begin
        again = command_line(run, "run", "--yes")
        ways.append(("To go on, once it is corrected", [*first, again]))
    back = _way_back(run, state)
    if back and (begin == [] or not _open_as_it_was(state)):
        goes_back = "To go back and open the application"
        if _by_page_alone(run):
            goes_back = "To go back, and then open the application by hand"
        title = {
            "migrated": goes_back,
            "unknown": "To open the application, once database and code are known to fit together",
        }.get(state.database, "To open the application as it was")
        ways.append((title, [*begin, *back]))
    if begin:
        ways.append(("To shut it until then", shutting))
    elif state.maintenance == "on":
        shut = "nothing: it stays shut until one of these commands is run"
        ways.append(("To leave it shut", [shut]))
    ways += _by_hand(run, state)
    return tuple((title, tuple(commands)) for title, commands in ways)


BY_HAND = {
    "maintenance_on": "shut the application",
    "deploy": "bring the new code",
    "undeploy": "put the old code back",
    "maintenance_off": "open the application",
}
"""The steps that a person can do in the place of the plan's command, and what they do."""


def _by_hand(run: Run, state: WindowState) -> list[tuple[str, list[str]]]:
    """For each command that failed: how to go on where it cannot be made to work."""
    follows: dict[str, list[str]] = {
        "maintenance_on": [],
        "deploy": [command_line(run, "run", "--yes")],
        "undeploy": [command_line(run, "maintenance", "off")],
        "maintenance_off": [],
    }
    window, migrated = run.info.plan.window, state.database == "migrated"
    fits = {"maintenance_on", "maintenance_off", "deploy" if migrated else "undeploy"}
    if state.database == "unknown":
        return []
    ways = []
    for name, what in BY_HAND.items():
        step = read_step(run.folder, name)
        if name not in fits or step is None or step.status != "failed" or step.exit_status == 0:
            continue
        if getattr(window, name) is not None:
            lines = [f"# {what}, and then:", vouching(run, name), *follows[name]]
            ways.append((f"To {what} by hand, where its command cannot be made to work", lines))
    return ways


def _to_shut(run: Run) -> list[str]:
    """What shuts the application: the plan's command, or a person whose page then proves it."""
    if not configured(run.info.plan, 2):
        return ["# shut the application"]
    by_hand = run.info.plan.window.maintenance_on is None
    first = ["# shut the application, and then:"] if by_hand else []
    return [*first, command_line(run, "maintenance", "on")]


def _to_open(run: Run, *options: str) -> list[str]:
    """What opens the application: the plan's command, or a person whose page then proves it."""
    first = ["# open the application, and then:"] if _by_page_alone(run) else []
    return [*first, command_line(run, "maintenance", "off", *options)]


def _by_page_alone(run: Run) -> bool:
    """Whether a page shows that the application is open, and no command opens it."""
    window = run.info.plan.window
    return window.maintenance is not None and window.maintenance_off is None


def _waits_for_a_person(run: Run) -> bool:
    """Whether all is done but the opening, which is left to a person."""
    step = read_step(run.folder, "maintenance_off")
    return _by_page_alone(run) and step is not None and step.status == "failed"


def _open_as_it_was(state: WindowState) -> bool:
    """Whether nothing is left to open: old database, old code, no maintenance page."""
    settled = state.database in ("before", "rolled back") and state.maintenance == "off"
    return settled and state.code in ("old", "not configured")


def _way_back(run: Run, state: WindowState) -> list[str]:
    """The commands that leave the application open with the old code, from where it is shut."""
    if state.database == "unknown":
        return _to_open(run, "--regardless")
    by_hand = state.code in ("new", "unknown") and run.info.plan.window.undeploy is None
    back = []
    settled = _by_page_alone(run) and state.code in ("old", "not configured")
    by_rollback = state.database == "rolled back" and not by_hand and not settled
    if state.database == "migrated" or by_rollback:
        # Puts the old code back and opens, too, where it can; called again, it goes on there.
        back.append(command_line(run, "rollback", "--yes"))
    if by_hand:
        back.append("# put the old code back, and then:")
        back.append(vouching(run, "undeploy"))
    if by_hand or (state.database != "migrated" and not by_rollback):
        back += _to_open(run)
    return back
