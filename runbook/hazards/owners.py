"""Hazards in the resources' owners: missing, dangling, or equal to a user's key only loosely."""

from __future__ import annotations

from collections.abc import Iterator

from runbook.errors import PlanError
from runbook.hazards.census import is_key, owners_of
from runbook.hazards.remedy import comment
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, column_of, plain
from runbook.plan.plan import Level, Resource
from runbook.plan.shape import Shape, adopter_value
from runbook.run.findings import Sample
from runbook.sqlite.cells import cell_sql, provide_functions
from runbook.sqlite.fields import Field, read_field
from runbook.sqlite.quoting import fold_name, quote_name, quote_value
from runbook.templates import sql_file


def probe_owners(survey: Survey) -> Iterator[Sighting]:
    """Every resource's owners; within `census(survey)`."""
    yield from _nothing(survey)
    for resource in survey.resources:
        yield from _null(survey, resource)
        if survey.has_users:
            yield from _loose(survey, resource)


def _nothing(survey: Survey) -> Iterator[Sighting]:
    """Whether the plan's tables are so empty that no organization would be made."""
    plan = survey.plan
    if plan.adopts or not survey.complete:
        return
    tables = [r.table for r in plan.resources]
    if plan.organizations.scope == "all_users":
        tables.append(plan.users.table)
    if not any(survey.rows(f"SELECT 1 FROM main.{quote_name(t)} LIMIT 1") for t in tables):
        yield Sighting("nothing_to_migrate", ", ".join(map(plain, tables)))


def probe_adopter(survey: Survey) -> Iterator[Sighting]:
    """Whether the user who is to receive rows without an owner exists."""
    plan = survey.plan
    if not plan.adopts or not survey.has_users:
        return
    key, table = quote_name(plan.users.key), quote_name(plan.users.table)
    classes = survey.rows(f"SELECT typeof({key}) FROM main.{table} WHERE {key} IS NOT NULL LIMIT 1")
    key_class = str(classes[0][0]) if classes else "text"
    why = ""
    try:
        shape = Shape(key_class="integer" if key_class == "integer" else "text")
        if key_class == "blob":
            shape = Shape(key_class="blob")
        adopter = adopter_value(plan, shape)
        if survey.rows(f"SELECT 1 WHERE {is_key(survey, ':adopter')}", adopter=adopter):
            return
    except (PlanError, OverflowError) as error:
        why = str(error)
    some = survey.show(f"SELECT {key} FROM main.{table} WHERE {key} IS NOT NULL")
    yield Sighting(
        "adopter_missing",
        "[unowned] adopter",  # its value is a key, so perhaps a name
        samples=some,
        remedy=f"Put the key of an existing user of {plain(plan.users.table)} there"
        f"{', such as one of the examples' if some else ''}.",
        detail=why,
    )


def _null(survey: Survey, resource: Resource) -> Iterator[Sighting]:
    owner = quote_name(resource.owner)
    table = f"main.{quote_name(resource.table)}"
    if survey.has_users:
        (nulls,) = survey.row(f"SELECT sum(rows) FROM {owners_of(resource)} WHERE value IS NULL")
    else:
        (nulls,) = survey.row(f"SELECT sum({owner} IS NULL) FROM {table}")
    if nulls:
        key = row_key(survey, resource)
        yield Sighting(
            "owners_null",
            column_of(resource, resource.owner),
            nulls,
            survey.show(
                f"SELECT {', '.join(key)} FROM {table} WHERE {owner} IS NULL", keys=len(key)
            ),
            _unowned_remedy(
                survey,
                f"SELECT * FROM {plain(resource.table)} WHERE {plain(resource.owner)} IS NULL;",
            ),
            level=_unowned_level(survey),
        )


_KINDS = {
    1: "owners_converted",
    2: "owners_other_case",
    3: "owners_dangling",
}


