"""Whether a migrated database is built so that the witnesses can be asked about its rows at all."""

from __future__ import annotations

from collections.abc import Iterator

from runbook.audit.snapshot import Capture
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.run.findings import Finding
from runbook.script.new_objects import new_columns
from runbook.sqlite.quoting import fold_name, same_name


def structure_findings(
    plan: Plan, shape: Shape, before: Capture, after: Capture
) -> tuple[Finding, ...]:
    """Tables and columns that a query needs and that are not there; another encoding of the text.

    Any of these is a failure by itself, and no witness can say more.
    """
    return (*_encoding(before, after), *_missing(plan, shape, before, after))


def _encoding(before: Capture, after: Capture) -> Iterator[Finding]:
    if before.encoding != after.encoding:
        message = (
            f"the text of the database was {before.encoding} and is {after.encoding}; it was "
            "written anew, so compare it with its backup before anything else"
        )
        yield Finding("sqlite", "(header)", "encoding", "header changed", 1, message)


def _missing(plan: Plan, shape: Shape, before: Capture, after: Capture) -> Iterator[Finding]:
    needed = dict(new_columns(plan, shape))
    for name in (plan.users.table, *(r.table for r in plan.resources)):
        needed[name] = before.table(name).columns
    for resource in plan.resources:
        needed[resource.table] = (*needed[resource.table], "organization_id")
    present = {fold_name(t.name): t.columns for t in after.tables}
    for table, columns in needed.items():
        if fold_name(table) not in present:
            message = f'the table "{table}" is not there any more'
            yield Finding("sqlite", table, "", "table missing", 1, message)
            continue
        for column in columns:
            if not any(same_name(column, each) for each in present[fold_name(table)]):
                message = f'the column "{column}" of "{table}" is not there any more'
                yield Finding("sqlite", table, column, "column missing", 1, message)
