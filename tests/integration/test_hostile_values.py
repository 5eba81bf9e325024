"""300 hostile values wherever data comes from: none is in anything that is passed round."""

from __future__ import annotations

import dataclasses
import json
import random
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.archive.seal import seal
from runbook.errors import Blocked, RunbookError
from runbook.notebook import tables
from runbook.report.write import write_report
from runbook.run.findings import Finding
from runbook.run.folder import Run
from runbook.run.records import MigrateRecord, PreflightRecord, VerifyRecord
from runbook.stages import migrate, preflight, snapshot, verify
from runbook.stages.monitor import Watching, monitor
from runbook.stages.rollback import rollback
from runbook.window import steps
from tests.support.runs import agreed, begin
from tests.support.windows import write_plan

SHAPES = (
    "<script>alert('{0}')</script>",
    '"><img src=x onerror={0}>',
    "'; DROP TABLE users; -- {0}",
    "{0}\nsecond line\r\nthird",
    "{0}\x00\x01\x1b[31m",
    "\u202e{0}\u2066",
    "{0}" * 400,
    '"{0} of"@example.org',
    "{0}@[1.2.3.4]",
    "{0}@localhost",
    "{0} Hopper",
    "{0}",
    "a='b', name='{0}', hits=3",
    "••• ({0})",
    "{{{{ {0} }}}} {{% {0} %}}",
    "${{jndi:ldap://{0}}}",
    "=cmd|'/c {0}'!A1",
    "]]>{0}<!--",
    "\\x00{0}\\",
    '{0}\'s "Workspace" `{0}`',
    "\ud83d\ude00 {0} \u0301\u0300".encode("utf-16", "surrogatepass").decode("utf-16"),
    "../../{0}/x",
    "http://{0}:8080/?token={0}",
    "ERROR {0}",
    "%s %(x)s {0} %n",
)


@dataclasses.dataclass
class Values:
    """Values of every shape, each with a marker of its own by which it would be found."""

    random: random.Random
    markers: list[str] = dataclasses.field(default_factory=list)

    def __next__(self) -> str:
        marker = "Zq" + "".join(self.random.choices("bcdfghjklmnpqrstvwxz", k=9))
        self.markers.append(marker)
        return SHAPES[len(self.markers) % len(SHAPES)].format(marker)

    def leaked(self, text: str) -> list[str]:
        """The markers that stand in the text, whatever its case."""
        low = text.casefold()
        return [marker for marker in self.markers if marker.casefold() in low]


@pytest.fixture
def values() -> Values:
    return Values(random.Random(13))


SCHEMA = """
CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT, name TEXT, about BLOB);
CREATE TABLE projects (
    id TEXT PRIMARY KEY, name TEXT, owner_id TEXT REFERENCES users(id), updated_at TEXT, note TEXT
);
CREATE TABLE notes (title TEXT, body TEXT, tag BLOB, UNIQUE (title));
"""


def make(path: Path, values: Values) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
        for number in range(40):
            row = (f"u-{number}", next(values), next(values), next(values).encode())
            connection.execute("INSERT INTO users VALUES (?, ?, ?, ?)", row)
        for number in range(60):
            project = (f"p-{number}", next(values), f"u-{number % 30}", next(values))
            connection.execute(
                "INSERT INTO projects VALUES (?, ?, ?, '2026-01-01 00:00:00', ?)", project
            )
        for _ in range(20):
            note = (next(values), next(values), next(values).encode())
            connection.execute("INSERT INTO notes VALUES (?, ?, ?)", note)
    connection.close()


def write_later(path: Path, values: Values) -> None:
    """What other programs write, in every column, after the database was read."""
    with sqlite3.connect(path) as connection:
        for number in range(5):
            change = (next(values), next(values), next(values).encode(), f"u-{number}")
            connection.execute(
                "UPDATE users SET email = ?, name = ?, about = ? WHERE id = ?", change
            )
            connection.execute(
                "UPDATE projects SET name = ?, note = ?, updated_at = ? WHERE id = ?",
                (next(values), next(values), next(values), f"p-{number}"),
            )
            connection.execute("INSERT INTO notes VALUES (?, ?, ?)", [next(values)] * 3)
    connection.close()