def _loose(survey: Survey, resource: Resource) -> Iterator[Sighting]:
    """Owners that are not exactly a key, told apart by what they would match if read loosely."""
    owners = owners_of(resource)
    (odd,) = survey.row(f"SELECT count(*) FROM {owners} WHERE value IS NOT NULL AND NOT exact")
    if not odd:
        return
    users = survey.plan.users
    query = sql_file("hazards/owners_not_exact").render(
        owners=owners,
        key=f"u.{quote_name(users.key)}",
        users=f"main.{quote_name(users.table)} AS u",
    )
    provide_functions(survey.connection)
    (encoding,) = survey.connection.execute("PRAGMA encoding").fetchone()
    rows = survey.connection.execute(
        f"SELECT kind, total, {cell_sql('value')}, rows, {cell_sql('key')} FROM (\n{query}\n)"
        " WHERE place <= ? ORDER BY kind, place",
        (max(survey.samples, 1),),
    ).fetchall()
    for kind, code in _KINDS.items():
        mine = [row for row in rows if row[0] == kind]
        if not mine:
            continue
        yield Sighting(
            code,
            column_of(resource, resource.owner),
            int(str(mine[0][1])),
            tuple(
                Sample(
                    (read_field(resource.owner, value, encoding),),
                    before=(
                        Field("rows", "integer", str(count)),
                        *(f for f in [read_field(users.key, key, encoding)] if f.kind != "null"),
                    ),
                )
                for _, _, value, count, key in mine[: survey.samples]
            ),
            _remedy(survey, resource, code),
            level=_unowned_level(survey) if code == "owners_dangling" else None,
        )


def _remedy(survey: Survey, resource: Resource, code: str) -> str:
    users = survey.plan.users
    table, owner = quote_name(resource.table), quote_name(resource.owner)
    users_table, key = quote_name(users.table), quote_name(users.key)
    if code == "owners_dangling":
        query = (
            f"SELECT * FROM {table} AS r WHERE r.{owner} IS NOT NULL AND NOT EXISTS"
            f" (SELECT 1 FROM {users_table} AS u WHERE u.{key} = r.{owner});"
        )
        return _unowned_remedy(survey, query)
    if code == "owners_other_case":
        same = f"lower(trim(u.{key})) = lower(trim({table}.{owner}))"
        return (
            f"UPDATE {table} SET {owner} = (SELECT u.{key} FROM {users_table} AS u WHERE {same})"
            f" WHERE {owner} NOT IN (SELECT {key} COLLATE BINARY FROM {users_table}"
            f" WHERE {key} IS NOT NULL) AND (SELECT count(*) FROM {users_table} AS u"
            f" WHERE {same}) = 1; -- after checking the samples"
        )
    declared = _declared_type(survey)
    new = quote_name(f"{resource.owner}_as_key")
    # An UPDATE alone would not last: the old column's declared type converts the value back.
    return (
        f"ALTER TABLE {table} ADD COLUMN {new} {declared} REFERENCES {users_table}({key});"
        f" UPDATE {table} SET {new} = (SELECT u.{key} FROM {users_table} AS u"
        f" WHERE CAST(u.{key} AS TEXT) = CAST({table}.{owner} AS TEXT));"
        + comment(f"then owner = {quote_value(f'{resource.owner}_as_key')} in the plan")
    )


def _declared_type(survey: Survey) -> str:
    table = survey.table(survey.plan.users.table)
    column = table.column(survey.plan.users.key) if table else None
    return column.declared if column else ""


def _unowned_level(survey: Survey) -> Level | None:
    return "note" if survey.plan.adopts else None


def _unowned_remedy(survey: Survey, query: str) -> str:
    if survey.plan.adopts:
        return f"Nothing: they go to the organization of the adopter. To see them: {query}"
    return (
        f"{query} -- then correct or delete them, or in the plan:"
        ' [unowned] policy = "adopt", adopter = "<key of a user>"'
    )


def row_key(survey: Survey, resource: Resource) -> tuple[str, ...]:
    """SQL expressions that name a row of the resource: its key, or its rowid."""
    table = survey.table(resource.table)
    assert table is not None
    if table.key:
        return tuple(quote_name(c.name) for c in table.key)
    hidden = {fold_name(c.name) for c in table.columns}
    alias = next((a for a in ("rowid", "_rowid_", "oid") if a not in hidden), None)
    return (f"{alias} AS rowid" if alias else "NULL AS rowid",)
