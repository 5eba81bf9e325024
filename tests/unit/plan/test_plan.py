import contextlib
import dataclasses
import re
from pathlib import Path

import pytest

from runbook.errors import PlanError
from runbook.plan.plan import Plan, Resource, Users
from runbook.plan.read import parse_plan, read_plan


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
        (
            "[users]\ntable = 1\nkey = 'x'",
            "[users] table must be a string, not 1; write it in quotes",
        ),
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
        ("[triggers]\nmay_write = 'log'", '[triggers] may_write must be a list, not "log"'),
        ("[triggers]\nmay_write = ['a', 2]", "[triggers] entry 2 of may_write must be a string"),
        ("[window.health]\nurl = 'http://a'\nstatus = '200'", 'must be a whole number, not "200"'),
        ("[window.health]\nurl = 'http://a'\nstatus = true", "must be a whole number, not true"),
        (
            "[[resources]]\ntable = 'a'\nowner = 'o'\n[[resources]]\ntable = 'b'\nowner = 3",
            "[[resources]] number 2 owner must be a string, not 3",
        ),
        (
            "[[resources]]\ntable = 'a'\nonwer = 'o'",
            'an unknown key "onwer" in [[resources]] number 1; did you mean "owner"?',
        ),
        ("resources = [3]", "[[resources]] number 1 must be a table, not 3"),
        ("[zzz]", 'unknown key "zzz"; use one of "migration", "users"'),
        ("[hazards]\nx = 'blok'", '[hazards] x = "blok" is not known; use one of "block"'),
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


def test_a_mark_before_the_text_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_bytes(b"\xef\xbb\xbf[migration]\r\nname = 'x'\r\n")
    assert read_plan(path).migration.name == "x"


def test_names_are_the_same_where_sqlite_says_so() -> None:
    two = "[users]\ntable = 'users'\nkey = 'id'\n" + "".join(
        f"[[resources]]\ntable = '{name}'\nowner = 'o'\n" for name in ("\u00e9", "\u00c9")
    )
    assert len(parse_plan(two).resources) == 2


def test_the_default_plan_is_what_parsing_nothing_gives() -> None:
    assert parse_plan("") == Plan()


VALUES = ("1", "-1", "0.5", "nan", "true", "'x'", "''", "[]", "[1]", "['x']", "{}", "{x = 1}")


@pytest.mark.parametrize("value", [*VALUES, "1979-05-27", "[[1]]", "[{}]", "'\\u0000('"])
def test_any_value_at_any_place_is_read_or_refused_in_words(value: str) -> None:
    """Never anything but a plan or a sentence that names the file and the place."""
    fields = {f.name: f.metadata.get("key", f.name) for f in dataclasses.fields(Plan)}
    for section in fields.values():
        for text in (f"{section} = {value}", f"[{section}]\nx = {value}", f"[[{section}]]"):
            _read_or_refuse(text, section)
    for part in ("health", "maintenance", "deploy", "maintenance_off"):
        for key in ("url", "status", "text", "timeout", "every", "command", "shell"):
            _read_or_refuse(f"[window.{part}]\n{key} = {value}", part)
    for key in ("logs", "pattern", "query_seconds"):
        _read_or_refuse(f"[monitor]\n{key} = {value}", "monitor")


def _read_or_refuse(text: str, place: str) -> None:
    with contextlib.suppress(PlanError):
        parse_plan(text, source="p.toml")
        return
    with pytest.raises(PlanError) as caught:
        parse_plan(text, source="p.toml")
    assert re.fullmatch(r"p\.toml\b.*[.?]", str(caught.value), re.DOTALL)
    assert place in str(caught.value)
