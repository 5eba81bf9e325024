"""Each invariant, broken on purpose: all three witnesses see it, and see nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.plan.plan import Plan, Unowned
from runbook.run.findings import render_sample
from runbook.stages import verify
from runbook.templates import sql_files
from tests.support.runs import begin, until_migrated
from tests.support.small_schema import KEYS, PLAN, SCHEMA
from tests.support.witnessed import Migrated, broken, execute, migrate, witnesses

TEAM = (
    "INSERT INTO organizations (id, name, slug, owner_id, type) VALUES ('team', '', '', {}, '{}');"
)
MEMBER = (
    "INSERT INTO organization_memberships (id, organization_id, user_id, role)"
    " VALUES ('m', {}, {}, '{}');"
)
ORG = "(SELECT id FROM organizations WHERE owner_id = {})"

PLANTED: dict[str, tuple[str, dict[str, int]]] = {
    "a resource without organization": (
        "UPDATE projects SET organization_id = NULL WHERE id <= 2;"
        " UPDATE notes SET organization_id = NULL WHERE rowid = 1;",
        {"resources_without_organization": 3, "queries_disagree": 3},
    ),
    "a missing organization": (
        "UPDATE projects SET organization_id = 'org-nobody' WHERE id = 2;",
        {"resources_of_missing_organization": 1, "queries_disagree": 1},
    ),
    "another owner's organization": (
        f"UPDATE projects SET organization_id = {ORG.format('{u2}')} WHERE owner_id = {{u1}};"
        f" UPDATE notes SET organization_id = {ORG.format('{u1}')} WHERE owner_id = {{u2}};",
        {"resources_of_another_owner": 3, "queries_disagree": 3},
    ),
    "another owner": (
        "UPDATE projects SET owner_id = {u3} WHERE owner_id = {u2};",
        {"resources_of_another_owner": 1, "queries_disagree": 1},
    ),
    "no owner": (
        "UPDATE notes SET owner_id = NULL WHERE owner_id = {u2};",
        {"resources_of_another_owner": 1, "queries_disagree": 1},
    ),
    "a second reader": (
        MEMBER.format(ORG.format("{u1}"), "{u2}", "member"),
        {"queries_disagree": 4},
    ),
    "no personal organization": (
        "UPDATE organizations SET type = 'team' WHERE owner_id = {u2};"
        " UPDATE organizations SET type = NULL WHERE owner_id = {u3};",
        {"queries_disagree": 3},
    ),
    "an owner who is no member": (
        TEAM.format("{u4}", "team"),
        {"organizations_without_owner_membership": 1},
    ),
    "a lesser role": (
        "UPDATE organization_memberships SET role = 'viewer' WHERE user_id IN ({u1}, {u3});",
        {"owner_memberships_without_owner_role": 2},
    ),
    "an owner who does not exist": (
        TEAM.format("{ghost}", "team") + MEMBER.format("'team'", "{ghost}", "owner"),
        {"references_to_nothing": 2},
    ),
    "a membership of nothing": (
        MEMBER.format("'nothing'", "{u4}", "member"),
        {"references_to_nothing": 1},
    ),
    "a row gained": (
        "INSERT INTO projects (owner_id, organization_id)"
        " SELECT owner_id, organization_id FROM projects WHERE id = 1;",
        {"rows_lost_or_gained": 1},
    ),
    "rows lost": (
        "DELETE FROM projects WHERE id > 1; DELETE FROM notes;",
        {"rows_lost_or_gained": 2},
    ),
    "two personal organizations": (
        TEAM.format("{u1}", "personal") + MEMBER.format("'team'", "{u1}", "owner"),
        {"users_with_several_personal_organizations": 1},
    ),
    "a user without organization": (
        "DELETE FROM organization_memberships WHERE user_id = {u4};"
        " DELETE FROM organizations WHERE owner_id = {u4};",
        {"users_without_organization": 1},
    ),
    "a membership lost": (
        "DELETE FROM organization_memberships WHERE user_id = {u1};",
        {
            "organizations_without_owner_membership": 1,
            "users_without_organization": 1,
            "queries_disagree": 4,
        },
    ),
    "a membership in other hands": (
        "UPDATE organization_memberships SET user_id = {u2} WHERE user_id = {u3};",
        {
            "organizations_without_owner_membership": 1,
            "users_without_organization": 1,
            "queries_disagree": 1,
        },
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=["TEXT", "INTEGER", "BLOB"])
def migrated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Migrated]:
    type_ = request.param
    encoding = "UTF-16le" if type_ == "TEXT" else "UTF-8"
    schema = SCHEMA.format(type=type_, **KEYS[type_])
    folder = tmp_path_factory.mktemp(type_)
    return type_, migrate(folder, schema, plan=PLAN, encoding=encoding)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_seen_by_all_three(
    name: str, migrated: tuple[str, Migrated]
) -> None:
    type_, done = migrated
    statements, expected = PLANTED[name]
    seen = broken(done, statements.format(**KEYS[type_]))
    assert seen.violated == expected
    for invariant, asked in seen.asked.items():
        assert bool(asked.samples) == (invariant in expected)


@pytest.mark.parametrize(
    ("statement", "places"),
    [
        (
            "UPDATE projects SET organization_id = NULL WHERE id <= 2;"
            " UPDATE notes SET organization_id = NULL WHERE rowid = 1;",
            ' 3 rows (2 in "projects", 1 in "notes")',
        ),
        ("UPDATE notes SET organization_id = NULL WHERE rowid = 1;", ' 1 row in "notes"'),
    ],
)
def test_a_violation_names_the_tables_that_it_is_in(
    tmp_path: Path, statement: str, places: str
) -> None:
    execute(tmp_path / "app.db", SCHEMA.format(type="TEXT", **KEYS["TEXT"]))
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[users]\ntable = "users"\nkey = "id"\nemail = "email"\n'
        '[[resources]]\ntable = "projects"\nowner = "owner_id"\n'
        '[[resources]]\ntable = "notes"\nowner = "owner_id"\n'
    )
    run = until_migrated(begin(tmp_path / "app.db", tmp_path / "run", plan))
    execute(tmp_path / "app.db", statement)
    (message,) = [
        f.message
        for f in verify.verify(run).findings
        if f.change == "invariant resources_without_organization"
    ]
    assert message.endswith(f"is violated by{places}")


def test_nothing_is_seen_where_nothing_was_planted(migrated: tuple[str, Migrated]) -> None:
    seen = witnesses(migrated[1])
    assert seen.violated == {}
    assert seen.pandas.findings == ()


def test_every_invariant_is_planted_and_explained() -> None:
    files = sql_files("invariants")
    assert {name for _, expected in PLANTED.values() for name in expected} == {
        f.name for f in files
    }
    for file in files:
        assert file.title
        assert file.why
        assert file.when in ("before commit", "after commit")


def test_only_users_with_resources_need_an_organization_where_the_plan_says_so(
    tmp_path: Path,
) -> None:
    plan = Plan(resources=PLAN.resources)
    done = migrate(tmp_path, SCHEMA.format(type="TEXT", **KEYS["TEXT"]), plan=plan)
    assert witnesses(done).violated == {}
    # The note makes the fourth user one who needs an organization, and has none.
    seen = broken(done, "INSERT INTO notes VALUES ('d', 'org-a');")
    assert seen.violated == {
        "rows_lost_or_gained": 1,
        "users_without_organization": 1,
        "resources_of_another_owner": 1,
        "queries_disagree": 1,
    }


def test_adopted_rows_belong_to_the_adopter(tmp_path: Path) -> None:
    plan = Plan(resources=PLAN.resources, unowned=Unowned("adopt", "d"))
    unowned = "INSERT INTO notes VALUES (NULL), ('ghost');"
    done = migrate(tmp_path, SCHEMA.format(type="TEXT", **KEYS["TEXT"]), unowned, plan=plan)
    assert witnesses(done).violated == {}
    seen = broken(done, "UPDATE notes SET organization_id = 'org-a' WHERE owner_id IS NULL;")
    assert seen.violated == {"resources_of_another_owner": 1, "queries_disagree": 1}
    seen = broken(done, "UPDATE notes SET owner_id = 'a' WHERE owner_id = 'ghost';")
    assert seen.violated == {"resources_of_another_owner": 1, "queries_disagree": 1}


def test_samples_name_the_table_the_row_and_what_is_wrong(tmp_path: Path) -> None:
    done = migrate(tmp_path, SCHEMA.format(type="TEXT", **KEYS["TEXT"]), plan=PLAN)
    seen = broken(done, "UPDATE projects SET organization_id = 'org-b' WHERE id = 1;")
    (sample,) = seen.asked["resources_of_another_owner"].samples
    shown = render_sample(sample)
    assert shown.key == "projects id=1"
    assert shown.after == "owner='a', organization_owner='b'"
