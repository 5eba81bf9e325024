"""Whether what looks like a migration by hand is one: every value compared with the rule.

Tables called organizations may be the application's own. A remedy may take away only what the
rules of the migration give back: so ids, slugs, names, memberships and assignments are computed
again, and one value, row, column or reference that no rule makes is enough to keep everything.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from runbook.hazards.clone import empty_clone
from runbook.hazards.survey import Survey, Table, column_of, plain
from runbook.plan.plan import Resource
from runbook.plan.shape import Shape, read_shape
from runbook.script.migration import rule, template_values
from runbook.sqlite.quoting import fold_name, quote_name, same_name
from runbook.sqlite.sql_text import tokens
from runbook.wording import counted

ORGANIZATIONS, MEMBERSHIPS = "organizations", "organization_memberships"

_COLUMNS = {
    ORGANIZATIONS: frozenset(
        ("id", "name", "slug", "owner_id", "type", "settings", "created_at", "updated_at")
    ),
    MEMBERSHIPS: frozenset(
        (
            *("id", "organization_id", "user_id", "role", "invited_by", "invited_at"),
            *("accepted_at", "created_at", "updated_at"),
        )
    ),
}
_SHOWN = 3


def of_the_application(survey: Survey, resources: tuple[Resource, ...]) -> tuple[str, ...]:
    """What shows that organizations are the application's own; empty where a rule gave it all.

    Args:
        survey: the database.
        resources: those of the plan that have an organization_id.
    """
    tables = [t for t in map(survey.table, _COLUMNS) if t is not None]
    if not survey.complete:
        return tuple(f"{plain(t.name)} cannot be compared with the rule" for t in tables)
    shape = read_shape(survey.connection, survey.plan)
    reasons = [reason for table in tables for reason in _around(survey, table)]
    checks = [*_rows_by_rule(survey, shape), *_assignments(survey, shape, resources)]
    for noun, which, source, condition in checks:
        (count,) = survey.row(f"SELECT count(*) FROM {source} WHERE NOT ifnull({condition}, 0)")
        if count:
            reasons.append(f"{counted(count, noun)} {which}")
    return tuple(reasons)


def _around(survey: Survey, table: Table) -> Iterator[str]:
    """Columns, triggers and references that no step of the migration makes."""
    expected = _COLUMNS[fold_name(table.name)]
    strange = [c.name for c in table.columns if fold_name(c.name) not in expected]
    if strange:
        names = ", ".join(map(plain, strange[:_SHOWN]))
        yield f"{plain(table.name)} has columns of its own ({names})"
    triggers = [
        e.name for e in survey.entries if e.kind == "trigger" and same_name(e.table, table.name)
    ]
    if triggers:
        yield f"{plain(table.name)} has triggers ({', '.join(map(plain, triggers[:_SHOWN]))})"
    ours = {*_COLUMNS, *(fold_name(r.table) for r in survey.plan.resources)}
    others = [
        str(name)
        for (name,) in survey.rows(
            "SELECT DISTINCT m.name FROM main.sqlite_schema AS m, pragma_foreign_key_list(m.name)"
            " AS f WHERE m.type = 'table' AND lower(f.\"table\") = lower(?)",
            table.name,
        )
        if fold_name(str(name)) not in ours
    ]
    if others:
        yield f"{', '.join(map(plain, others[:_SHOWN]))} refers to {plain(table.name)}"


def _rows_by_rule(survey: Survey, shape: Shape) -> Iterator[tuple[str, str, str, str]]:
    """What to count (a noun, and which), the rows, and the condition that a rule gives the row."""
    plan = survey.plan
    users, key = f"main.{quote_name(plan.users.table)}", f"u.{quote_name(plan.users.key)}"
    email = f"u.{quote_name(plan.users.email)}" if plan.users.email else None
    identifier = rule("organization_id(key)", plan, shape, key=key)
    if survey.table(ORGANIZATIONS):
        name = rule(
            f"organization_name({'email' if email else 'none'})", plan, shape, email=email or ""
        )
        # The widespread script has a slug of random digits, and cuts every e-mail at its first @.
        by_hand = "'Personal Workspace'"
        if email:
            by_hand = (
                f"coalesce(substr({email}, 1, instr({email}, '@') - 1) || '''s Workspace',"
                f" {by_hand})"
            )
        slug = rule("slug(key)", plan, shape, key=key)
        random_slug = (
            "(o.slug GLOB 'personal-????????*' AND NOT substr(o.slug, 10) GLOB '*[^0-9a-f]*')"
        )
        settings = survey.has(ORGANIZATIONS, "settings")
        yield (
            "organization",
            "that no rule of the migration gives",
            f"main.organizations AS o LEFT JOIN {users} AS u ON {key} = o.owner_id",
            f"{key} IS NOT NULL AND o.id = {identifier} AND o.type = 'personal'"
            f" AND o.name IN ({name}, {by_hand}) AND (o.slug = {slug} OR {random_slug})"
            + (" AND coalesce(o.settings, '{}') = '{}'" if settings else ""),
        )
    if survey.table(MEMBERSHIPS):
        conditions = [f"{key} IS NOT NULL", f"m.organization_id = {identifier}", "m.role = 'owner'"]
        conditions += [
            f"m.{column} IS NULL"
            for column in ("invited_by", "invited_at")
            if survey.has(MEMBERSHIPS, column)
        ]
        if survey.has(MEMBERSHIPS, "id"):
            conditions.append(f"m.id = {rule('membership_id(key)', plan, shape, key=key)}")
        yield (
            "membership",
            "that no rule of the migration gives",
            f"main.organization_memberships AS m LEFT JOIN {users} AS u ON {key} = m.user_id",
            " AND ".join(conditions),
        )


def _assignments(
    survey: Survey, shape: Shape, resources: tuple[Resource, ...]
) -> Iterator[tuple[str, str, str, str]]:
    """The same for the rows of resources: none, or the organization of the row's owner."""
    subjects = template_values(survey.plan, shape)["resources"]
    assert isinstance(subjects, list)
    for resource, subject in zip(survey.plan.resources, subjects, strict=True):
        if resource not in resources:
            continue
        identifier = rule("organization_id(key)", survey.plan, shape, key=subject["belongs_to"])
        yield (
            "row",
            f"of {plain(resource.table)} whose organization no rule of the migration gives",
            f"main.{quote_name(resource.table)} AS r",
            f"r.organization_id IS NULL OR r.organization_id = {identifier}",
        )


