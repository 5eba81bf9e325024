"""Which SQL is judged old, and above all which is not."""

import pytest

from runbook.scan import ResourceNames
from runbook.scan.literal import Text
from runbook.scan.queries import judge, mentions_organizations
from runbook.scan.statements import statements

PROJECTS = ResourceNames()


def judged(sql, *resources):
    resources = resources or (PROJECTS,)
    names = [resource.table.lower() for resource in resources]
    found = [judge(statement, resources) for statement in statements(Text(sql), names)]
    return [(judgement.kind, judgement.sure) for judgement in found if judgement]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM projects WHERE owner_id = ?",
        "select * from PROJECTS where OWNER_ID == 7",
        'SELECT * FROM "projects" p WHERE (p."Owner_Id") = (:x)',
        "SELECT * FROM `projects` WHERE `projects`.`owner_id` = @x",
        "SELECT * FROM main.projects WHERE owner_id IS ?1",
        "SELECT * FROM projects WHERE owner_id IN (?, ?) OR public = 1",
        "SELECT * FROM projects WHERE owner_id IN (SELECT id FROM users WHERE email = ?)",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM projects p WHERE p.owner_id = $1)",
        "SELECT * FROM tasks t JOIN projects p ON p.id = t.project_id AND p.owner_id = ?",
        "SELECT * FROM tasks t JOIN projects p ON p.id = t.project_id WHERE owner_id = ?",
        "SELECT * FROM projects JOIN users u ON u.id = owner_id WHERE u.id = ?",
        "SELECT u.*, (SELECT count(*) FROM projects p WHERE p.owner_id = u.id) FROM users u "
        "WHERE u.id = ?",
        "SELECT 1 UNION ALL SELECT id FROM projects WHERE owner_id = lower(?) LIMIT 3 OFFSET ?",
        "SELECT p.* FROM projects p JOIN invoices i ON i.organization_id = 1 WHERE p.owner_id = ?",
        "-- mine\nSELECT * /* all; */ FROM projects -- really\nWHERE owner_id = %s;",
    ],
)
def test_selects_by_owner(sql):
    assert judged(sql) == [("select", "certain")]


@pytest.mark.parametrize(
    "sql",
    [
        # What is no query.
        "",
        "You select a project from projects where owner_id = yours",
        "Please SELECT your projects FROM the list WHERE owner_id = ?",
        "SELECT * FROM projects WHERE owner_id = ? took 3 ms",
        "insert into projects (id, owner_id) failed",
        "update projects where owner_id = 1",
        "delete projects where owner_id = 1",
        "-- SELECT * FROM projects WHERE owner_id = ?",
        "/* SELECT * FROM projects WHERE owner_id = ? */ SELECT 1 FROM projects",
        "SELECT 'x FROM projects WHERE owner_id = 1' FROM projects",
        "CREATE INDEX i ON projects(name) WHERE owner_id = 1",
        "CREATE TABLE projects (id TEXT, owner_id TEXT CHECK (owner_id = 1))",
        # The owner as a mere column, or in a comparison that selects nobody's rows.
        "SELECT id, owner_id FROM projects",
        "SELECT owner_id = ? AS mine FROM projects",
        "SELECT * FROM projects ORDER BY owner_id",
        "SELECT owner_id, count(*) FROM projects GROUP BY owner_id",
        "SELECT * FROM projects WHERE owner_id IS NULL",
        "SELECT * FROM projects WHERE owner_id IS NOT NULL AND name = ?",
        "SELECT * FROM projects WHERE owner_id <> ?",
        "SELECT * FROM projects WHERE NOT owner_id = ?",
        "SELECT * FROM projects WHERE owner_id NOT IN (SELECT id FROM users)",
        "SELECT * FROM projects WHERE CASE WHEN owner_id = ? THEN 1 ELSE 0 END",
        "UPDATE projects SET owner_id = ? WHERE id = ?",
        # Joins that fetch the owner's name.
        "SELECT p.*, u.name FROM projects p JOIN users u ON u.id = p.owner_id WHERE p.id = ?",
        "SELECT p.*, u.name FROM projects p, users u WHERE u.id = p.owner_id AND u.plan = ?",
        "SELECT u.id FROM users u WHERE EXISTS (SELECT 1 FROM projects p WHERE p.owner_id = u.id)",
        "SELECT p.* FROM projects p JOIN users u ON u.id = p.owner_id WHERE u.id = ? OR p.id = ?",
        # Somebody else's owner_id.
        "SELECT * FROM teams WHERE owner_id = ?",
        "SELECT * FROM archive.projects WHERE owner_id = ?",
        "SELECT p.* FROM projects p JOIN teams t ON t.id = p.team_id WHERE t.owner_id = ?",
        "SELECT * FROM projects WHERE team_id IN (SELECT id FROM teams WHERE owner_id = ?)",
        "SELECT * FROM projects p WHERE EXISTS (SELECT 1 FROM teams p WHERE p.owner_id = ?)",
        "SELECT * FROM projects_old WHERE owner_id = ?",
        "SELECT * FROM (SELECT 1 AS owner_id FROM projects) x WHERE x.owner_id = ?",
        "WITH projects AS (SELECT * FROM teams) SELECT * FROM projects WHERE owner_id = ?",
        # Queries that know of organizations.
        "SELECT * FROM projects WHERE owner_id = ? AND organization_id = ?",
        "SELECT * FROM projects p WHERE p.owner_id = ? AND p.Organization_Id = ?",
        "SELECT p.* FROM projects p JOIN organization_memberships m ON 1 WHERE p.owner_id = ?",
        "UPDATE projects SET organization_id = 'org-' || owner_id WHERE owner_id = ?",
        # Inserts of which nobody can tell, or that are right.
        "INSERT INTO projects VALUES (?, ?, ?)",
        "INSERT INTO projects DEFAULT VALUES",
        "INSERT INTO projects (id, owner_id, ORGANIZATION_ID) VALUES (?, ?, ?)",
        "INSERT INTO teams (id, owner_id) VALUES (?, ?)",
    ],
)
def test_silence(sql):
    assert judged(sql) == []


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("UPDATE projects SET name = ? WHERE id = ? AND owner_id = ?", "update"),
        ("UPDATE tasks SET done = 1 WHERE p IN (SELECT id FROM projects WHERE owner_id = ?)",
         "select"),
        ("DELETE FROM projects WHERE owner_id = ?", "delete"),
        ("INSERT INTO projects (id, owner_id) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", "insert"),
        ("INSERT OR IGNORE INTO projects (id) SELECT id FROM drafts", "insert"),
        ("REPLACE INTO projects (id) VALUES (1)", "insert"),
        ("INSERT INTO log (id) SELECT id FROM projects WHERE owner_id = ?", "select"),
    ],
)  # fmt: skip
def test_kinds(sql, kind):
    assert judged(sql) == [(kind, "certain")]


