"""Brings the probes together: everything about a database's data and schema in one list."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runbook.cache import Cache
from runbook.hazards.advice import advise
from runbook.hazards.census import census
from runbook.hazards.clone import not_in_clone
from runbook.hazards.collations import probe_collations, stopped
from runbook.hazards.compilation import probe_compiled
from runbook.hazards.generated_columns import probe_checks, probe_generated
from runbook.hazards.key_text import probe_key_text
from runbook.hazards.literals import probe_literals
from runbook.hazards.owners import probe_adopter, probe_owners
from runbook.hazards.parents import probe_parents
from runbook.hazards.row_trial import probe_rows
from runbook.hazards.rows import probe_references, probe_row_keys, probe_times
from runbook.hazards.schema import probe_in_the_way, probe_missing, probe_oddities
from runbook.hazards.sighting import Sighting, as_hazards, check_levels
from runbook.hazards.survey import Survey, survey
from runbook.hazards.trial import probe_by_trial, probe_views
from runbook.hazards.update_triggers import probe_touching
from runbook.hazards.users import probe_key_index, probe_users
from runbook.plan.plan import Plan
from runbook.progress import Progress, no_progress
from runbook.run.findings import Hazard
from runbook.sqlite.connect import Locked, file_uri, readable_text
from runbook.workers import is_small

Probe = Callable[[Survey], Iterable[Sighting]]

_PROBES: tuple[Probe, ...] = (
    probe_adopter,
    probe_owners,
    probe_row_keys,
    probe_key_index,
    probe_key_text,
    probe_collations,
    probe_parents,
    probe_references,
    probe_generated,
    probe_views,
    probe_literals,
    probe_oddities,
)
_SLOW_PROBES: tuple[Probe, ...] = (probe_users, probe_times, probe_rows, probe_checks)

OLDEST_SQLITE = (3, 39, 0)

Advice = Mapping[str, int | float | str]


def inspect_database(
    connection: sqlite3.Connection,
    plan: Plan,
    *,
    samples: int = 10,
    progress: Progress = no_progress,
) -> tuple[tuple[Hazard, ...], Advice]:
    """All hazards in data and schema, blocking ones first, and the advice (see `advise`).

    The database is only read. What cannot be inspected because a table or column is missing is
    left out, and the missing thing is a hazard itself.

    Raises:
        TargetError: another process keeps readers out.
        PlanError: `[hazards]` names an unknown hazard, or makes a blocking one milder.
    """
    check_levels(plan)
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        too_old = Sighting(
            "sqlite_too_old",
            f"SQLite {sqlite3.sqlite_version}",
            remedy=f"Use a Python whose sqlite3.sqlite_version is at least "
            f"{'.'.join(map(str, OLDEST_SQLITE[:2]))}.",
        )
        return as_hazards([too_old], plan), {}
    with readable_text(connection), _lock_explained():
        surveyed = survey(connection, plan, samples)
        try:
            path = _path_of(connection)
            small = bool(path) and is_small(Path(path))
            return _inspect(surveyed, "" if small else path, progress)
        finally:
            surveyed.clone.close()


def _inspect(surveyed: Survey, path: str, progress: Progress) -> tuple[tuple[Hazard, ...], Advice]:
    """All probes; those that read whole tables run during the census, where a large file has
    a `path` for connections of their own.
    """
    plan = surveyed.plan
    with ThreadPoolExecutor(len(_SLOW_PROBES)) as pool:  # SQLite works outside Python's lock
        running = [pool.submit(_careful_elsewhere, p, surveyed, path) for p in _SLOW_PROBES if path]
        sightings: list[Sighting] = []
        advised: Advice = {}
        try:
            with census(surveyed):
                sightings += _probe(surveyed, progress)
                advised = advise(surveyed)
        except sqlite3.DatabaseError as error:  # in the census, which several probes need
            sightings += _explained(error)
        progress("Reading every user and row")
        sightings += [one for future in running for one in future.result()]
    if not path:
        sightings += [one for probe in _SLOW_PROBES for one in _careful(probe, surveyed)]
    unique = dict.fromkeys(sightings)  # damage is met by many probes in the same words
    return as_hazards(unique, plan), advised


def _probe(surveyed: Survey, progress: Progress) -> Iterator[Sighting]:
    yield from probe_missing(surveyed)
    in_the_way = list(probe_in_the_way(surveyed))
    yield from in_the_way
    checks = len(_PROBES) + 1
    for number, probe in enumerate(_PROBES):
        progress("Hazards", number, checks, "checks")
        yield from _careful(probe, surveyed)
    plan = surveyed.plan
    names = [plan.users.table, *(r.table for r in plan.resources)]
    refused = not_in_clone(surveyed.entries, names) if surveyed.complete else {}
    for table, error in refused.items():  # so there is nothing on which it could be tried
        yield Sighting("script_fails", table, remedy=f"SQLite says: {error}. Repair its text.")
    if surveyed.complete and not in_the_way and not refused:
        progress("Trying the script on an empty clone")
        yield from _careful(probe_touching, surveyed)
        yield from _careful_once(probe_by_trial, surveyed)
        yield from _careful_once(probe_compiled, surveyed)


def _careful(probe: Probe, surveyed: Survey) -> list[Sighting]:
    """What the probe reports; damaged pages are a hazard and leave the other probes their turn."""
    sightings: list[Sighting] = []
    try:
        sightings.extend(probe(surveyed))
    except sqlite3.DatabaseError as error:
        sightings += _explained(error)
    return sightings


_by_schema: Cache[tuple[Sighting, ...]] = Cache(32)


def _careful_once(probe: Probe, surveyed: Survey) -> list[Sighting]:
    """The same of what is tried on empty clones: plan and texts of the schema decide it alone."""
    key = (probe, surveyed.entries, surveyed.tables, repr(surveyed.plan), surveyed.samples)
    sightings: list[Sighting] = []

    def try_it() -> tuple[Sighting, ...]:
        sightings.extend(probe(surveyed))
        return tuple(sightings)

    try:
        return list(_by_schema.get(key, try_it))
    except sqlite3.DatabaseError as error:
        return sightings + _explained(error)


def _explained(error: sqlite3.DatabaseError) -> list[Sighting]:
    """The hazard that an error stands for; none where another probe has it.

    Raises:
        sqlite3.DatabaseError: it is something else.
    """
    if stopped(error):
        return []
    if not is_damage(error):
        raise error
    return [damaged(error)]


def _careful_elsewhere(probe: Probe, surveyed: Survey, path: str) -> list[Sighting]:
    """The same on a connection of its own, in another thread."""
    twin = sqlite3.connect(file_uri(Path(path), mode="ro"), uri=True, isolation_level=None)
    try:
        with readable_text(twin):
            return _careful(probe, dataclasses.replace(surveyed, connection=twin))
    finally:
        twin.close()


@contextlib.contextmanager
def _lock_explained() -> Iterator[None]:
    """A lock that outlasts the connection's patience becomes an error with advice."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith("SQLITE_BUSY"):
            raise Locked(
                "The database is kept locked by another process while it is being inspected; stop "
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


def damaged(error: sqlite3.Error) -> Sighting:
    """The hazard of pages that cannot be read."""
    return Sighting("integrity_errors", "main", samples=(str(error),))
