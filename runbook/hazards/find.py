"""Brings the probes together: everything about a database's data and schema in one list."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping

from runbook.hazards.advice import advise
from runbook.hazards.census import census
from runbook.hazards.found import Found, as_hazards, check_levels
from runbook.hazards.owners import probe_adopter, probe_owners
from runbook.hazards.rows import probe_references, probe_row_keys, probe_times
from runbook.hazards.schema import probe_in_the_way, probe_missing, probe_oddities
from runbook.hazards.survey import Survey, readable_text, survey
from runbook.hazards.trial import probe_by_trial, probe_views
from runbook.hazards.users import probe_key_index, probe_users
from runbook.plan import Plan
from runbook.records import Hazard

OLDEST_SQLITE = (3, 39, 0)

Advice = Mapping[str, int | float | str]


def find_hazards(
    connection: sqlite3.Connection, plan: Plan, *, samples: int = 10
) -> tuple[Hazard, ...]:
    """All hazards in data and schema, blocking ones first; the database is only read.

    What cannot be looked at because a table or column is missing is left out, and the missing
    thing is a hazard itself.

    Raises:
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
    with readable_text(connection):
        surveyed = survey(connection, plan, samples)
        try:
            with census(surveyed):
                found = list(_probe(surveyed))
                return as_hazards(found, plan), advise(surveyed)
        finally:
            surveyed.clone.close()


def advice(connection: sqlite3.Connection, plan: Plan) -> Advice:
    """What only the data can tell: organizations to come, their sizes, growth (see `advise`)."""
    with readable_text(connection):
        surveyed = survey(connection, plan)
        with census(surveyed):
            return advise(surveyed)


def _probe(surveyed: Survey) -> Iterator[Found]:
    yield from probe_missing(surveyed)
    in_the_way = list(probe_in_the_way(surveyed))
    yield from in_the_way
    yield from probe_users(surveyed)
    yield from probe_adopter(surveyed)
    yield from probe_owners(surveyed)
    yield from probe_times(surveyed)
    yield from probe_row_keys(surveyed)
    yield from probe_key_index(surveyed)
    yield from probe_references(surveyed)
    yield from probe_views(surveyed)
    yield from probe_oddities(surveyed)
    if surveyed.complete and not in_the_way:
        yield from probe_by_trial(surveyed)
