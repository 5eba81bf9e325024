"""The snapshots of a run as tables that can be queried: schemas `before`, `after` and `changes`.

    connection = nb.explore(run)                 DuckDB, with its relational API
    nb.sql(run, "SELECT * FROM after.projects")  a pandas frame
    %%sql                                        a cell of SQL, once `nb.explore` was called

Nothing is written and nothing is materialized. Personal data is masked in the views themselves,
unless `show_values` says otherwise.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from runbook.audit.snapshot import Capture, read_capture
from runbook.errors import NotAllowedNow
from runbook.notebook import explore_magic
from runbook.notebook.explore_answer import ask, frame
from runbook.notebook.explore_columns import privacy_of
from runbook.notebook.explore_server import serving
from runbook.notebook.explore_views import Snapshots
from runbook.notebook.parameters import as_truth
from runbook.notebook.table import Table
from runbook.run.folder import Run
from runbook.run.records import SnapshotRecord, VerifyRecord
from runbook.script.footprint import is_new_table, outside_columns
from runbook.sqlite.quoting import quote_name, same_name
from runbook.templates import sql_file

_SPILL = ".explore-"


def explore(run: Run, *, show_values: bool = False) -> duckdb.DuckDBPyConnection:
    """A DuckDB over the run's snapshots; the same one for each call until they are taken anew.

    It reaches no file and no network, and its settings are locked. In a notebook it also makes
    cells possible that begin with `%%sql`.

    Raises:
        NotAllowedNow: there is no snapshot yet.
        BadInput: a snapshot cannot be read.
    """
    shown = as_truth("show_values", show_values)
    opened = _opened(run, shown)
    explore_magic.provide(lambda query: sql(run, query, show_values=shown))
    return opened.connection


def sql(run: Run, query: str, *, show_values: bool = False) -> Table:
    """The answer to a query as a pandas frame, exact: integers stay integers beside NULL.

    Raises:
        NotAllowedNow: there is no snapshot yet, or none of after although the query asks for it.
        BadInput: the query is no query, or names what there is not.
    """
    return frame(rows(run, query, show_values=show_values))


def rows(run: Run, query: str, *, show_values: bool = False) -> Any:
    """The same answer as an Arrow table; raises what `sql` raises."""
    return ask(_opened(run, as_truth("show_values", show_values)).asking, query)


@dataclass
class _Exploration:
    """Both connections and what they need, until they are closed."""

    connection: duckdb.DuckDBPyConnection
    asking: duckdb.DuckDBPyConnection
    """Another connection to the same DuckDB, so that what a person left open disturbs no answer."""
    state: tuple[object, ...]
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def usable(self) -> bool:
        """Whether nobody has closed it."""
        try:
            self.asking.execute("SELECT 1").fetchall()
            self.connection.extract_statements("SELECT 1")
        except duckdb.Error:
            return False
        return True


_open: dict[tuple[Path, bool], _Exploration] = {}


def _opened(run: Run, show_values: bool) -> _Exploration:
    place = run.folder.resolve(), show_values
    state = _state(run)
    known = _open.get(place)
    if known is not None and known.state == state and known.usable:
        return known
    if known is not None:
        del _open[place]
        known.closing.close()
    if not (run.before / "snapshot.json").exists():
        raise NotAllowedNow(
            f"The run {run.folder} has no snapshot yet; take it first: run 03_snapshot, or "
            f"`runbook run --run-dir {run.folder} --until snapshot`."
        )
    with contextlib.ExitStack() as stack:
        connections = stack.enter_context(_connected(run, show_values))
        opened = _Exploration(*connections, state, stack.pop_all())
    _open[place] = opened
    return opened


@atexit.register
def close_all() -> None:
    """Closes every connection, and removes what they spilled."""
    while _open:
        _, opened = _open.popitem()
        opened.closing.close()


def _state(run: Run) -> tuple[object, ...]:
    """What the views depend on: as long as it is the same, they need not be made anew."""
    paths = [run.before / "snapshot.json", run.after / "snapshot.json", run.record_path("verify")]
    return tuple(
        (path.stat().st_mtime_ns, path.stat().st_size) if path.exists() else None for path in paths
    )


@contextlib.contextmanager
def _connected(
    run: Run, show_values: bool
) -> Iterator[tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyConnection]]:
    """Two connections to the DuckDB for people, over another DuckDB that alone reads files."""
    before = read_capture(run.before)
    after = read_capture(run.after) if (run.after / "snapshot.json").exists() else None
    if after is not None:
        before.check_encoding(after)
    snapshots = Snapshots(
        before=before,
        after=after,
        compared=_compared(run, before) if after is not None else {},
        privacy=None if show_values else privacy_of(run.info.plan),
        secret=secrets.token_hex(16),
        plan=run.info.plan,
    )
    with (
        _spill(run) as spill,
        serving(snapshots, spill, lambda outer: _add_members(run, outer, after)) as connections,
    ):
        yield connections


def _add_members(run: Run, outer: duckdb.DuckDBPyConnection, after: Capture | None) -> None:
    """The view of members, where the migration has made its tables."""
    if after is None or not any(same_name(t.name, "organizations") for t in after.tables):
        return
    users = run.info.plan.users
    names = {
        "table": quote_name(users.table),
        "key": quote_name(users.key),
        "email": quote_name(users.email) if users.email else None,
    }
    query = sql_file("explore/members").render(users=names)
    outer.execute(f"CREATE VIEW members AS {query}").fetchall()


def _compared(run: Run, before: Capture) -> dict[str, tuple[str, ...]]:
    """For each table whose other columns are proven to be as they were: those that may differ.

    The proof are the digests of the audit: if those of all columns outside the footprint are the
    same, the rows are the same in all these columns.
    """
    if not run.finished("snapshot") or not run.finished("verify"):
        return {}
    taken, verified = run.result("snapshot", SnapshotRecord), run.result("verify", VerifyRecord)
    if taken.shape is None:
        return {}
    old = {digest.table: digest.outside for digest in taken.digests}
    same = {digest.table for digest in verified.digests if old.get(digest.table) == digest.outside}
    compared = {}
    for table in before.tables:
        if table.name in same and not is_new_table(table.name):
            # A column that only one side has is always compared.
            names = (*table.columns, "organization_id")
            outside = outside_columns(run.info.plan, taken.shape, table.name, names)
            compared[table.name] = tuple(name for name in names if name not in outside)
    return compared


@contextlib.contextmanager
def _spill(run: Run) -> Iterator[Path]:
    """A folder for what does not fit into memory: beside the snapshots, or where that is read-only
    in the system's place for temporary files. Those that a kill left are removed."""
    parent = run.before.parent if os.access(run.before.parent, os.W_OK) else None
    for leftover in (parent or Path(tempfile.gettempdir())).glob(f"{_SPILL}*"):
        with _locked(leftover) as free:
            if free:
                shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_SPILL, dir=parent))
    try:
        with _locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Holds a lock on a folder that ends with this process; False where another one holds it.

    Not by filelock, which would leave a file of its own beside the folder.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)
