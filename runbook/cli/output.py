"""What the commands print, and how a person at the terminal is asked."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import click

from runbook.errors import BadInput
from runbook.wording import visible


def echo(text: str) -> None:
    """Prints a line for a person; what a database or a path put into it commands no terminal."""
    click.echo(visible(text))


def print_text(text: str, *, nl: bool = True) -> None:
    """Prints what a command was called for: to a file or a pipe byte for byte.

    A terminal gets no control characters, which would be commands to it.

    Raises:
        BadInput: it cannot be written.
    """
    try:
        # Else click would take what looks like a colour out of the data.
        click.echo(visible(text) if sys.stdout.isatty() else text, nl=nl, color=True)
    except BrokenPipeError:  # the reader has read enough
        raise click.exceptions.Exit(1) from None
    except OSError as error:
        raise BadInput(
            f"The output cannot be written ({error.strerror}); print it to another place."
        ) from error


def complain(text: str) -> None:
    """Prints an error, where that can be done; the exit code says the same."""
    with contextlib.suppress(OSError, ValueError):
        click.secho(visible(text), fg="red", err=True)


def asker() -> Callable[[str], str] | None:
    """Asks the person at the terminal; None where there is none."""
    return (lambda text: str(input(visible(text)))) if sys.stdin.isatty() else None
