"""What a statement would read and write, as SQLite says while it compiles it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator

Note = Callable[[int, str | None, str | None, str | None, str | None], None]
"""Takes an action, its two arguments, the schema, and the trigger or view that it stands in."""


@contextlib.contextmanager
def note_compiling(connection: sqlite3.Connection, note: Note) -> Iterator[None]:
    """Meanwhile `note` gets everything that statements would do; nothing is denied.

    Raises:
        KeyboardInterrupt: Ctrl-C came while `note` worked, which SQLite takes for a denial.
    """

    def allow(
        action: int, one: str | None, two: str | None, schema: str | None, by: str | None
    ) -> int:
        note(action, one, two, schema, by)
        return sqlite3.SQLITE_OK

    connection.set_authorizer(allow)
    try:
        yield
    except sqlite3.DatabaseError as error:
        if was_denied(error):
            raise KeyboardInterrupt from error
        raise
    finally:
        connection.set_authorizer(None)


def was_denied(error: sqlite3.Error) -> bool:
    """Whether an authorizer did not let a statement be compiled."""
    return getattr(error, "sqlite_errorname", "") == "SQLITE_AUTH"