def everything(run: Run) -> Iterator[tuple[str, str]]:
    """What is passed round: the report's views, the log, the notebooks' tables, the archive."""
    write_report(run.folder)
    for name in ("report.html", "audit.json", "junit.xml", "log.jsonl"):
        yield name, (run.folder / name).read_text(errors="replace")
        if name.endswith("on"):
            yield name, repr(json.loads((run.folder / name).read_text()))
    for stage, record in (
        ("preflight", PreflightRecord),
        ("migrate", MigrateRecord),
        ("verify", VerifyRecord),
    ):
        path = run.record_path(stage)
        if not path.exists() or (found := run.record(stage)) is None or not found.result:
            continue
        from runbook.run.json_form import from_json

        result = from_json(record, found.result)
        if isinstance(result, PreflightRecord):
            yield "hazards", tables.hazards(run, result.hazards).to_html()
            yield "remedies", tables.remedies(result.hazards).to_html()
        else:
            yield "findings", tables.findings(result.findings).to_html()
            yield "differences", tables.differences(run, result.findings).to_html()
    archive = seal(run.folder).path
    with zipfile.ZipFile(archive) as container:
        yield "names", repr(container.namelist())
        yield "comment", repr(container.comment)
        for name in container.namelist():
            if "/data/" not in name:
                yield name, container.read(name).decode(errors="replace")
    archive.unlink()


def contexts(run: Run, where: str, markers: list[str]) -> list[str]:
    """Where the first few of the markers stand, for whoever reads the failure."""
    text = dict(everything(run))[where]
    places = [text.casefold().index(m.casefold()) for m in markers[:4]]
    return [text[max(at - 120, 0) : at + 30] for at in places]


def check(run: Run, values: Values, *messages: object) -> None:
    leaks = {name: leaked for name, text in everything(run) if (leaked := values.leaked(text))}
    assert not leaks, {name: contexts(run, name, which) for name, which in leaks.items()}
    assert [str(m) for m in messages if values.leaked(str(m))] == []


def findings(run: Run, stage: str, cls: type) -> tuple[Finding, ...]:
    return run.result(stage, cls).findings  # type: ignore[attr-defined,no-any-return]


def test_refused_before_the_commit(tmp_path: Path, values: Values) -> None:
    make(tmp_path / "app.db", values)
    run = begin(tmp_path / "app.db", tmp_path / "run")
    preflight.preflight(run)
    snapshot.snapshot(run)
    write_later(tmp_path / "app.db", values)
    with pytest.raises(RunbookError) as error:
        migrate.migrate(run, agreed(run))
    assert len(values.markers) > 280
    check(run, values, error.value)
    write_report(run.folder, show_values=True)
    assert values.leaked((run.folder / "audit.json").read_text()), "nothing was there to be hidden"


def test_changed_after_the_commit_and_taken_back(tmp_path: Path, values: Values) -> None:
    make(tmp_path / "app.db", values)
    log = tmp_path / "app.log"
    log.write_text("")
    hostile = next(values)
    settings: dict[str, object] = {
        "window.deploy": {
            "command": [
                "sh",
                "-c",
                'echo "$0"; echo "$0" >&2',
                "Zqcmd " + hostile.replace("\0", ""),
            ]
        },
        "window.smoke": {"command": ["sh", "-c", 'echo "$0"; exit 3', hostile.replace("\0", "")]},
        "window.health": {
            "url": f"http://127.0.0.1:9/{values.markers[-1]}",
            "timeout": 0.2,
            "every": 0.1,
        },
        "monitor": {"logs": [str(log)]},
    }
    plan = write_plan(
        tmp_path / "plan.toml",
        settings | {"users": {"table": "users", "key": "id", "email": "email"}},
    )
    with plan.open("a") as file:
        file.write(
            '[[resources]]\ntable = "projects"\nowner = "owner_id"\nupdated_at = "updated_at"\n'
        )
    run = begin(tmp_path / "app.db", tmp_path / "run", plan)
    preflight.preflight(run)
    snapshot.snapshot(run)
    migrate.migrate(run, agreed(run))
    messages: list[object] = []
    write_later(tmp_path / "app.db", values)
    with sqlite3.connect(tmp_path / "app.db") as connection:
        connection.execute("INSERT INTO projects (id, name) VALUES ('p-x', ?)", (next(values),))
        connection.execute(
            "UPDATE organizations SET name = ?, settings = ?", (next(values), next(values))
        )
    connection.close()
    assert verify.verify(run).verdict == "fail"
    for step in (steps.deploy, steps.workflows, steps.smoke, steps.health):
        try:
            step(run)
        except RunbookError as error:
            messages.append(error)
    with log.open("a") as lines:
        lines.writelines(f"ERROR {next(values)}\n" for _ in range(40))
    record = monitor(run, Watching(0.3, 0.1))
    messages.append(record)
    check(run, values, *messages)
    try:
        rollback(run, agreed(run), discard_organizations=True)
    except RunbookError as error:
        messages.append(error)
    check(run, values, *messages)


