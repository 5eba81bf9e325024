"""Owners counted once: a temporary table for each resource, which several probes then read.

Sorting the owners of a large table is the most expensive thing that preflight does, so it is done
once. The temporary table lives in the connection, never in the database that is inspected.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runbook.hazards.survey import Survey
from runbook.plan.plan import Resource
from runbook.sqlite.quoting import quote_name
from runbook.templates import sql_file


@contextmanager
def census(survey: Survey) -> Iterator[None]:
    """Meanwhile `owners_of` works: value, rows, and `exact` where the owner is a user's key.

    `exact` means identical to the byte and of the same storage class, which is stricter than `=`.
    """
    if not survey.has_users:
        yield
        return
    # A connection that is set to query only refuses temporary tables too.
    (query_only,) = survey.row("PRAGMA query_only")
    try:
        survey.connection.execute("PRAGMA query_only = OFF")
        for resource in survey.resources:
            survey.connection.execute(
                f"CREATE TEMP TABLE {_name(resource)} AS {_count(survey, resource)}"
            )
        yield
    finally:
        for resource in survey.resources:
            survey.connection.execute(f"DROP TABLE IF EXISTS {owners_of(resource)}")
        survey.connection.execute(f"PRAGMA query_only = {query_only}")


def owners_of(resource: Resource) -> str:
    """SQL name of the resource's counted owners."""
    return f"temp.{_name(resource)}"


def is_key(survey: Survey, value: str) -> str:
    """SQL condition: whether the expression `value` is exactly the key of some user.

    The index on the key finds candidates; type and bytes then decide.
    """
    users = survey.plan.users
    key = f"u.{quote_name(users.key)}"
    return (
        f"EXISTS (SELECT 1 FROM main.{quote_name(users.table)} AS u WHERE {key} = {value}"
        f" AND typeof({key}) = typeof({value}) AND {key} COLLATE BINARY = {value})"
    )


def _name(resource: Resource) -> str:
    return quote_name(f"runbook owners {resource.table}")


def _count(survey: Survey, resource: Resource) -> str:
    owner = quote_name(resource.owner)
    return sql_file("hazards/owners_counted").render(
        owner=owner,
        is_key=is_key(survey, f"+r.{owner}"),
        table=quote_name(resource.table),
        keeps_reals=_keeps_reals(survey, resource),
    )


def _keeps_reals(survey: Survey, resource: Resource) -> bool:
    """Whether 1 and 1.0 can stand in the column side by side, which a group would mix up.

    Every declared type converts one into the other, except none at all, BLOB, and ANY.
    """
    table = survey.table(resource.table)
    column = table.column(resource.owner) if table else None
    declared = column.declared.upper() if column else ""
    return not declared or "BLOB" in declared or declared == "ANY"
