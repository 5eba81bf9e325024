"""Brings the probes together: everything about a database's data and schema in one list."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runbook.hazards.advice import advise
from runbook.hazards.census import census
from runbook.hazards.owners import probe_adopter, probe_owners
from runbook.hazards.rows import probe_references, probe_row_keys, probe_times
from runbook.hazards.schema import probe_in_the_way, probe_missing, probe_oddities
from runbook.hazards.sighting import Found, as_hazards, check_levels
from runbook.hazards.survey import Survey, readable_text, survey
from runbook.hazards.trial import probe_by_trial, probe_views
from runbook.hazards.users import probe_key_index, probe_users
from runbook.plan.plan import Plan
from runbook.run.findings import Hazard
from runbook.sqlite.connect import Locked, file_uri

Probe = Callable[[Survey], Iterable[Found]]

_PROBES: tuple[Probe, ...] = (
    probe_adopter,
    probe_owners,
    probe_row_keys,
    probe_key_index,
    probe_references,
    probe_views,
    probe_oddities,
)
_SLOW_PROBES: tuple[Probe, ...] = (probe_users, probe_times)

OLDEST_SQLITE = (3, 39, 0)

Advice = Mapping[str, int | float | str]


def find_hazards(
    connection: sqlite3.Connection, plan: Plan, *, samples: int = 10
) -> tuple[Hazard, ...]:
    """All hazards in data and schema, blocking ones first; the database is only read.

    What cannot be looked at because a table or column is missing is left out, and the missing
    thing is a hazard itself.

    Raises:
        TargetError: another process keeps readers out.
        PlanError: `[hazards]` names an unknown hazard, or makes a blocking one milder.
    """
    return find_all(connection, plan, samples=samples)[0]


def find_all(
    connection: sqlite3.Connection, plan: Plan, *, samples: int = 10
) -> tuple[tuple[Hazard, ...], Advice]:
    """Hazards and advice with the owners counted only once, which is what takes the time.

    Raises:
        PlanError: as for `find_hazards`.
    """
    check_levels(plan)
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        too_old = Found(
            "sqlite_too_old",
            f"SQLite {sqlite3.sqlite_version}",
            remedy=f"Use a Python whose sqlite3.sqlite_version is at least "
            f"{'.'.join(map(str, OLDEST_SQLITE[:2]))}.",
        )
        return as_hazards([too_old], plan), {}
    with readable_text(connection), _waited_for():
        surveyed = survey(connection, plan, samples)
        try:
            return _look(surveyed, _path_of(connection))
        finally:
            surveyed.clone.close()


def _look(surveyed: Survey, path: str) -> tuple[tuple[Hazard, ...], Advice]:
    """All probes; those that read whole tables beside the census, where a file allows it."""
    plan = surveyed.plan
    with ThreadPoolExecutor(len(_SLOW_PROBES)) as pool:  # SQLite works outside Python's lock
        running = [pool.submit(_beside, p, surveyed, path) for p in _SLOW_PROBES if path]
        found: list[Found] = []
        advised: Advice = {}
        try:
            with census(surveyed):
                found += _probe(surveyed)
                advised = advise(surveyed)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            found.append(damaged(error))  # in the census, which several probes need
        found += [one for future in running for one in future.result()]
    if not path:
        found += [one for probe in _SLOW_PROBES for one in _careful(probe, surveyed)]
    unique = dict.fromkeys(found)  # damage is met by many probes in the same words
    return as_hazards(unique, plan), advised


def advice(connection: sqlite3.Connection, plan: Plan) -> Advice:
    """What only the data can tell: organizations to come, their sizes, growth (see `advise`)."""
    with readable_text(connection), _waited_for():
        surveyed = survey(connection, plan)
        with census(surveyed):
            return advise(surveyed)


def _probe(surveyed: Survey) -> Iterator[Found]:
    yield from probe_missing(surveyed)
    in_the_way = list(probe_in_the_way(surveyed))
    yield from in_the_way
    for probe in _PROBES:
        yield from _careful(probe, surveyed)
    if surveyed.complete and not in_the_way:
        yield from _careful(probe_by_trial, surveyed)


def _careful(probe: Probe, surveyed: Survey) -> list[Found]:
    """What the probe finds; damaged pages are a hazard and leave the other probes their turn."""
    found: list[Found] = []
    try:
        found.extend(probe(surveyed))
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        found.append(damaged(error))
    return found


def _beside(probe: Probe, surveyed: Survey, path: str) -> list[Found]:
    """The same on a connection of its own, in another thread."""
    twin = sqlite3.connect(file_uri(Path(path), mode="ro"), uri=True, isolation_level=None)
    try:
        with readable_text(twin):
            return _careful(probe, dataclasses.replace(surveyed, connection=twin))
    finally:
        twin.close()


@contextlib.contextmanager
def _waited_for() -> Iterator[None]:
    """A lock that outlasts the connection's patience becomes an error with advice."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith("SQLITE_BUSY"):
            raise Locked(
                "The database is kept locked by another process while it is being looked at; stop "
                "the application or try again when it is quiet."
            ) from error
        raise


def _path_of(connection: sqlite3.Connection) -> str:
    """The file that other connections may read as well, empty where there is none."""
    if connection.in_transaction:
        return ""  # what they would see is not what this one sees
    rows = connection.execute("PRAGMA database_list").fetchall()
    return next((file or "" for _, name, file in rows if name == "main"), "")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite stumbled over damaged pages."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def damaged(error: sqlite3.Error) -> Found:
    """The hazard of pages that cannot be read."""
    return Found("integrity_errors", "main", samples=(str(error),))
