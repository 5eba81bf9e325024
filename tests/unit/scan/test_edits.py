"""Every edit that a scan prints is applied: what comes out parses, and does what it did before."""

import ast
import re
import sqlite3
from pathlib import Path

import pytest
import tree_sitter_go
import tree_sitter_javascript
import tree_sitter_php
import tree_sitter_ruby
import tree_sitter_typescript
from tree_sitter import Language, Parser

from runbook.resources import resource_folder
from runbook.scan import ResourceNames, scan
from runbook.scan.edits import applied

HERE = Path(__file__).parent
SOURCES = sorted([*(HERE / "cases").iterdir(), *(HERE / "fixtures").glob("*/before.*")])
GRAMMARS = {
    ".ts": tree_sitter_typescript.language_typescript,
    ".tsx": tree_sitter_typescript.language_tsx,
    ".js": tree_sitter_javascript.language,
    ".go": tree_sitter_go.language,
    ".rb": tree_sitter_ruby.language,
    ".php": tree_sitter_php.language_php,
}
LOOKUP = " ".join(
    re.sub("--.*", "", (resource_folder("sql") / "queries" / "organization_of_user.sql").read_text())
    .split()
)  # fmt: skip


def parses(text: str, suffix: str) -> bool:
    if suffix == ".py":
        return ast.parse(text) is not None
    tree = Parser(Language(GRAMMARS[suffix]())).parse(text.encode())
    return not tree.root_node.has_error


def edited(path: Path) -> list[tuple[str, str]]:
    """The source of the file with each finding's edit made, alone."""
    data = path.read_bytes()
    return [(f.query, applied(data, f.edits)) for f in scan(path).findings if f.edits]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_edit_parses_and_settles_its_finding(path, tmp_path):
    if path.suffix == ".sql":
        pytest.skip("SQL is replaced as a whole, see test_rewrite.py")
    assert parses(path.read_text(), path.suffix)
    before = {(f.line, f.query) for f in scan(path).findings}
    copy = tmp_path / path.name
    for query, text in edited(path):
        assert parses(text, path.suffix), query
        copy.write_text(text)
        after = {(f.line, f.query) for f in scan(copy).findings}
        assert {entry for entry in before - after if entry[1] == query}


def test_most_comparisons_have_an_edit():
    counts = [len(f.edits) > 0 for path in SOURCES for f in scan(path).findings
              if f.sure == "likely"]  # fmt: skip
    assert sum(counts) > 100


@pytest.mark.parametrize(
    ("suffix", "source", "new"),
    [
        (".py", "Project.objects.filter(owner=u, name='x')[:3]",
         "Project.objects.filter(organization_id=organization_of(u), name='x')[:3]"),
        (".py", "session.query(Project).filter(Project.owner_id == u.id, Project.n == 1)",
         "session.query(Project).filter(Project.organization_id == organization_of(u.id), "
         "Project.n == 1)"),
        (".py", "Project(owner_id=u, name='x')",
         "Project(owner_id=u, organization_id=organization_of(u), name='x')"),
        (".rb", "Project.where(owner: u).limit(3)",
         "Project.where(organization_id: organization_of(u)).limit(3)"),
        (".rb", "Project.create!(owner_id: u.id)",
         "Project.create!(owner_id: u.id, organization_id: organization_of(u.id))"),
        (".rb", 'Project.where("owner_id = ? AND n = 1", u)',
         'Project.where("organization_id IN (LOOKUP) AND n = 1", u)'),
        (".php", "<?php Project::where('owner_id', $u)->where('n', 1)->get();",
         "<?php Project::where('organization_id', organization_of($u))->where('n', 1)->get();"),
        (".php", "<?php Project::create(['owner_id' => $u, 'n' => 1]);",
         "<?php Project::create(['owner_id' => $u, 'organization_id' => organization_of($u), "
         "'n' => 1]);"),
        (".php", "<?php Project::whereOwnerId($u)->get();",
         "<?php Project::whereOrganizationId(organization_of($u))->get();"),
        (".go", 'package a\nfunc f() { db.Create(&Project{OwnerID: u, N: 1}) }',
         "package a\nfunc f() { db.Create(&Project{OwnerID: u, OrganizationID: organizationOf(u), "
         "N: 1}) }"),
        (".js", "await knex('projects').where('owner_id', u).andWhere('n', 1).limit(3);",
         "await knex('projects').where('organization_id', await organizationOf(u))"
         ".andWhere('n', 1).limit(3);"),
        (".ts", "await prisma.project.deleteMany({ where: { ownerId: u, n: 1 } });",
         "await prisma.project.deleteMany({ where: { organizationId: await organizationOf(u), "
         "n: 1 } });"),
        (".ts", "const f = async (ownerId) => db.project.findMany({ where: { ownerId } });",
         "const f = async (ownerId) => db.project.findMany({ where: { "
         "organizationId: await organizationOf(ownerId) } });"),
    ],
)  # fmt: skip
def test_the_owner_alone_is_replaced(tmp_path, suffix, source, new):
    path = tmp_path / f"a{suffix}"
    path.write_text(source)
    ((_, text),) = edited(path)
    assert text == new.replace("LOOKUP", LOOKUP.replace(":user_id", "?"))


