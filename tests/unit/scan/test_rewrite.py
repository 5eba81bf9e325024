"""The replacing queries run on a real, migrated database and do what the old ones did."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runbook.scan import ResourceNames, scan
from runbook.scan.literal import Text
from runbook.scan.queries import judge
from runbook.scan.rewrite import replacement
from runbook.scan.statements import statements

HERE = Path(__file__).parent
SOURCES = sorted([*(HERE / "cases").iterdir(), *(HERE / "fixtures").glob("*/before.*")])
USERS = ("ann", "bob", "cy'd")


def rewritten(sql, resource=None, holes=()):
    resource = resource or ResourceNames()
    (statement,) = statements(Text(sql, holes), [resource.table.lower()])
    judgement = judge(statement, [resource])
    assert judgement is not None
    return replacement(statement, judgement)


@pytest.fixture
def database():
    """The specification's schema after its migration; two projects each, of users ann and bob."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(
        """
        CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT);
        CREATE TABLE projects (id TEXT PRIMARY KEY, name TEXT, owner_id TEXT NOT NULL,
                               organization_id TEXT);
        CREATE TABLE tasks (id INTEGER PRIMARY KEY, project_id TEXT);
        CREATE TABLE organizations (id TEXT PRIMARY KEY, owner_id TEXT, type TEXT);
        CREATE TABLE organization_memberships (organization_id TEXT, user_id TEXT);
        """
    )
    for user in USERS:
        db.execute("INSERT INTO users VALUES (?, ?)", (user, f"{user}@example.org"))
        db.execute("INSERT INTO organizations VALUES (?, ?, 'personal')", (f"org-{user}", user))
        db.execute("INSERT INTO organization_memberships VALUES (?, ?)", (f"org-{user}", user))
    for user in USERS[:2]:
        for n in (1, 2):
            row = (f"{user}{n}", f"n{n}", user, f"org-{user}")
            db.execute("INSERT INTO projects VALUES (?, ?, ?, ?)", row)
            db.execute("INSERT INTO tasks (project_id) VALUES (?)", row[:1])
    # A team that ann belongs to; its projects are none of her own.
    db.execute("INSERT INTO organizations VALUES ('team', 'bob', 'team')")
    db.execute("INSERT INTO organization_memberships VALUES ('team', 'ann')")
    db.execute("INSERT INTO projects VALUES ('t1', 'n1', 'bob', 'org-bob')")
    yield db
    db.close()


def contents(db):
    return db.execute("SELECT * FROM projects ORDER BY id").fetchall()


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM projects WHERE owner_id = ? ORDER BY id",
        "SELECT * FROM projects WHERE ? = owner_id AND name = 'n1' ORDER BY id DESC LIMIT 5",
        "SELECT p.id FROM projects AS p WHERE p.owner_id IN (?, 'nobody') OR p.id = 'x' ORDER BY 1",
        "SELECT t.id FROM tasks t JOIN projects p ON p.id = t.project_id AND p.owner_id = ?",
        "SELECT t.id FROM tasks t, projects o WHERE o.id = t.project_id AND o.owner_id = ?",
        "SELECT count(*) FROM tasks WHERE project_id IN (SELECT id FROM projects WHERE owner_id=?)",
        "WITH m AS (SELECT * FROM projects WHERE owner_id = ?) SELECT count(*) FROM m, m AS o",
        "SELECT id FROM projects WHERE owner_id = (SELECT id FROM users om WHERE om.id = ?)",
        "SELECT p.id FROM users om JOIN projects p ON om.id = p.owner_id WHERE om.id = ?",
        "SELECT (SELECT count(*) FROM projects WHERE owner_id = o.id) FROM users o WHERE o.id = ?",
        "SELECT id FROM projects WHERE owner_id IN "
        "(SELECT owner_id FROM projects WHERE owner_id = ?)",
        "SELECT ifnull(name, '-') || x'41' AS a FROM projects "
        "WHERE \"owner_id\" == ? AND id GLOB '*1'",
    ],
)
def test_selects_return_the_same_rows(database, sql, user):
    new = rewritten(sql).sql
    assert "organization_id IN (SELECT om" in new
    assert database.execute(new, (user,)).fetchall() == database.execute(sql, (user,)).fetchall()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE projects SET name = 'new' WHERE owner_id = ? RETURNING id",
        "UPDATE projects AS o SET name = 'new' FROM tasks t "
        "WHERE t.project_id = o.id AND o.owner_id = ?",
        "DELETE FROM projects WHERE id <> 'ann1' AND owner_id = ?",
    ],
)
def test_changes_change_the_same_rows(database, sql):
    before = contents(database)
    results = []
    for text in (sql, rewritten(sql).sql):
        database.execute("BEGIN")
        database.execute(text, ("ann",)).fetchall()
        results.append(contents(database))
        database.execute("ROLLBACK")
    assert results[0] == results[1] != before


