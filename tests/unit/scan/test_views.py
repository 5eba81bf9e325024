"""Programs read the result too: JSON, SARIF, annotations; and what keeps findings silent."""

import json
import os
import shutil
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from runbook.cli import main
from runbook.errors import BadInput
from runbook.scan import Baseline, scan
from runbook.scan.edits import applied
from runbook.scan.result import Edit
from runbook.scan.silence import write_baseline
from runbook.scan.views import as_github, as_json, as_sarif, as_text

OLD = "db.get('SELECT * FROM projects WHERE owner_id = ?');\n"
LIKELY = "await knex('projects').where('owner_id', id);\n"
SUBSET = json.loads((Path(__file__).parent / "sarif-subset.json").read_text())


HOSTILE_NAMES = ("a\n::error::b\x1b[2J.js", os.fsdecode(b"a\xff.js"))


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_file_s_name_begins_no_line_and_commands_nothing(tmp_path, name):
    (tmp_path / name).write_text(OLD)
    result = scan(tmp_path)
    for view in (as_text, as_json, as_sarif, as_github):
        text = view(result)
        assert text.encode()
        assert "\x1b" not in text
        assert "\n::error::b" not in text
    (document,) = json.loads(as_json(result))["findings"]
    assert document["file"].endswith(name)


@pytest.fixture
def application(tmp_path, monkeypatch):
    """A folder with a certain and a likely finding, and findings that stand apart."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "src/a.js": OLD, "src/b.js": LIKELY, "src/migrations/1.js": OLD, "db/seeds/one.js": OLD,
        "src/a.test.js": OLD, "node_modules/x/i.js": OLD, "src/broken.py": "print 'x projects owner_id'",
        "src/other.js": "const owner_id = row.owner_id;\n",
    }.items():  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Path()


def test_migrations_seeds_and_tests_stand_apart(application):
    result = scan(application)
    assert [f.file for f in result.findings] == ["src/a.js", "src/b.js"]
    assert [(f.file, f.role) for f in result.apart] == [
        ("db/seeds/one.js", "seed"), ("src/a.test.js", "test"), ("src/migrations/1.js", "migration")
    ]  # fmt: skip
    text = as_text(result)
    assert "outside the count:\n\ndb/seeds/one.js:1" in text
    assert "2 queries to change (1 certain, 1 likely)" in text


def test_what_was_not_judged_or_entered_is_said(application):
    result = scan(application)
    assert result.unjudged == (("src/other.js", 2),)
    assert [(f.file, f.reason) for f in result.folders] == [
        ("node_modules", "installed, built or kept by a tool")
    ]
    text = as_text(result)
    assert "Not judged: 2 mentions of an owner in 1 file" in text
    assert "  src/other.js  2\n" in text
    assert "node_modules  skipped: installed" in text


def test_one_of_each_is_counted_in_the_singular(tmp_path):
    (tmp_path / "a.js").write_text(OLD + "const owner_id = 1;\n")
    text = as_text(scan(tmp_path))
    assert "Not judged: 1 mention of an owner in 1 file; " in text
    assert text.endswith(
        "1 query to change (1 certain, 0 likely) in 1 of 1 file read; 0 not read\n"
    )


def test_a_text_too_long_to_read_is_said(tmp_path):
    path = tmp_path / "a.js"
    path.write_text(f"db.run('INSERT INTO projects (owner_id) VALUES {'(1), ' * 11_000}(2)');\n")
    (skipped,) = scan(path).files_skipped
    assert skipped.reason == "the text at line 1 is longer than 50,000 characters"


def test_sarif_is_valid_and_holds_edits(application):
    document = json.loads(as_sarif(scan(application)))
    jsonschema.validate(document, SUBSET)
    (run,) = document["runs"]
    first, second = run["results"]
    assert (first["ruleId"], first["level"]) == ("select-by-owner", "error")
    assert second["level"] == "warning"
    (change,) = second["fixes"][0]["artifactChanges"]
    edits = tuple(
        Edit(r["deletedRegion"]["byteOffset"],
             r["deletedRegion"]["byteOffset"] + r["deletedRegion"]["byteLength"],
             r["insertedContent"]["text"])
        for r in change["replacements"]
    )  # fmt: skip
    assert "organizationOf(id)" in applied(LIKELY.encode(), edits)


def test_the_subset_of_the_schema_refuses_what_is_wrong(application):
    document = json.loads(as_sarif(scan(application)))
    del document["runs"][0]["results"][0]["message"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SUBSET)


def test_json_holds_everything(application):
    document = json.loads(as_json(scan(application)))
    assert [finding["sure"] for finding in document["findings"]] == ["certain", "likely"]
    assert document["findings"][1]["edits"]
    assert len(document["apart"]) == 3
    assert document["unjudged"] == [["src/other.js", 2]]


def test_annotations_escape_what_github_would_read(tmp_path):
    path = tmp_path / "a,b.js"
    path.write_text("db.get(`SELECT * FROM projects WHERE owner_id = ? AND n LIKE '100%'`);\n")
    (line,) = as_github(scan(path)).splitlines()
    assert line.startswith("::error file=")
    assert "a%2Cb.js,line=1,title=runbook scan::SELECT" in line
    assert "'100%25'" in line
    assert "%0Ause: " in line


@pytest.mark.parametrize(
    "text",
    [
        OLD.replace("\n", " // runbook: ignore\n"),
        "// runbook: ignore, ids only\n" + OLD,
        "  /* runbook:ignore */\n" + OLD,
    ],
)
def test_a_comment_silences_its_line_or_the_next(tmp_path, text):
    path = tmp_path / "a.js"
    path.write_text(text + OLD)
    result = scan(path)
    assert [f.line for f in result.findings] == [text.count("\n") + 1]
    assert result.silenced == 1
    assert "; 1 silenced" in as_text(result)


def test_no_comment_silences_from_the_end_of_another_line(tmp_path):
    path = tmp_path / "a.js"
    path.write_text("const a = 1; // runbook: ignore\n" + OLD + "x('runbook: ignore');\n" + OLD)
    assert len(scan(path).findings) == 2


def test_a_baseline_silences_what_was_known(application):
    write_baseline(Path("known.json"), scan(application).findings)
    Path("src/a.js").write_text("\n\n" + OLD + OLD)
    result = scan(application, baseline=Baseline.read(Path("known.json")))
    assert [(f.file, f.line) for f in result.findings] == [("src/a.js", 4)]
    assert result.silenced == 2
    Path("known.json").write_text("{}")
    with pytest.raises(BadInput, match=r"The baseline known\.json cannot be read"):
        Baseline.read(Path("known.json"))


def test_gitignore_and_exclude_are_respected(application):
    Path(".gitignore").write_text("/src/b.js\ngenerated/\n")
    Path("generated").mkdir()
    shutil.copy("src/a.js", "generated/a.js")
    Path("src/.gitignore").write_text("!b.js\n")  # a nearer one counts more
    result = scan(application, exclude=["src/a.*", "db"])
    assert [f.file for f in result.findings] == ["src/b.js"]
    assert [(f.file, f.reason) for f in result.folders] == [
        ("db", "excluded"), ("generated", "ignored by .gitignore"),
        ("node_modules", "installed, built or kept by a tool"),
    ]  # fmt: skip


def test_a_gitignore_above_the_folder_counts_in_a_repository(application):
    Path(".git").mkdir()
    Path(".gitignore").write_text("a.js\n")
    assert [f.file for f in scan(Path("src")).findings] == ["src/b.js"]


def test_several_paths_are_read_once(application):
    result = scan([Path("src"), Path("src/a.js"), Path("db/seeds/one.js")])
    assert [f.file for f in result.findings] == ["db/seeds/one.js", "src/a.js", "src/b.js"]


def test_progress_is_reported(application):
    calls = []
    scan(application, progress=lambda done, total: calls.append((done, total)))
    assert calls[0][0] == 0
    assert calls[-1][0] == calls[-1][1] > 5


def invoke(*arguments):
    return CliRunner().invoke(main, ["scan", *arguments])


def test_the_command_fails_on_what_it_is_told_to(application):
    assert invoke(".").exit_code == 0
    assert invoke(".", "--fail-on", "certain").exit_code == 1
    assert invoke("src/b.js", "--fail-on", "certain").exit_code == 0
    assert invoke("src/b.js", "--fail-on", "likely").exit_code == 1
    assert invoke("src/other.js", "--fail-on", "likely").exit_code == 0


def test_the_command_prints_what_programs_read(application):
    assert json.loads(invoke(".", "--json").stdout)["files_read"] == 6
    assert json.loads(invoke("src", "db", "--sarif").stdout)["version"] == "2.1.0"
    assert invoke(".", "--github", "--exclude", "a.js").stdout.count("::warning") == 1
    assert invoke(".", "--write-baseline", "known.json").exit_code == 0
    assert invoke(".", "--baseline", "known.json", "--fail-on", "likely").exit_code == 0


def test_two_formats_at_once_are_refused(application):
    asked = invoke(".", "--json", "--sarif")
    assert asked.exit_code == 2
    assert "--json and --sarif were given: choose one of them." in asked.output


def test_a_baseline_that_cannot_be_read_or_written_is_one_sentence(application):
    for arguments, sentence in (
        (["--baseline", "none.json"],
         "The baseline none.json cannot be read (No such file or directory): "
         "write it with --write-baseline."),
        (["--baseline", "src/a.js"],
         "The baseline src/a.js cannot be read (it is no baseline): "
         "write it with --write-baseline."),
        (["--write-baseline", "none/known.json"],
         "The baseline none/known.json cannot be written (No such file or directory): "
         "choose another path."),
    ):  # fmt: skip
        result = invoke(".", *arguments)
        assert (result.exit_code, result.stderr) == (2, sentence + "\n")


def test_a_baseline_written_anew_keeps_what_it_knew(application):
    invoke(".", "--write-baseline", "known.json")
    Path("src/c.js").write_text(OLD)
    invoke(".", "--baseline", "known.json", "--write-baseline", "known.json")
    result = scan(application, baseline=Baseline.read(Path("known.json")))
    assert (result.findings, result.silenced) == ((), 3)


def test_an_ignored_folder_that_is_given_by_name_is_read(application):
    Path(".git").mkdir()
    Path(".gitignore").write_text("src/\n")
    assert [f.file for f in scan(Path("src")).findings] == ["src/a.js", "src/b.js"]
    assert scan(application).findings == ()


def test_a_file_given_twice_is_read_once(application):
    assert scan([Path("src"), Path("src").resolve()]).files_read == scan(Path("src")).files_read


def test_a_folder_without_source_is_said(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    assert "is this the right folder?" in as_text(scan(tmp_path))
