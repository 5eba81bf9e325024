"""Who agrees that the database is changed, and to which warnings.

The database's name has to be typed: a question that one can answer with Enter is no question.
"""

from __future__ import annotations

from collections.abc import Callable

from runbook.errors import NotConfirmed
from runbook.run.folder import Run, now
from runbook.run.records import Confirmation, PreflightRecord

Ask = Callable[[str], str]


def confirm(
    run: Run, *, typed: str = "", how: str = "parameter", ask: Ask | None = None
) -> Confirmation:
    """The confirmation that the run's database may be changed.

    The warnings of its preflight are accepted together with the change.

    Args:
        run: whose operator is asked, and whose database's name has to be typed.
        typed: what was typed already, as an option or parameter.
        how: where it was typed.
        ask: asks a person who is there; None where nobody is.

    Raises:
        NotConfirmed: the name was not typed.
    """
    name = run.info.identity.name
    hazards = run.result("preflight", PreflightRecord).hazards
    warnings = [h for h in hazards if h.level == "warn"]
    if not typed and ask is not None:
        listed = "".join(f"\n  warning: {h.title} ({h.subject}: {h.count:,})" for h in warnings)
        question = f"{listed}\nThis changes the database {name}. Type its name to go on: "
        try:
            typed = ask(question).strip()
        except EOFError:  # the terminal was closed, or Ctrl-D
            typed = ""
    if typed != name:
        reason = f'"{typed}" was typed' if typed else "there was no terminal to ask on"
        raise NotConfirmed(
            f"The database {name} was not changed, because {reason}; type its name when "
            "asked, or pass it beforehand (the parameter confirm, or --yes)."
        )
    return Confirmation(
        run.session.operator or "unknown", now(), how, tuple(h.code for h in warnings)
    )
