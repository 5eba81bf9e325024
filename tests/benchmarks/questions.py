"""Ten questions that a person would ask of the snapshots of a run, masked as they are by default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

SECONDS = 3.0
"""In which each is to be answered at 5,000,000 rows."""

QUESTIONS = {
    "rows of every kind": (
        "SELECT (SELECT count(*) FROM after.projects), (SELECT count(*) FROM after.users)"
    ),
    "projects without organization": (
        "SELECT count(*) FROM after.projects WHERE organization_id IS NULL"
    ),
    "rows of one owner before": (
        "FROM before.projects WHERE owner_id = 'usr_00000001' ORDER BY id"
    ),
    "rows of one organization": (
        "FROM after.projects WHERE organization_id = 'org-usr_00000001' ORDER BY id"
    ),
    "members of one organization": (
        "FROM members WHERE organization_id = 'org-usr_00000001' ORDER BY user_id"
    ),
    "largest organizations": "FROM largest_organizations LIMIT 10",
    "sizes of organizations": (
        "SELECT number_of_rows, count(*) FROM largest_organizations GROUP BY ALL ORDER BY ALL"
    ),
    "users who see other rows": (
        "SELECT count(*) FROM rows_of_users WHERE rows_before <> rows_after"
    ),
    "projects made in each month": (
        "SELECT substr(created_at, 1, 7) AS month, count(*) FROM before.projects"
        " GROUP BY ALL ORDER BY ALL"
    ),
    "changed cells by column": (
        "SELECT change, column_name, count(*) FROM changes.projects GROUP BY ALL ORDER BY ALL"
    ),
}


def slow(figures: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """The questions that were not answered in time, in words."""
    for name in QUESTIONS:
        wall = figures.get(f"explore: ask: {name}", {}).get("wall", 0.0)
        if wall > SECONDS:
            yield f"explore: {name}: {wall:.2f} s, aimed at {SECONDS:g}"