@pytest.mark.parametrize(
    ("suffix", "source"),
    [
        (".py", "Project.objects.filter(owner__in=[a, b])"),
        (".py", "session.query(Project).filter(Project.owner_id.in_([a]))"),
        (".py", "user.projects.all()"),
        (".rb", "current_user.projects.create!(name: 'x')"),
        (".php", "<?php Project::whereIn('owner_id', $ids)->get();"),
        (".ts", "const f = (u) => prisma.project.findMany({ where: { ownerId: u } });"),
        (".ts", "await prisma.project.count({ where: { owner: { id: u } } });"),
        (".ts", "await prisma.project.updateMany({ where: { ownerId: { in: ids } } });"),
    ],
)
def test_what_is_not_certain_has_a_place_and_a_note_and_no_edit(tmp_path, suffix, source):
    path = tmp_path / f"a{suffix}"
    path.write_text(source)
    (finding,) = scan(path).findings
    assert (finding.edits, finding.replacement) == ((), "")
    assert finding.note


SCHEMA = """
CREATE TABLE users (id TEXT PRIMARY KEY);
CREATE TABLE projects (id INTEGER PRIMARY KEY, name TEXT, owner_id TEXT NOT NULL,
                       organization_id TEXT);
CREATE TABLE organizations (id TEXT PRIMARY KEY, type TEXT);
CREATE TABLE organization_memberships (organization_id TEXT, user_id TEXT);
INSERT INTO users VALUES ('ann'), ('bob'), ('cyd');
INSERT INTO organizations SELECT 'org-' || id, 'personal' FROM users;
INSERT INTO organization_memberships SELECT 'org-' || id, id FROM users;
INSERT INTO projects (name, owner_id, organization_id) VALUES
  ('a', 'ann', 'org-ann'), ('b', 'ann', 'org-ann'), ('c', 'bob', 'org-bob'), ('d', 'ann', 'org-ann');
"""


@pytest.fixture
def migrated(tmp_path):
    """A file with the specification's schema after its migration."""
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as db:
        db.executescript(SCHEMA)
    yield path
    db.close()


def rows_before_and_after(lines, names, tmp_path):
    """What each line of Python returns as it stands, and with its edit made."""
    path = tmp_path / "app.py"
    results = []
    for line in lines:
        path.write_text(line)
        ((_, text),) = edited(path)
        assert "organization_id" in text
        results.append((eval(line, dict(names)), eval(text, dict(names))))  # our own lines
    return results


def test_sqlalchemy_returns_the_same_rows(migrated, tmp_path):
    sqlalchemy = pytest.importorskip("sqlalchemy")
    orm = pytest.importorskip("sqlalchemy.orm")

    class Base(orm.DeclarativeBase):
        pass

    class Project(Base):
        __tablename__ = "projects"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        name = sqlalchemy.Column(sqlalchemy.String)
        owner_id = sqlalchemy.Column(sqlalchemy.String)
        organization_id = sqlalchemy.Column(sqlalchemy.String)

    engine = sqlalchemy.create_engine(f"sqlite:///{migrated}")
    with orm.Session(engine) as session:

        def organization_of(user):
            return session.execute(sqlalchemy.text(LOOKUP), {"user_id": user}).scalar_one_or_none()

        names = {"session": session, "Project": Project, "organization_of": organization_of,
                 "select": sqlalchemy.select, "projects": Project.__table__, "user": "ann"}  # fmt: skip
        lines = [
            "session.query(Project.name).filter(Project.owner_id == user).order_by(Project.id).limit(2).all()",
            "session.query(Project.name).filter_by(owner_id=user, name='b').all() + list(Project.__mapper__.attrs)[:0]",
            "session.execute(select(Project.name).where(Project.owner_id == user, Project.id > 1)).all()",
            "session.execute(select(projects.c.name).where(projects.c.owner_id == user)).all()",
            "session.scalars(select(Project.id).where(Project.owner_id == 'cyd')).all()",
        ]
        for old, new in rows_before_and_after(lines, names, tmp_path):
            assert old == new
        path = tmp_path / "new.py"
        path.write_text("Project(owner_id=user, name='new')")
        ((_, text),) = edited(path)
        session.add(eval(text, dict(names)))
        session.flush()
        made = session.query(Project.organization_id).filter(Project.name == "new")
        assert made.scalar() == "org-ann"
        session.rollback()
    engine.dispose()


