from pathlib import Path

import pytest

from runbook.errors import PlanError
from runbook.plan.plan import Plan, Resource, Users, parse_plan, read_plan


def test_without_a_file_the_plan_is_the_specification() -> None:
    plan = read_plan(None)
    assert plan.users == Users("users", "id", "email")
    assert plan.resources == (Resource("projects", "owner_id", "updated_at"),)
    assert plan.organizations.scope == "users_with_resources"
    assert plan.unowned.policy == "refuse"
    assert plan.proof.untouched == "before"


def test_a_full_plan_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(
        """
[migration]
name = "0009_orgs"
[users]
table = "App Users"
key = "user key"
[[resources]]
table = "docs"
owner = "by"
updated_at = "at"
updated_at_format = "epoch seconds"
[[resources]]
table = "files"
owner = "by"
[organizations]
for = "all_users"
[unowned]
policy = "adopt"
adopter = "7"
[triggers]
policy = "fire"
may_write = ["log"]
[proof]
untouched = "after"
[hazards]
emails_missing = "warn"
"""
    )
    plan = read_plan(path)
    assert plan.users == Users("App Users", "user key", None)
    assert plan.resources[0].updated_at_format == "epoch seconds"
    assert plan.resources[1] == Resource("files", "by")
    assert (plan.organizations.scope, plan.adopts) == ("all_users", True)
    assert plan.triggers.may_write == ("log",)
    assert plan.hazards == {"emails_missing": "warn"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[user]\ntable = 'x'", 'unknown key "user"; did you mean "users"?'),
        ("[users]\ntable = 'x'", 'lacks "key" in [users]'),
        ("[users]\ntable = 1\nkey = 'x'", "users.table must be a text"),
        ("[organizations]\nfro = 'x'", 'did you mean "for"?'),
        ("[organizations]\nfor = 'some'", "use one of"),
        ("[unowned]\npolicy = 'adopt'", "needs adopter"),
        ("[[resources]]\ntable = 'users'\nowner = 'o'", "both as users and as a resource"),
        (
            "[[resources]]\ntable = 'a'\nowner = 'o'\n[[resources]]\ntable = 'A'\nowner = 'o'",
            "twice",
        ),
        ("resources = []", "names no resource"),
        (
            "[[resources]]\ntable = 'a'\nowner = 'o'\nupdated_at_format = 'roman'",
            "is not known; use one of: YYYY-MM-DD HH:MM:SS",
        ),
        ("[triggers]\nmay_write = 'log'", "must be a list"),
        ("[hazards]\nx = 'blok'", "use one of"),
        ("users = 3", "must be a table"),
        ("[migration]\nname = ' '", "name is empty"),
        ('[migration]\nname = "a\\u0000b"', "NUL"),
        ("= 3", "not valid TOML"),
    ],
)
def test_what_no_plan_can_say_is_refused(text: str, says: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(text)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_plan_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="No such file"):
        read_plan(tmp_path / "none.toml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match="not UTF-8"):
        read_plan(tmp_path / "binary")


def test_the_default_plan_is_what_parsing_nothing_gives() -> None:
    assert parse_plan("") == Plan()
