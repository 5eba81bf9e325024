"""Ctrl-C while SQLite works on a statement: it ends the statement, and is taken for nothing else.

SQLite asks now and then whether it should go on, which is when Python gets its turn and notices
Ctrl-C. What the sqlite3 module makes of that is an OperationalError, SQLITE_INTERRUPT, which stands
for a statement that took too long as well; whoever catches SQLite's errors, as a comparison of
views does, would go on to the commit. Here it becomes a KeyboardInterrupt again. So does one that
came while SQLite called a function of ours, such as `runbook_digits`.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

_OPERATIONS = 1_000_000
"""Steps of SQLite's machine between two turns of Python; a fraction of a second."""

_FUNCTION_RAISED = "user-defined function raised exception"
"""What becomes of Ctrl-C while SQLite calls a function of ours; they raise nothing themselves."""


def _hear(method: Any) -> Any:
    """A cursor's method, in which an interrupt that is not a time limit's is Ctrl-C."""

    @functools.wraps(method)
    def call(cursor: sqlite3.Cursor, *arguments: Any, **named: Any) -> Any:
        try:
            return method(cursor, *arguments, **named)
        except sqlite3.OperationalError as error:
            late = cursor.connection.late  # type: ignore[attr-defined]
            if (was_cut_short(error) and not late) or str(error) == _FUNCTION_RAISED:
                raise KeyboardInterrupt from error
            raise

    return call


class _Cursor(sqlite3.Cursor):
    """A cursor of an `Interruptible`."""

    execute = _hear(sqlite3.Cursor.execute)
    executemany = _hear(sqlite3.Cursor.executemany)
    executescript = _hear(sqlite3.Cursor.executescript)
    fetchone = _hear(sqlite3.Cursor.fetchone)
    fetchmany = _hear(sqlite3.Cursor.fetchmany)
    fetchall = _hear(sqlite3.Cursor.fetchall)
    __next__ = _hear(sqlite3.Cursor.__next__)


class Interruptible(sqlite3.Connection):
    """A connection whose statements raise KeyboardInterrupt where Ctrl-C ended them."""

    late = False
    """Whether the time limit that is set has passed, and so is what ended a statement."""

    def cursor(self, factory: Any = _Cursor) -> Any:
        """A cursor; every statement of the connection goes through one."""
        return super().cursor(factory)

    def execute(self, *arguments: Any) -> Any:
        """As the cursor's, which sqlite3's own shortcut does not call."""
        return self.cursor().execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        """As the cursor's."""
        return self.cursor().executemany(*arguments)

    def executescript(self, *arguments: Any) -> Any:
        """As the cursor's."""
        return self.cursor().executescript(*arguments)


def was_cut_short(error: sqlite3.Error) -> bool:
    """Whether a statement was ended before it was done, by a time limit or Ctrl-C."""
    return getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT"


def hear_interrupts(connection: sqlite3.Connection) -> None:
    """From now on Ctrl-C ends a long statement, and does not wait for its end."""
    if isinstance(connection, Interruptible):
        connection.late = False
    connection.set_progress_handler(lambda: 0, _OPERATIONS)


@contextlib.contextmanager
def time_limit(
    connection: sqlite3.Connection, seconds: float, operations: int = 100_000
) -> Iterator[None]:
    """Meanwhile a statement is ended when `seconds` have passed since this began.

    It raises sqlite3.OperationalError then, for which `was_cut_short` holds. The clock is read
    after so many `operations` of SQLite's machine; 2,000 take about 0.1 ms.
    """
    until = time.monotonic() + seconds

    def over() -> bool:
        late = time.monotonic() > until
        if isinstance(connection, Interruptible):
            connection.late = late
        return late

    connection.set_progress_handler(over, operations)
    try:
        yield
    finally:
        hear_interrupts(connection)