# Python before 3.12.4 takes `?1` for a name (python/cpython issue 117995).
@pytest.mark.filterwarnings(r"ignore:Binding \d \('\?\d'\) is a named parameter:DeprecationWarning")
@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("INSERT INTO projects (id, owner_id, name) VALUES (?, ?, ?)", ("n", "ann", "x")),
        ("INSERT INTO projects (id, owner_id) VALUES ('m', 'bob'), (?, ?)", ("n", "ann")),
        ("INSERT INTO projects (owner_id, id) VALUES (?2, ?1)", ("n", "ann")),
        ("INSERT INTO projects (id, owner_id) VALUES (:id, :owner)", {"id": "n", "owner": "ann"}),
        ("INSERT INTO projects (id, owner_id) SELECT 'n' || id, owner_id FROM projects "
         "WHERE id = ?", ("ann1",)),
        ("INSERT INTO projects (id, owner_id) SELECT 'n', ? UNION SELECT 'm', 'bob'", ("ann",)),
        ("REPLACE INTO projects (id, owner_id) VALUES (?, ?)", ("ann1", "ann")),
        ("INSERT INTO projects (id, owner_id) VALUES (?, ?) ON CONFLICT (id) DO UPDATE "
         "SET owner_id = excluded.owner_id", ("n", "ann")),
    ],
)  # fmt: skip
def test_inserts_gain_the_organization_of_their_owner(database, sql, values):
    new = rewritten(sql)
    database.execute(new.sql, values)
    wrong = "SELECT count(*) FROM projects WHERE organization_id IS NOT 'org-' || owner_id"
    assert database.execute(wrong).fetchone() == (0,)
    assert new.note == ""
    database.execute("DELETE FROM projects WHERE id IN ('n', 'm', 'nann1')")
    database.execute(sql, values)  # the old one leaves a row without an organization
    assert database.execute(wrong).fetchone() != (0,)


def test_an_insert_without_owner_asks_for_the_key():
    new = rewritten("INSERT INTO projects (id) VALUES ($1)")
    assert "om.user_id = :user_id" in new.sql
    assert new.note == "bind the user's key as :user_id"


def test_a_nameless_parameter_of_a_driver_is_bound_again():
    new = rewritten("INSERT INTO projects (id, owner_id) VALUES (%s, %s)")
    assert new.sql.count("%s") == 3
    assert new.note == "the user's key is bound once more, for the new value"


def test_interpolations_are_put_back_as_they_were():
    new = rewritten(
        "SELECT \ue000 FROM projects WHERE owner_id = '\ue000' \ue000 ORDER BY id \ue000",
        holes=("${columns}", "${id}", "${more}", "${direction}"),
    )
    assert new.sql.startswith("SELECT ${columns} FROM projects WHERE organization_id IN (")
    assert new.sql.endswith(
        "om.user_id = '${id}' AND o.type = 'personal') ${more} ORDER BY id ${direction}"
    )


def test_quoted_names_stay_quoted():
    resource = ResourceNames("my projects", "Owner Key")
    new = rewritten('SELECT * FROM "my projects" m, [t x] WHERE m."owner key" = ?', resource)
    assert new.sql.startswith('SELECT * FROM "my projects" AS m, "t x" WHERE m.organization_id IN')


def executed(db, sql, values):
    """What a statement returns and leaves behind; afterwards it is undone."""
    db.execute("BEGIN")
    returned = db.execute(sql, values).fetchall()
    kept = contents(db)
    db.execute("ROLLBACK")
    return returned, kept


@pytest.mark.parametrize(
    "source",
    [
        "db.all(sql`SELECT name FROM projects WHERE owner_id = ${u} AND id <> 't1' LIMIT 2`);",
        "db.run(sql`UPDATE projects SET name = ${name} WHERE owner_id = ${u} RETURNING id`);",
        "db.run(sql`DELETE FROM projects WHERE owner_id = ${u} AND name = 'n1'`);",
        "db.run(sql`INSERT INTO projects (id, name, owner_id) VALUES ('new', ${name}, ${u})`);",
        "db.prepare('SELECT name FROM projects WHERE owner_id = :u ORDER BY id').all({ u });",
        "db.prepare('UPDATE projects SET name = :name WHERE owner_id = :u').run({ name, u });",
        "db.prepare('DELETE FROM projects WHERE owner_id = :u').run({ u });",
        "db.prepare('INSERT INTO projects (id, owner_id) VALUES (\\'new\\', :u)').run({ u });",
    ],
)
def test_sql_in_templates_and_strings_does_the_same(database, tmp_path, source):
    path = tmp_path / "queries.ts"
    path.write_text(source)
    (finding,) = scan(path).findings
    old, new = (re.sub(r"\$\{(\w+)\}", r":\1", t) for t in (finding.query, finding.replacement))
    before, after = (executed(database, text, {"u": "ann", "name": "n9"}) for text in (old, new))
    if old.startswith("INSERT"):
        (row,) = set(after[1]) - set(contents(database))
        assert (row[2], row[3]) == ("ann", "org-ann")
    else:
        assert after == before
        assert old.startswith("SELECT") or after[1] != contents(database)


REPLACED = [
    (path, f) for path in SOURCES for f in scan(path).findings if f.replacement and not f.edits
]


@pytest.mark.parametrize(
    ("path", "finding"), REPLACED, ids=[f"{p.parent.name}-{p.stem}-{f.line}" for p, f in REPLACED]
)
def test_every_replacement_in_the_fixtures_is_sql_where_the_old_text_was(path, finding):
    """The tables of the fixtures are not there; SQLite reads the whole text before it says so."""

    def complaint(text):
        text = re.sub(r"\$\{[^}]*\}|#\{[^}]*\}|\{[^}]*\}|%\(\w+\)s|%[sd]|\$\w+", "?", text)
        with closing(sqlite3.connect(":memory:")) as db:
            try:
                db.execute(f"EXPLAIN {text}")
            except sqlite3.Error as error:
                return str(error)
        return ""

    if "syntax error" in complaint(finding.query):
        assert "${" in finding.query, "a fragment that the program puts in"
    else:
        assert "syntax error" not in complaint(finding.replacement)
