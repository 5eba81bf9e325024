from pathlib import Path

from runbook.plan.plan import Plan, Resource, Unowned, Users
from runbook.plan.shape import Shape
from runbook.script.footprint import declare, is_new_table, outside_columns
from tests.support.databases import connected, execute


def test_twins_that_only_unicode_takes_for_one_are_outside() -> None:
    """SQLite folds ASCII alone: \u00e9 and \u00c9 are two columns, and two tables."""
    plan = Plan(users=Users("users", "id"), resources=(Resource("\u00e9", "by", "\u00e4"),))
    columns = ("by", "\u00e4", "\u00c4")
    assert outside_columns(plan, Shape(), "\u00e9", columns) == ("by", "\u00c4")
    assert outside_columns(plan, Shape(), "\u00c9", columns) == columns
    assert is_new_table("Organizations")
    assert not is_new_table("organization\u017f")


def test_the_adopter_is_no_part_of_a_rule(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(
        path,
        "CREATE TABLE users (id TEXT PRIMARY KEY, email)",
        "CREATE TABLE projects (owner_id, updated_at)",
    )
    with connected(path) as connection:
        lines = declare(connection, Plan(unowned=Unowned("adopt", "Grace")), Shape())
    assert "Grace" not in repr(lines)
