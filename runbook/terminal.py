"""Standard input, output and error, which may be closed, broken or full."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

Echo = Callable[[str], object]


def silent(line: str) -> None:
    """An `Echo` for where nobody reads; what is only printed need not even be found out."""


def open_closed_streams() -> None:
    """Gives the null device to each standard stream that is closed.

    Else the next file that is opened, perhaps a database, would get the number that everything
    prints to.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - open until the end


def drop_what_cannot_be_printed() -> None:
    """Lets the process end quietly although a stream still holds what it could not print."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)


def echo_or(instead: Callable[[str, str], object], echo: Echo) -> Echo:
    """An `echo` for lines about work that must go on, whether or not anything can be printed.

    A line that cannot be printed goes to `instead`, with the reason.
    """

    def echo_line(line: str) -> None:
        try:
            echo(line)
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            instead(line, str(error))

    return echo_line
