"""The sample database: the same every time, clean when plain, hard where messy says so."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.errors import BadInput
from runbook.sample import make as sample_module
from runbook.sample import rows as sample_rows
from runbook.sample.make import SampleResult, make_sample
from runbook.templates import split_statements
from tests.support.paths import ROOT

MAIL = re.compile(r"[a-z]+\.[a-z]+[0-9]+@example\.(com|org|net)")
TIME = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]")


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def faults(path: Path) -> list[str]:
    """What keeps a database from being a clean sample."""
    found = [
        f"integrity: {row[0]}" for row in query(path, "PRAGMA integrity_check") if row != ("ok",)
    ]
    found += [f"foreign key: {row}" for row in query(path, "PRAGMA foreign_key_check")]
    keys = {key for (key,) in query(path, "SELECT id FROM users")}
    found += [
        f"owner: {o}" for (o,) in query(path, "SELECT owner_id FROM projects") if o not in keys
    ]
    mails = [str(mail) for (mail,) in query(path, "SELECT email FROM users")]
    found += [f"e-mail: {mail}" for mail in mails if not MAIL.fullmatch(mail)]
    found += [f"e-mail twice: {m}" for m, n in Counter(map(str.lower, mails)).items() if n > 1]
    for table, column in (
        ("users", "created_at"),
        ("projects", "created_at"),
        ("projects", "updated_at"),
    ):
        times = [str(at) for (at,) in query(path, f"SELECT {column} FROM {table}")]
        found += [f"{column}: {at}" for at in times if not TIME.fullmatch(at) or at > "2025"]
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> SampleResult:
    return make_sample(tmp_path_factory.mktemp("plain") / "app.db")


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> SampleResult:
    return make_sample(tmp_path_factory.mktemp("messy") / "app.db", messy=True)


@pytest.fixture
def copy(plain: SampleResult, tmp_path: Path) -> Path:
    path = tmp_path / "copy.db"
    path.write_bytes(plain.path.read_bytes())
    return path


def test_the_plain_sample_is_clean(plain: SampleResult) -> None:
    assert faults(plain.path) == []
    assert plain.planted == ()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE projects SET owner_id = 'ghost' WHERE id = 'prj_00000007'",
        "UPDATE users SET email = '@example.com' WHERE id = 'usr_00000007'",
        "UPDATE users SET email = (SELECT upper(max(email)) FROM users) WHERE id = 'usr_00000007'",
        "UPDATE projects SET updated_at = '2024-01-01T00:00:00Z' WHERE id = 'prj_00000007'",
        "UPDATE projects SET updated_at = '2999-01-01 00:00:00' WHERE id = 'prj_00000007'",
        "DELETE FROM users WHERE id = (SELECT owner_id FROM projects LIMIT 1)",
    ],
)
def test_damage_to_a_clean_sample_is_seen(copy: Path, damage: str) -> None:
    with closing(sqlite3.connect(copy)) as db, db:
        assert db.execute(damage).rowcount == 1
    assert faults(copy)


def test_counts_are_those_of_the_file(plain: SampleResult, messy: SampleResult) -> None:
    for made in (plain, messy):
        assert query(made.path, "SELECT count(*) FROM users") == [(made.users,)]
        assert query(made.path, "SELECT count(*) FROM projects") == [(made.projects,)]
        owners = {owner for (owner,) in query(made.path, "SELECT owner_id FROM projects")}
        keys = {key for (key,) in query(made.path, "SELECT id FROM users")}
        assert made.users_without_projects == len(keys - owners)
        assert made.bytes == made.path.stat().st_size
    assert (plain.users, plain.projects, plain.users_without_projects) == (200, 1000, 20)


def test_the_shape_is_that_of_an_application(plain: SampleResult) -> None:
    assert query(plain.path, "PRAGMA journal_mode") == [("delete",)]
    kinds = dict(query(plain.path, "SELECT name, type FROM sqlite_schema"))
    for table in ("users", "projects", "tasks", "comments", "tags", "audit_log", "project_search"):
        assert kinds[table] == "table"
        assert query(plain.path, f"SELECT count(*) FROM {table}") > [(100,)]
    assert kinds["project_overview"] == "view"
    assert kinds["idx_projects_owner"] == "index"
    assert not {"organizations", "organization_memberships"} & set(kinds)
    columns = [row[1] for row in query(plain.path, "PRAGMA table_info(projects)")]
    assert "organization_id" not in columns
    assert query(plain.path, "SELECT count(*) FROM project_overview") == [(1000,)]


def test_owners_have_a_heavy_tail(plain: SampleResult) -> None:
    per_owner = sorted(
        (n for (n,) in query(plain.path, "SELECT count(*) FROM projects GROUP BY owner_id")),
        reverse=True,
    )
    assert len(per_owner) == 180
    assert per_owner[0] >= 40
    assert sum(n >= 15 for n in per_owner) >= 4
    assert per_owner[90] <= 4


def test_names_come_from_many_scripts(plain: SampleResult) -> None:
    names = "".join(str(name) for (name,) in query(plain.path, "SELECT name FROM users") if name)
    scripts = {unicodedata.name(letter).split()[0] for letter in names if letter.isalpha()}
    assert len(scripts) >= 12, scripts


def test_rows_do_not_stand_in_the_order_of_their_keys(plain: SampleResult) -> None:
    for table in ("users", "projects"):
        keys = [key for (key,) in query(plain.path, f"SELECT id FROM {table} ORDER BY rowid")]
        assert keys != sorted(keys)  # type: ignore[type-var]


def test_projects_are_not_older_than_their_owner_nor_newer_than_their_update(
    plain: SampleResult,
) -> None:
    assert (
        query(
            plain.path,
            "SELECT p.id FROM projects AS p JOIN users AS u ON u.id = p.owner_id "
            "WHERE p.created_at < u.created_at OR p.updated_at < p.created_at",
        )
        == []
    )


def test_values_that_a_careless_copy_changes_are_in_the_log(plain: SampleResult) -> None:
    stored = {
        (kind, value)
        for column in ("event", "weight", "payload", "detail")
        for kind, value in query(plain.path, f"SELECT typeof({column}), {column} FROM audit_log")
    }
    for kind, value in (
        ("integer", 2**53 + 1),
        ("integer", -(2**63)),
        ("real", 5e-324),
        ("real", float("inf")),
        ("blob", b"\xff\xfe\x80"),
        ("blob", b""),
        ("text", "text in a BLOB column"),
        ("text", "nul\x00inside"),
        ("real", 1.0),
        ("null", None),
    ):
        assert (kind, value) in stored


def test_rows_keep_the_checks_and_references_that_were_off_while_they_were_made(
    plain: SampleResult, messy: SampleResult, tmp_path: Path
) -> None:
    """`integrity_check` looks at CHECK too; a wrong status shows that it does."""
    for made in (plain, messy):
        assert query(made.path, "PRAGMA integrity_check") == [("ok",)]
        assert query(made.path, "PRAGMA foreign_key_check") == []
    path = tmp_path / "wrong.db"
    path.write_bytes(plain.path.read_bytes())
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("UPDATE projects SET status = 'lost' WHERE id = 'prj_00000001'")
        db.commit()
    assert query(path, "PRAGMA integrity_check") == [("CHECK constraint failed in projects",)]


def test_the_backfill_fires_no_trigger_but_an_insert_does(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as db:
        before = db.total_changes
        db.execute("UPDATE projects SET updated_at = '2025-01-01 00:00:00'")
        assert db.total_changes - before == 1000
        log = "SELECT count(*) FROM audit_log"
        (old,) = db.execute(log).fetchone()
        db.execute(
            "INSERT INTO comments (task_id, author_id, body) VALUES (1, 'usr_00000001', 'x')"
        )
        assert db.execute(log).fetchone() == (old + 1,)
        db.execute("UPDATE projects SET name = 'Zeppelin' WHERE id = 'prj_00000003'")
        found = "SELECT project_id FROM project_search WHERE project_search MATCH 'zeppelin'"
        assert db.execute(found).fetchall() == [("prj_00000003",)]


@pytest.mark.parametrize("options", [{}, {"messy": True}, {"users": 3, "projects": 40, "seed": 9}])
def test_the_same_arguments_give_the_same_bytes(tmp_path: Path, options: dict[str, int]) -> None:
    first, second = tmp_path / "first.db", tmp_path / "elsewhere" / "second.db"
    make_sample(first, **options)  # type: ignore[arg-type]
    code = (
        "import sys; from pathlib import Path; from runbook.sample.make import make_sample; "
        f"make_sample(Path(sys.argv[1]), **{options!r})"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", code, str(second)], cwd=ROOT, env=environment, check=True)
    assert digest(first) == digest(second)


def test_another_seed_gives_other_rows(plain: SampleResult, tmp_path: Path) -> None:
    other = make_sample(tmp_path / "other.db", seed=2)
    rows = "SELECT * FROM projects ORDER BY id"
    assert query(plain.path, rows) != query(other.path, rows)
    assert faults(other.path) == []


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(0, 1500), st.integers(-5, 5))
def test_any_counts_give_keys_that_fit(users: int, projects: int, seed: int) -> None:
    people = list(sample_rows.user_rows(users, seed))
    owned = list(sample_rows.project_rows(projects, users, seed))
    keys = {row[0] for row in people}
    assert len(keys) == len({row[1] for row in people}) == users
    assert len({row[0] for row in owned}) == projects
    owners = {row[1] for row in owned}
    assert owners <= keys
    assert len(owners) == min(projects, users - users // 10)


@pytest.mark.parametrize(("users", "projects"), [(1, 0), (1, 5), (2, 1), (50, 7)])
def test_small_samples_are_clean_too(tmp_path: Path, users: int, projects: int) -> None:
    made = make_sample(tmp_path / "small.db", users=users, projects=projects)
    assert (made.users, made.projects) == (users, projects)
    assert faults(made.path) == []


def _has_twin(row: dict[str, object], rows: list[dict[str, object]], column: str) -> bool:
    mine = str(row[column])
    return sum(str(other[column]).lower() == mine.lower() for other in rows) > 1


Rows = list[dict[str, object]]
KEYS: dict[str, Callable[[str, Rows], bool]] = {
    "key_blank": lambda key, _: key == "",
    "key_case_twin": lambda key, rows: _has_twin({"id": key}, rows, "id"),
    "key_with_quote": lambda key, _: bool(set(key) & set("'\"`[")),
    "key_with_space": lambda key, _: bool(re.search(r"\s\S", key)),
    "key_with_trailing_blank": lambda key, _: key.rstrip() == "trail",
    "key_with_markup": lambda key, _: bool(set(key) & set("<&{")),
    "key_of_sql": lambda key, _: bool(re.search(r"SELECT|NULL|DROP|^[?$]", key)),
    "key_right_to_left": lambda key, _: any(
        unicodedata.bidirectional(c) in {"R", "AL", "RLO"} for c in key
    ),
    "key_combining": lambda key, _: (
        any(unicodedata.combining(c) or c == "\u200d" for c in key)
        or unicodedata.normalize("NFD", key) != key
    ),
    "key_with_nul": lambda key, _: key.split("\x00")[0] == "nul" or "\x00" in key,
    "key_like_number": lambda key, _: bool(re.fullmatch(r"[0-9.e]+", key)),
    "key_like_path": lambda key, _: bool(re.search(r"[/%*=]|^a_c", key)),
    "key_long": lambda key, _: len(key) >= 1000,
}


def test_every_hard_case_that_is_reported_is_in_the_file(messy: SampleResult) -> None:
    with closing(sqlite3.connect(messy.path)) as db:
        db.row_factory = sqlite3.Row
        users = [dict(row) for row in db.execute("SELECT * FROM users")]
        projects = [dict(row) for row in db.execute("SELECT * FROM projects")]
    known = {row["id"] for row in users}
    mails = Counter(row["email"] for row in users if row["email"])
    owners: dict[str, Callable[[object], bool]] = {
        "owner_null": lambda o: o is None,
        "owner_dangling": lambda o: o in ("ghost", "' OR 1=1 --"),
        "owner_matches_only_by_case": lambda o: (
            str(o).lower() in {str(k).lower() for k in known} and str(o).strip() == o
        ),
        "owner_matches_only_without_blank": lambda o: str(o).strip(" ") in known and o != "trail ",
        "owner_matches_only_up_to_nul": lambda o: (
            "\x00" in str(o) and str(o).split("\x00")[0] in known
        ),
    }
    emails: dict[str, Callable[[str | None], bool]] = {
        "email_missing": lambda m: m is None,
        "email_blank": lambda m: m is not None and not m.strip(),
        "email_without_at": lambda m: bool(m and m.strip() and "@" not in m),
        "email_without_local_part": lambda m: bool(m and m.startswith("@")),
        "email_with_two_ats": lambda m: bool(m and m.count("@") == 2),
        "email_with_markup": lambda m: bool(m and ("<" in m or "\x00" in m)),
        "email_doubled": lambda m: mails[m] > 1,
        "email_doubled_but_for_case": lambda m: bool(
            m and mails[m] == 1 and sum(str(o).lower() == m.lower() for o in mails) > 1
        ),
    }
    times: dict[str, Callable[[str | None], bool]] = {
        "updated_at_with_t_and_z": lambda t: bool(t and re.fullmatch(r".{10}T.{8}Z", t)),
        "updated_at_with_fraction": lambda t: bool(t and re.search(r":\d\d\.\d+", t)),
        "updated_at_with_offset": lambda t: bool(t and t.endswith("+05:30")),
        "updated_at_epoch": lambda t: bool(t and t.isdigit()),
        "updated_at_day_only": lambda t: bool(t and re.fullmatch(r"\d{4}-\d\d-\d\d", t)),
        "updated_at_not_a_time": lambda t: t in ("", "yesterday", "0000-00-00 00:00:00"),
        "updated_at_null": lambda t: t is None,
        "updated_at_future": lambda t: bool(t and "2900" < t < "3000"),
    }
    counted: dict[str, int] = {}
    for name, fits in KEYS.items():
        for kind, rows in (("user", users), ("project", projects)):
            plain_keys = re.compile(r"(usr|prj)_\d{8}|mail-.*|of-mail.*|\w+_\w+(-\d)?")
            hard = [r for r in rows if not plain_keys.fullmatch(str(r["id"])) or r["id"] == "a_c"]
            counted[f"{kind}_{name}"] = sum(fits(str(r["id"]), hard) for r in hard)
    for name, test in emails.items():
        counted[f"user_{name}"] = sum(test(r["email"]) for r in users)
    homeless = [r["owner_id"] for r in projects if r["owner_id"] not in known]
    for name, suits in owners.items():
        counted[f"project_{name}"] = sum(suits(o) for o in homeless)
    for name, test in times.items():
        counted[f"project_{name}"] = sum(test(r["updated_at"]) for r in projects)
    hard_mail = {r["id"] for r in users if str(r["id"]).startswith("mail-")}
    counted["project_of_user_with_hard_email"] = sum(r["owner_id"] in hard_mail for r in projects)
    counted["project_name_with_markup"] = sum("<img" in r["name"] for r in projects)
    counted["project_name_with_nul"] = sum(r["name"] == "before\x00after" for r in projects)
    counted["project_settings_not_json"] = sum(r["settings"] == "{not json" for r in projects)

    # Some keys are hard in a second way too, and counted there as well.
    for kind in ("user", "project"):
        counted[f"{kind}_key_with_quote"] -= 1  # x'); DROP TABLE users; --
        counted[f"{kind}_key_with_space"] -= 3  # the same, say "hi" and {{ 7 * 7 }}
        counted[f"{kind}_key_like_path"] -= 2  # </script> and {{ 7 * 7 }}
    planted = dict(messy.planted)
    assert planted == counted
    assert sum(n for case, n in planted.items() if case.startswith("project_owner")) == len(
        homeless
    )


def test_keys_that_differ_hardly_stay_apart(messy: SampleResult) -> None:
    """Every hard key is stored whole (also after a NUL) and finds its own project by `=`."""
    expected = {key for keys in sample_rows.HARD_KEYS.values() for key in keys}
    stored = {
        str(owner)
        for (owner,) in query(
            messy.path,
            "SELECT u.id FROM users u JOIN projects p ON p.owner_id = u.id AND p.id = u.id",
        )
    }
    assert stored == expected


@pytest.mark.parametrize("name", ["app.db", "app.db-journal", "app.db-wal"])
def test_an_existing_file_is_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(BadInput, match="choose another path, or delete it first") as caught:
        make_sample(tmp_path / "app.db")
    assert caught.value.exit_code == 2
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"precious"


def test_a_folder_or_a_dead_link_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, tmp_path / "dead"):
        with pytest.raises(BadInput, match="already"):
            make_sample(path)


def test_a_missing_folder_is_made_and_a_file_as_folder_refused(tmp_path: Path) -> None:
    assert make_sample(tmp_path / "new" / "deep" / "app.db", users=2, projects=2).path.is_file()
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="cannot be written"):
        make_sample(tmp_path / "file" / "app.db")


@pytest.mark.parametrize(("users", "projects"), [(0, 0), (-1, 5), (5, -1)])
def test_impossible_counts_are_refused(tmp_path: Path, users: int, projects: int) -> None:
    with pytest.raises(BadInput, match="ask for"):
        make_sample(tmp_path / "app.db", users=users, projects=projects)
    assert list(tmp_path.iterdir()) == []


def test_an_accident_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tasks(*_: int) -> list[tuple[object, ...]]:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sample_module.rows, "task_rows", tasks)
    with pytest.raises(BadInput, match="disk is full"):
        make_sample(tmp_path / "app.db")
    assert list(tmp_path.iterdir()) == []


def test_no_space_left_leaves_nothing(tmp_path: Path) -> None:
    """A real limit: the process may not write a file above 100 kB."""
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from runbook.errors import BadInput; from runbook.sample.make import make_sample\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: make_sample(Path(sys.argv[1]))\n"
        "except BadInput as error: print(error); sys.exit(error.exit_code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "app.db")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "")
    assert "cannot be written" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_without_fts5_there_is_only_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *args: object) -> sqlite3.Cursor:  # type: ignore[override]
            return super().execute(sql.replace("'fts5'", "'no such module'"), *args)  # type: ignore[arg-type]

    real = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *a, **k: real(*a, factory=Connection, **k))
        made = make_sample(tmp_path / "app.db")
    names = {name for (name,) in query(made.path, "SELECT name FROM sqlite_schema")}
    assert not any("search" in str(name) for name in names)
    assert faults(made.path) == []


def test_the_schema_files_are_whole_statements() -> None:
    for path in sorted((ROOT / "sql" / "sample").glob("*.sql")):
        assert len(split_statements(path.read_text(encoding="utf-8"))) >= 4


@pytest.mark.slow
@pytest.mark.long
def test_a_large_sample_takes_little_memory(tmp_path: Path) -> None:
    """Rows are made in batches, so memory does not grow with them."""
    code = (
        "import re, sys; from pathlib import Path; from runbook.sample.make import make_sample; "
        "made = make_sample(Path(sys.argv[1]), users=100_000, projects=500_000); "
        "print(made.users_without_projects, "
        # Not getrusage, whose peak a child inherits from the process that started it.
        "int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "large.db")],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    without, megabytes = map(int, done.stdout.split())
    assert without == 10_000
    assert megabytes < 250