def test_names_with_spaces_and_quotes():
    orders = ResourceNames('cust "omer" orders', "Owner Key")
    assert judged('SELECT * FROM "cust ""omer"" orders" o WHERE o."owner key" = ?', orders) == [
        ("select", "certain")
    ]
    assert judged('SELECT * FROM "cust ""omer"" orders" WHERE owner_id = ?', orders) == []
    assert judged("SELECT * FROM projects WHERE owner_id = ?", orders) == []


def test_several_resources_are_found_in_one_statement():
    both = (PROJECTS, ResourceNames("notes", "user_id"))
    sql = "SELECT * FROM projects p JOIN notes n ON n.project_id = p.id WHERE n.user_id = ?"
    assert judged(sql, *both) == [("select", "certain")]
    assert judged(sql, PROJECTS) == []


def hole(sql, *sources):
    return Text(sql.replace("<>", "\ue000"), sources)


@pytest.mark.parametrize(
    ("text", "sure"),
    [
        (hole("SELECT * FROM projects WHERE owner_id = <>", "${id}"), "certain"),
        (hole("SELECT * FROM projects WHERE owner_id = '<>'", "${id}"), "certain"),
        (hole("SELECT <> FROM projects WHERE owner_id = ?", "${columns}"), "likely"),
        (hole("SELECT * FROM projects WHERE owner_id = ? <>", "${more}"), "likely"),
        (hole("SELECT * FROM projects WHERE owner_id = ? AND <>", "${more}"), "likely"),
        (hole("SELECT * FROM projects WHERE owner_id = ? <>", "${organizationFilter}"), None),
        (hole("SELECT * FROM projects p JOIN <> t ON 1 WHERE p.owner_id = ?", "${x}"), "likely"),
        (hole("SELECT * FROM projects <> WHERE owner_id = ?", "${join}"), None),
        (hole("SELECT * FROM <> WHERE owner_id = ?", "${projects}"), None),
        (hole("SELECT * FROM projects_<> WHERE owner_id = ?", "${year}"), None),
        (hole("SELECT * FROM projects WHERE <> = ?", "${owner_id}"), None),
    ],
)
def test_interpolated_fragments_are_only_likely_or_unknown(text, sure):
    found = [judge(statement, [PROJECTS]) for statement in statements(text, ["projects"])]
    assert [judgement.sure for judgement in found if judgement] == ([sure] if sure else [])


@pytest.mark.parametrize(
    "source", ["organizationId", "org_id", "orgId", "ORG", "myOrg", "tenantId", "byOrganisation"]
)
def test_words_that_bring_in_the_organization(source):
    assert mentions_organizations(source)


@pytest.mark.parametrize("source", ["id", "original", "forge", "organic", "user.morgan", "storage"])
def test_words_that_do_not(source):
    assert not mentions_organizations(source)


def test_a_statement_starts_where_its_text_does():
    text = Text("-- a\n;;\n  SELECT 1;\n/* ; */ SELECT 'projects;' FROM projects", (), ((0, 1),))
    assert [(s.offset, s.query) for s in statements(text, ["projects"])] == [
        (28, "SELECT 'projects;' FROM projects")
    ]


def test_prose_makes_no_noise(caplog):
    assert judged("Create projects in a folder; replace projects if they exist") == []
    assert judged("SELECT projects FROM WITH owner_id; UPDATE projects OF owner_id = ?") == []
    assert caplog.records == []
