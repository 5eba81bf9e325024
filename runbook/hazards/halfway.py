"""Recognises a migration that was begun by hand and stopped, and writes the way out.

The steps are those of the usual script for this change, which people run statement by statement:
add the column, create the two tables, fill them, assign the rows, add the index. The shell goes on
after an error, so a later step may have run although an earlier one failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runbook.hazards.halfway_values import keeping_script, of_the_application, subjects
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, plain
from runbook.plan.plan import Resource
from runbook.script.migration import index_name
from runbook.sqlite.quoting import fold_name, quote_name

_STEPS_BY_HAND = (
    "add organization_id",
    "create organizations",
    "create organization_memberships",
    "backfill personal organizations",
    "backfill owner memberships",
    "assign resources",
    "add the index for organization lookups",
)

NEW_INDEXES = ("idx_organizations_owner", "idx_organizations_type", "idx_memberships_user")
_ORGANIZATION = {"id", "name", "slug", "owner_id", "type"}
_MEMBERSHIP = {"organization_id", "user_id", "role"}


@dataclass(frozen=True)
class Traces:
    """What of the steps is there; `done` are their numbers from 1."""

    done: tuple[int, ...]
    columns: tuple[Resource, ...]
    tables: tuple[str, ...]
    indexes: tuple[str, ...]
    objects: tuple[str, ...]
    touched: bool
    """Whether updated_at bears one and the same value in every row, as step 6 leaves it."""


def probe_half_done(survey: Survey) -> Iterator[Sighting]:
    """At most one hazard, which names the step reached and the SQL that leads back."""
    traces = _traces(survey)
    if traces is None:
        return
    reasons = of_the_application(survey, traces.columns)
    if reasons:
        own = [index_name(r) for r in survey.plan.resources]
        needed = frozenset(fold_name(name) for name in (*NEW_INDEXES, *own))
        yield Sighting(
            "own_organizations",
            subjects(survey, traces.columns),
            len(traces.objects),
            traces.objects,
            keeping_script(survey, traces.columns, needed),
            detail=f"{'; '.join(reasons)}.",
        )
        return
    yield Sighting(
        "half_done",
        _reached(traces),
        len(traces.objects),
        traces.objects,
        _way_out(traces),
        detail=_what_it_means(traces),
    )


def _traces(survey: Survey) -> Traces | None:
    resources = tuple(r for r in survey.plan.resources if survey.has(r.table, "organization_id"))
    organizations = survey.table("organizations")
    memberships = survey.table("organization_memberships")
    if not resources or (organizations and not survey.has("organizations", *_ORGANIZATION)):
        return None
    if memberships and not survey.has("organization_memberships", *_MEMBERSHIP):
        return None
    assigned = any(
        _any_row(survey, f"{quote_name(r.table)} WHERE organization_id IS NOT NULL")
        for r in resources
    )
    if assigned and not organizations:
        return None  # a column of the application's own
    names = {fold_name(e.name) for e in survey.entries if e.kind == "index"}
    signs = (
        len(resources) == len(survey.plan.resources),
        organizations is not None,
        memberships is not None,
        organizations is not None and _any_row(survey, "organizations"),
        memberships is not None and _any_row(survey, "organization_memberships"),
        assigned,
        all(fold_name(index_name(r)) in names for r in resources),
    )
    tables = tuple(
        t.name for t in (memberships, organizations) if t is not None
    )  # the child first: dropping the parent would cascade into it
    indexes = tuple(i for r in resources for i in _indexes_on_the_column(survey, r))
    on_tables = tuple(
        e.name
        for e in survey.entries
        if e.kind == "index" and fold_name(e.table) in {fold_name(t) for t in tables}
    )
    columns = tuple(f"{plain(r.table)}.organization_id" for r in resources)
    return Traces(
        done=tuple(number for number, sign in enumerate(signs, 1) if sign),
        columns=resources,
        tables=tables,
        indexes=indexes,
        objects=(*columns, *reversed(tables), *on_tables, *indexes),
        touched=any(_one_time(survey, r) for r in resources),
    )


def _any_row(survey: Survey, source: str) -> bool:
    return bool(survey.rows(f"SELECT 1 FROM main.{source} LIMIT 1"))


def _indexes_on_the_column(survey: Survey, resource: Resource) -> list[str]:
    """Names of the indexes that were created over the resource's organization_id."""
    rows = survey.rows(
        "SELECT i.name FROM pragma_index_list(?) AS i WHERE i.origin = 'c' AND EXISTS"
        " (SELECT 1 FROM pragma_index_info(i.name) AS c WHERE lower(c.name) = 'organization_id')",
        resource.table,
    )
    return [str(name) for (name,) in rows]


def _one_time(survey: Survey, resource: Resource) -> bool:
    if not survey.has(resource.table, resource.updated_at) or resource.updated_at is None:
        return False
    column = quote_name(resource.updated_at)
    rows, same = survey.row(
        f"SELECT count(*), min({column}) = max({column}) FROM main.{quote_name(resource.table)}"
    )
    return rows > 1 and bool(same)


def _rolled_back(traces: Traces) -> bool:
    """The column without the tables, all NULL, and a sign that more had been there."""
    return traces.done in ((1, 7), (7,)) or (traces.done == (1,) and traces.touched)


def _reached(traces: Traces) -> str:
    if _rolled_back(traces):
        return "rolled back by hand: the tables are gone, organization_id is left"
    done, total = traces.done, len(_STEPS_BY_HAND)
    if not done:
        return f"within step 1 of {total} ({_STEPS_BY_HAND[0]})"
    if done == tuple(range(1, len(done) + 1)):
        return f"step {len(done)} of {total} ({_STEPS_BY_HAND[len(done) - 1]})"
    missing = [n for n in range(1, max(done) + 1) if n not in done]
    name = _STEPS_BY_HAND[max(done) - 1]
    return f"step {max(done)} of {total} ({name}), without {_numbers(missing)}"


def _numbers(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"step {numbers[0]}"
    return f"steps {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _what_it_means(traces: Traces) -> str:
    parts = []
    if _rolled_back(traces):
        parts.append(
            "The usual rollback script has been run: it empties the column and drops the tables,"
            " but leaves the column and its index."
        )
    elif traces.done == (1,):
        parts.append("It may also be what a rollback script left after an early step.")
    elif traces.done == tuple(range(1, 8)):
        parts.append("All steps were applied by hand, and nothing has proven the result.")
    if 6 in traces.done or (_rolled_back(traces) and traces.touched):
        parts.append(
            "The rows were marked as changed; when they were changed before, only a backup knows."
        )
    return " ".join(parts)


def _way_out(traces: Traces) -> str:
    """SQL that takes every trace away, in one transaction."""
    lines = ["BEGIN IMMEDIATE;"]
    lines += [f"DROP INDEX {quote_name(name)};" for name in traces.indexes]
    lines += [
        f"ALTER TABLE {quote_name(r.table)} DROP COLUMN organization_id;" for r in traces.columns
    ]
    lines += [f"DROP TABLE {quote_name(name)};" for name in traces.tables]
    return "\n".join([*lines, "COMMIT;"])
