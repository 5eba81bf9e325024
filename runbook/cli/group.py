"""The group of all commands, with our errors as one sentence and their exit codes."""

from __future__ import annotations

import errno
from typing import Any

import click

from runbook import __version__
from runbook.cli.output import complain
from runbook.errors import RunbookError
from runbook.terminal import drop_what_cannot_be_printed, open_closed_streams


class Commands(click.Group):
    """The commands, with our errors as one sentence and their exit codes."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Adds a command; an empty default is not shown, for what it means stands in the help."""
        for parameter in cmd.params:
            if isinstance(parameter, click.Option) and parameter.default == "":
                parameter.show_default = False
        super().add_command(cmd, name)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Reads the command line, and prints the help where that is asked for."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except OSError as error:
            if not (problem := _of_a_path(error)):
                raise
            complain(problem)
            raise click.exceptions.Exit(2) from error

    def invoke(self, ctx: click.Context) -> object:
        """Runs a command; an error that we raise on purpose has no traceback."""
        open_closed_streams()
        try:
            return super().invoke(ctx)
        except RunbookError as error:
            complain(str(error))
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            complain("Interrupted; call the same command again to go on.")
            ctx.exit(1)
        except (OSError, RuntimeError) as error:
            if not (problem := _of_a_path(error)):
                raise
            complain(problem)
            ctx.exit(2)
        finally:
            drop_what_cannot_be_printed()


def _of_a_path(error: OSError | RuntimeError) -> str:
    """What is wrong with a path or a disk; empty for an error that is neither's.

    Python has an error of its own for symbolic links that lead in a circle.
    """
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename} cannot be used ({error.strerror}); check the path and its rights."
    if isinstance(error, FileNotFoundError):  # without a name it is the folder we are in
        return (
            "The current folder was deleted; change to one that exists, and call the same "
            "command again."
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return (
            f"Nothing more can be written ({error.strerror}); make room, or print to another "
            "place, and call the same command again."
        )
    if str(error).startswith("Symlink loop from "):
        name = str(error).removeprefix("Symlink loop from ").strip("'")
        return f"{name} leads in a circle of symbolic links; check the path."
    return ""


_EPILOG = """\b
Completion of commands and options: add one line to your shell's start file.
  bash  eval "$(_RUNBOOK_COMPLETE=bash_source runbook)"
  zsh   eval "$(_RUNBOOK_COMPLETE=zsh_source runbook)"
  fish  _RUNBOOK_COMPLETE=fish_source runbook | source
"""


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog=_EPILOG,
)
@click.version_option(__version__, prog_name="runbook")
def main() -> None:
    """Moves user-owned rows to organizations: audited, proven before commit, reversible."""