ILL = """
CREATE TABLE users (id, email TEXT, name TEXT);
CREATE TABLE projects (id TEXT PRIMARY KEY, name TEXT, owner_id, updated_at TEXT, note TEXT);
CREATE TABLE rooms (label, size, body TEXT, entry TEXT REFERENCES projects(id));
CREATE TABLE tags (tag);
CREATE INDEX by_tag ON tags(tag);
"""
DECLARED = """
ALTER TABLE rooms ADD COLUMN parsed AS (json_extract(body, '$.a'));
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(sql, 'rooms (label,',
    'rooms (label TEXT NOT NULL CHECK (length(label) < 3),'), 'INDEX by', 'UNIQUE INDEX by');
UPDATE sqlite_schema SET sql = replace(sql, 'size,', 'size INTEGER,') WHERE name = 'rooms';
PRAGMA writable_schema = RESET;
"""


def make_ill(path: Path, values: Values) -> None:
    """Every hazard of rows and keys, and hostile values wherever it would show any."""
    wrong = "Zq" + "".join(values.random.choices("bcdfghjklmnpqrstvwxz", k=9))
    values.markers.append(wrong)
    with sqlite3.connect(path) as connection:
        connection.executescript(ILL)
        insert = "INSERT INTO users VALUES (?, ?, ?)"
        keys: list[object] = [next(values) for _ in range(60)]
        keys += [keys[0], keys[1], None, 7, 7.5, f" {keys[2]}", str(keys[3]).upper(), ""]
        keys += [next(values).encode() for _ in range(5)]
        for key in keys:
            connection.execute(insert, (key, next(values), next(values)))
        connection.execute(
            "INSERT INTO users VALUES (CAST(? AS TEXT), '@x', '')", (wrong.encode() + b"\xe9",)
        )
        connection.execute("UPDATE users SET email = (SELECT email FROM users) WHERE rowid % 9 = 0")
        connection.execute("UPDATE users SET email = NULL WHERE rowid % 9 = 1")
        owners = [*keys[:20], None, str(keys[5]).swapcase(), str(keys[6]).encode()]
        owners += [next(values) for _ in range(20)]
        for owner in owners:
            project = (next(values), next(values), owner, next(values), next(values))
            connection.execute("INSERT INTO projects VALUES (?, ?, ?, ?, ?)", project)
        connection.execute(
            "UPDATE projects SET updated_at = '2999-01-01 00:00:00' WHERE rowid % 5 = 0"
        )
        connection.execute(
            "UPDATE projects SET updated_at = '2024-01-01T00:00:00Z' WHERE rowid % 5 = 1"
        )
        connection.execute(
            "INSERT INTO projects VALUES (NULL, ?, NULL, NULL, NULL)", [next(values)]
        )
        for _ in range(40):
            room = (next(values), next(values), "{" + next(values), next(values))
            connection.execute("INSERT INTO rooms VALUES (?, ?, ?, ?)", room)
        connection.execute("INSERT INTO rooms VALUES (NULL, '12', NULL, NULL)")
        for _ in range(5):
            connection.execute("INSERT INTO tags VALUES (?)", [next(values)])
        connection.execute("INSERT INTO tags SELECT * FROM tags")
        connection.executescript(DECLARED)
    connection.close()


PLANS = {
    "refused": "",
    "adopted": '[unowned]\npolicy = "adopt"\nadopter = "nobody"\n',
}


@pytest.mark.parametrize("which", PLANS)
def test_hazards_with_their_samples_and_remedies(
    tmp_path: Path, values: Values, which: str
) -> None:
    make_ill(tmp_path / "app.db", values)
    (tmp_path / "plan.toml").write_text(
        PLANS[which] + '[users]\ntable = "users"\nkey = "id"\nemail = "email"\n'
        '[[resources]]\ntable = "projects"\nowner = "owner_id"\nupdated_at = "updated_at"\n'
    )
    run = begin(tmp_path / "app.db", tmp_path / "run", tmp_path / "plan.toml")
    with pytest.raises(Blocked) as error:
        preflight.preflight(run)
    record = error.value.record
    assert isinstance(record, PreflightRecord)
    assert len(values.markers) > 280
    assert {h.code for h in record.hazards} >= SHOWN
    check(run, values, error.value, *(h.remedy for h in record.hazards))
    assert [h.code for h in record.hazards if values.leaked(h.meaning + h.subject)] == []
    write_report(run.folder, show_values=True)
    assert values.leaked((run.folder / "audit.json").read_text()), "nothing was there to be hidden"


SHOWN = {
    *("keys_null", "keys_doubled", "keys_mixed", "keys_real", "keys_blank", "keys_not_text"),
    *("keys_differ_by_case", "emails_missing", "emails_without_name", "emails_doubled"),
    *("owners_null", "owners_dangling", "owners_other_case", "owners_converted"),
    *("updated_at_mixed", "updated_at_unknown", "updated_at_future", "generated_unreadable"),
    *("nulls_in_not_null", "types_unmet", "checks_unmet", "unique_unmet", "rows_not_told_apart"),
    *("foreign_keys_broken", "key_without_unique_index"),
}
