"""Everything that can go wrong, as one tree; each branch carries its exit code.

    RunbookError                 1
    +-- Refused                  1  the audit says no; the database is as it was
    |   +-- Blocked              1  preflight found blocking hazards
    |   +-- NotProven            1  the proof failed before commit; rolled back
    |   +-- NotConfirmed         1  the change was not confirmed
    |   +-- NotAllowedNow        1  this stage may not run at this moment
    |   +-- WindowFailed         1  a step of the maintenance window did not succeed
    |   +-- Violated             1  monitoring saw a violated invariant
    +-- BadInput                 2  a file, option or plan that cannot be used
    |   +-- PlanError            2
    |   +-- TargetError          2  the database cannot be opened or read
    |   +-- RunFolderError       2  the run folder cannot be used, or is damaged
    |   +-- InstallationError    2  a file that the runbook brings along is missing
    +-- OutcomeUnknown           3  it may or may not have happened; a person must check

The message of each is one sentence: what is wrong, with which thing, and what to do.
"""

from __future__ import annotations


class RunbookError(Exception):
    """Base of all errors that the runbook raises on purpose."""

    exit_code = 1

    def __init__(self, message: str = "", *, record: object = None) -> None:
        """An error with its message and the record of the stage as far as it came, for people."""
        super().__init__(message)
        self.record = record

    def _render_traceback_(self) -> list[str]:
        """One line in a notebook instead of a page of frames (IPython asks for this method)."""
        return [f"{type(self).__name__}: {self}"]


class Refused(RunbookError):
    """The audit says no; the database is as it was, or the message says what is not."""


class Blocked(Refused):
    """Preflight found at least one blocking hazard."""


class NotProven(Refused):
    """The proof did not succeed; the open transaction was rolled back."""


class NotConfirmed(Refused):
    """The change was not confirmed, or there was no terminal to ask for it."""


class NotAllowedNow(Refused):
    """The stage may not run now; the message names the stages that may."""


class Interrupted(Refused):
    """A person or the system interrupted the stage, which says nothing about the database."""


class WindowFailed(Refused):
    """A step of the maintenance window did not succeed; its record is the error's `record`."""


class Violated(Refused):
    """The monitoring saw a violated invariant in the migrated database."""


class BadInput(RunbookError):
    """A file, option or plan cannot be used."""

    exit_code = 2


class PlanError(BadInput):
    """The plan cannot be read or names something that does not exist."""


class TargetError(BadInput):
    """The database cannot be opened, read or written."""


class RunFolderError(BadInput):
    """The run folder cannot be used, belongs to another database, or is damaged."""


class InstallationError(BadInput):
    """A file or folder that the runbook brings along is missing."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is missing: install the runbook again.")


class OutcomeUnknown(RunbookError):
    """Whether the change happened cannot be known from here; a person must check."""

    exit_code = 3


def named(name: str) -> type[RunbookError]:
    """The class of this tree with that name, or the base where there is none."""
    pending: list[type[RunbookError]] = [RunbookError]
    while pending:
        cls = pending.pop()
        if cls.__name__ == name:
            return cls
        pending += cls.__subclasses__()
    return RunbookError
