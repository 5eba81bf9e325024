"""What is passed over before parsing holds nothing, and processes read what one would."""

import os
from pathlib import Path

import pytest

from runbook.scan import Baseline, ResourceNames, processes, scan
from runbook.scan.files import Source, sources
from runbook.scan.read_file import FileReader, read_names
from runbook.scan.relevance import Hits, Relevance

HERE = Path(__file__).parent
PLACES = [HERE / "cases", HERE / "fixtures"]
RESOURCES = [ResourceNames(), ResourceNames("my notes", "author id", "people")]


def read() -> list[Source]:
    return [s for place in PLACES for s in sources(place) if isinstance(s, Source)]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.table)
def test_what_is_passed_over_holds_nothing(resource, monkeypatch):
    """Reading every piece of every file finds the same."""
    files = read()
    reader = FileReader(read_names(files, [resource]), False)
    quick = [reader.read(source) for source in files]
    monkeypatch.setattr(Relevance, "hits", lambda _self, text, data, language: Everything())
    assert [reader.read(source) for source in files] == quick


class Everything(Hits):
    """Hits at every position."""

    def __init__(self) -> None:
        super().__init__((), ())

    def has_strong(self, start: int, end: int) -> bool:
        return True

    has_any = has_strong


@pytest.mark.parametrize(
    ("language", "text", "is_read"),
    [
        ("javascript", "const f = () => document.getElementById('projects');", False),
        ("javascript", "const f = (projects, user) => projects.map(p => p.name);", False),
        ("javascript", "await db.project.findMany({ where: { owner } });", True),
        ("javascript", "await user.getProjects();", True),
        ("python", "def f(request, project): return show(request.owner, project)", False),
        ("python", "Project.objects.filter(owner=user)", True),
        ("python", "run('INSERT INTO ' + '\"projects\" (name) VALUES (?)')", True),
        ("ruby", "def mine = current_user.projects", True),
        ("php", "<?php $q->whereBelongsTo($user); Project::all();", True),
        ("go", "client.Project.Query().Where(project.HasOwnerWith(user.ID(1)))", True),
        ("sql", "SELECT 1 FROM projects", False),
    ],
)
def test_a_file_is_parsed_only_if_it_may_hold_something(language, text, is_read):
    words = [words for words, _ in read_names([], [ResourceNames()])]
    hits = Relevance(words).hits(text, text.encode(), language)
    assert (hits is not None) == is_read


@pytest.fixture
def many(tmp_path, monkeypatch):
    """Files enough for processes, some of which cannot be parsed."""
    monkeypatch.setattr(processes, "MANY", 4)
    monkeypatch.setattr(processes, "_CHUNK", 2)
    for number in range(9):
        text = "Project.objects.filter(owner=u)\n" * number
        (tmp_path / f"{number}.py").write_text(text if number != 5 else "print 'projects owner'")
    return tmp_path


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_read_what_one_would(many, monkeypatch, method):
    context = processes.multiprocessing.get_context(method)
    monkeypatch.setattr(processes, "context", lambda: context)
    calls: list[tuple[int, int]] = []
    result = scan(many, workers=2, progress=lambda *counts: calls.append(counts))
    assert result == scan(many)
    assert [Path(s.file).name for s in result.files_skipped] == ["5.py"]
    assert calls == [(number, 9) for number in range(10)]


def test_what_goes_wrong_in_a_process_is_raised(many, monkeypatch):
    def fail(_self, source):
        raise RuntimeError(source.file)

    monkeypatch.setattr(FileReader, "read", fail)
    monkeypatch.setattr(processes, "context", lambda: processes.multiprocessing.get_context("fork"))
    with pytest.raises(RuntimeError, match=r"0\.py"):
        scan(many, workers=2)


def die(_numbers):
    os._exit(1)


def test_where_processes_are_killed_this_one_reads_on(many, monkeypatch):
    monkeypatch.setattr(processes, "context", lambda: processes.multiprocessing.get_context("fork"))
    monkeypatch.setattr(processes, "_read", die)
    assert len(scan(many, workers=2).findings) == sum(range(9)) - 5


def test_a_process_that_has_threads_is_not_copied(monkeypatch):
    monkeypatch.setattr(processes.threading, "active_count", lambda: 2)
    assert processes.context().get_start_method() != "fork"


def test_minified_scripts_are_listed(tmp_path):
    (tmp_path / "a.js").write_text("x('projects', owner_id);" * 6_000)
    (tmp_path / "b.ts").write_text("x('projects', owner_id);" * 6_000)
    (skipped,) = scan(tmp_path, baseline=Baseline([])).files_skipped
    assert (skipped.file, skipped.reason) == (str(tmp_path / "a.js"), "minified")


@pytest.mark.parametrize(
    ("name", "text", "number"),
    [
        ("a.py", "class Project(Model):\n    owner = ForeignKey(User)\n", 1),
        ("a.py", "def f(request, project): return request.user == project.owner", 1),
        ("a.py", "Project.objects.filter(owner=u)\nProject.objects.exclude(owner__name='x')", 1),
        ("a.py", "def f(team): return team.owner", 0),  # no resource in this file
        ("a.py", "owner = 1; Project(name=owner)", 1),
        ("a.go", "func f(p Project) string { return p.OwnerID }", 1),
        ("a.php", "<?php class Project { function f() { return $this->sort('ownerId'); } }", 1),
        ("a.rb", "class Project; belongs_to :owner; validates :owner_id; end", 2),
        ("a.ts", "project.owner.name; findProjectByOwnerId; row.ownerId;", 3),
        ("a.ts", "row.ownerId;", 1),  # the column's own spelling counts in any file
    ],
)
def test_each_spelling_of_the_owner_is_counted(tmp_path, name, text, number):
    path = tmp_path / name
    path.write_text(text)
    assert dict(scan(path).unjudged).get(str(path), 0) == number