def keeping_script(survey: Survey, resources: tuple[Resource, ...], needed: frozenset[str]) -> str:
    """A script that gives the application's tables, columns and indexes names of their own.

    `needed` are the folded names of indexes that the migration makes.
    """
    taken = {fold_name(e.name) for e in survey.entries} | {fold_name(t.name) for t in survey.tables}
    lines = []
    for entry in survey.entries:
        if entry.kind == "index" and fold_name(entry.name) in needed:
            own = _free(entry.name, taken)
            on = next(t for t in tokens(entry.sql) if t.word == "ON")
            unique = " UNIQUE" if tokens(entry.sql)[1].word == "UNIQUE" else ""
            lines += [
                f"DROP INDEX {quote_name(entry.name)};",
                f"CREATE{unique} INDEX {quote_name(own)} {entry.sql[on.start :]};",
            ]
    for name in _COLUMNS:
        table = survey.table(name)
        if table is not None:
            own = _free(table.name, taken)
            lines.append(f"ALTER TABLE {quote_name(table.name)} RENAME TO {quote_name(own)};")
    for resource in resources:
        table = survey.table(resource.table)
        column = table.column("organization_id") if table else None
        if table is None or column is None:
            continue
        own = _free(column.name, {fold_name(c.name) for c in table.columns})
        lines.append(
            f"ALTER TABLE {quote_name(table.name)} RENAME COLUMN {quote_name(column.name)}"
            f" TO {quote_name(own)};"
        )
    script = "\n".join(["BEGIN IMMEDIATE;", *lines, "COMMIT;"])
    with contextlib.closing(empty_clone(survey.entries)) as clone:
        try:
            clone.executescript(script)
        except sqlite3.Error:  # a broken view or trigger, which this setting leaves as it is
            return f"PRAGMA writable_schema = ON;\n{script}\nPRAGMA writable_schema = OFF;"
    return script


def _free(name: str, taken: set[str]) -> str:
    """A name like this one that nothing has yet; it counts as taken from then on."""
    number = 1
    while fold_name(own := f"{name}_own" + (str(number) if number > 1 else "")) in taken:
        number += 1
    taken.add(fold_name(own))
    return own


def subjects(survey: Survey, resources: tuple[Resource, ...]) -> str:
    """The application's own tables and columns, as a subject for readers."""
    tables = [plain(t.name) for t in map(survey.table, _COLUMNS) if t is not None]
    return ", ".join([*tables, *(column_of(r, "organization_id") for r in resources)])
