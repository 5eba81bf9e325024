"""Advice that only the data can give: what will be created, for whom, and how large it becomes."""

from __future__ import annotations

from collections.abc import Mapping

from runbook.hazards.census import owners_of
from runbook.hazards.survey import Survey
from runbook.sqlite.quoting import quote_name, quote_value

BANDS = (("1", 1, 1), ("2-5", 2, 5), ("6-20", 6, 20), ("21-100", 21, 100), (">100", 101, None))
"""Rows in an organization: name, least, most."""

# Bytes beside the contents that a row costs in its table and in each of its indexes, measured on
# filled pages (header, rowid, length of each value, the pages' slack).
_ROW, _INDEX_ENTRY = 24, 14
_TIME = 19


def advise(survey: Survey) -> Mapping[str, int | float | str]:
    """Counts in rows, growth in bytes; within `census(survey)`. Empty where tables are missing.

    `organizations`, `memberships` and `assigned.<table>` are the rows that each step will write,
    exact for a database without blocking hazards that nobody writes to.
    """
    if not survey.has_users or len(survey.resources) < len(survey.plan.resources):
        return {}
    plan = survey.plan
    key, table = quote_name(plan.users.key), f"main.{quote_name(plan.users.table)}"
    users, key_bytes = survey.row(f"SELECT count(*), avg(length({key})) FROM {table}")
    sizes = _sizes(survey)
    with_rows = sum(count for count, _ in sizes.values())
    organizations = users if plan.organizations.scope == "all_users" else with_rows
    advice: dict[str, int | float | str] = {
        "users": users,
        "users_without_organization": users - organizations,
        "organizations": organizations,
        "memberships": organizations,
    }
    assigned = {
        r.table: survey.row(f"SELECT count(*) FROM main.{quote_name(r.table)}")[0]
        for r in plan.resources
    }
    advice |= {f"assigned.{name}": rows for name, rows in assigned.items()}
    advice |= {f"organizations_with_{name}_rows": sizes[name][0] for name in sizes if name != "0"}
    advice["organizations_with_0_rows"] = organizations - with_rows + sizes["0"][0]
    advice["largest_organization"] = max(most for _, most in sizes.values())
    advice["median_organization"] = _median(survey)
    advice["growth_bytes"] = growth(organizations, sum(assigned.values()), int(key_bytes))
    return advice


def growth(organizations: int, assigned: int, key_bytes: int) -> int:
    """Estimated growth of the database in bytes, from rows and the mean length of a key.

    An organization is a row (id, name, slug, owner, type, settings, two times) with indexes on id,
    slug, owner and type; its membership a row with indexes on id, organization and user, and user.
    An assigned row gains an id in itself and in the index on it. Slugs take twice the key.
    """
    identifier, slug = key_bytes + 4, 2 * key_bytes + 9
    organization = _ROW + identifier + 25 + slug + key_bytes + 10 + 2 * _TIME
    organization += 4 * _INDEX_ENTRY + identifier + slug + key_bytes + 8
    membership = _ROW + 2 * identifier + key_bytes + 5 + 3 * _TIME
    membership += 3 * _INDEX_ENTRY + 2 * identifier + 2 * key_bytes
    # Rows that grow inside full pages split them, which leaves about a third of the space empty.
    resource = (identifier + 2) * 2 + _INDEX_ENTRY
    return int(organizations * (organization + membership) + assigned * resource)


def _per_owner(survey: Survey) -> str:
    """SQL for (owner, rows) over all resources, each row where the migration will put it."""
    plan = survey.plan
    parts = []
    for resource in survey.resources:
        owners = owners_of(resource)
        parts.append(f"SELECT value AS owner, rows FROM {owners} WHERE exact")
        if plan.adopts:
            adopted = (
                f"coalesce((SELECT sum(rows) FROM {owners} WHERE NOT exact OR exact IS NULL), 0)"
            )
            parts.append(f"SELECT {_adopter(survey)}, {adopted}")
    union = " UNION ALL ".join(parts)
    if len(parts) == 1:
        return union
    return f"SELECT owner, sum(rows) AS rows FROM ({union}) WHERE owner IS NOT NULL GROUP BY owner"


def _adopter(survey: Survey) -> str:
    """SQL for the adopter's key in its own type, NULL where there is no such user."""
    users = survey.plan.users
    key, text = quote_name(users.key), quote_value(survey.plan.unowned.adopter)
    return (
        f"(SELECT {key} FROM main.{quote_name(users.table)} WHERE {key} = {text}"
        f" OR (typeof({key}) = 'blob' AND lower(hex({key})) = lower({text})) LIMIT 1)"
    )


def _sizes(survey: Survey) -> dict[str, tuple[int, int]]:
    """Band to (organizations, largest), with a band "0" for an adopter who receives nothing."""
    columns = ["sum(rows = 0)", "0"]
    for _, least, most in BANDS:
        inside = f"rows >= {least}" + (f" AND rows <= {most}" if most else "")
        columns += [f"sum({inside})", f"max(CASE WHEN {inside} THEN rows END)"]
    values = survey.row(f"SELECT {', '.join(columns)} FROM ({_per_owner(survey)})")
    names = ["0", *(name for name, _, _ in BANDS)]
    return {name: (values[2 * i], values[2 * i + 1]) for i, name in enumerate(names)}


def _median(survey: Survey) -> int:
    """The size of the organization in the middle; from a count by size, so nothing is sorted."""
    total = 0
    counted = survey.rows(
        f"SELECT rows, count(*) FROM ({_per_owner(survey)}) WHERE rows > 0 GROUP BY rows"
    )
    middle = (sum(int(str(n)) for _, n in counted) + 1) // 2
    for rows, number in counted:
        total += int(str(number))
        if total >= middle:
            return int(str(rows))
    return 0