def test_django_returns_the_same_rows(migrated, tmp_path):
    pytest.importorskip("django")
    import django
    from django.conf import settings

    if not settings.configured:
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(migrated)}
        settings.configure(DATABASES={"default": database}, USE_TZ=True)
        django.setup()
    from django.db import connection, models

    class User(models.Model):
        id = models.TextField(primary_key=True)

        class Meta:
            app_label, db_table = "app", "users"

    class Project(models.Model):
        name = models.TextField()
        owner = models.ForeignKey(User, on_delete=models.CASCADE)
        organization_id = models.TextField()

        class Meta:
            app_label, db_table = "app", "projects"

    def organization_of(user):
        with connection.cursor() as cursor:
            cursor.execute(LOOKUP.replace(":user_id", "%s"), [getattr(user, "pk", user)])
            row = cursor.fetchone()
        return row[0] if row else None

    names = {"Project": Project, "Q": models.Q, "organization_of": organization_of,
             "user": User(id="ann")}  # fmt: skip
    lines = [
        "list(Project.objects.filter(owner=user).order_by('-id').values_list('name')[:2])",
        "list(Project.objects.filter(owner_id='ann', name='b').values_list('name'))",
        "list(Project.objects.filter(Q(owner=user) | Q(name='c')).values_list('name'))",
        "Project.objects.filter(owner=user).exclude(name='a').count()",
        "list(Project.objects.filter(owner_id='cyd'))",
        "Project.objects.filter(owner=user).update(name='z')",
    ]
    for old, new in rows_before_and_after(lines, names, tmp_path):
        assert old == new
    path = tmp_path / "new.py"
    path.write_text("Project.objects.create(owner=user, name='new')")
    ((_, text),) = edited(path)
    assert eval(text, dict(names)).organization_id == "org-ann"
    connection.close()


@pytest.mark.parametrize(
    "source",
    [
        "db.all(sql`SELECT name FROM projects WHERE owner_id = ${userId} ORDER BY id LIMIT 2`);",
        "db.all('SELECT name FROM projects WHERE owner_id = ? AND id > 1', [userId]);",
        "db.all(`SELECT u.id, p.name FROM users u, projects p WHERE p.owner_id = ${userId} "
        "AND u.id = p.owner_id`);",
        "db.all('(SELECT name FROM projects WHERE owner_id = ?)', [userId]);",
    ],
)
def test_sql_in_strings_returns_the_same_rows(migrated, tmp_path, source):
    """A template's `${...}` binds a value, so each stands for a parameter."""
    path = tmp_path / "a.ts"
    path.write_text(source)
    (finding,) = scan(path, [ResourceNames()]).findings
    old, new = (re.sub(r"\$\{\w+\}", "?", sql) for sql in (finding.query, finding.replacement))
    assert ("," in old.partition("WHERE")[0]) == ("," in new.partition(" WHERE")[0])
    assert "CROSS JOIN" not in new
    with sqlite3.connect(migrated) as db:
        assert db.execute(new, ("ann",)).fetchall() == db.execute(old, ("ann",)).fetchall() != []
    db.close()


PARAMETER = re.compile(r"'?[$#]?\{[^}]*\}'?|'%s'|\?\d*|[:@$]\w+|%\(\w+\)s|%[sd]")


def test_every_select_of_the_fixtures_returns_the_same_rows(migrated):
    """What binds a value gets a user's key; what the sample has no tables for is passed over."""
    ran = 0
    with sqlite3.connect(migrated) as db:
        for path in SOURCES:
            for finding in scan(path).findings:
                if finding.sure != "certain" or not finding.query.startswith(("SELECT", "WITH")):
                    continue
                old, new = (
                    PARAMETER.sub("'ann'", sql) for sql in (finding.query, finding.replacement)
                )
                try:
                    before = db.execute(old).fetchall()
                except sqlite3.Error:
                    continue
                assert db.execute(new).fetchall() == before, finding.query
                ran += bool(before)
    db.close()
    assert ran >= 10
