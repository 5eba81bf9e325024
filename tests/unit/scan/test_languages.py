"""Each language's sources before the migration are found in full, those after it are silent."""

import re
from pathlib import Path

import pytest

from runbook.scan import scan

FIXTURES = Path(__file__).parent / "fixtures"
LANGUAGES = sorted(folder.name for folder in FIXTURES.iterdir())
EXPECT = re.compile(r"EXPECT\+(\d+) (\w+) (\w+)")


def only(folder: Path, stem: str) -> Path:
    (path,) = folder.glob(f"{stem}.*")
    return path


def expected(path: Path) -> list[tuple[int, str, str]]:
    lines = path.read_text().split("\n")
    return [
        (number + int(match[1]), match[2], match[3])
        for number, line in enumerate(lines, 1)
        for match in EXPECT.finditer(line)
    ]


def test_every_language_has_sources():
    assert LANGUAGES == ["go", "javascript", "php", "python", "ruby", "sql", "typescript"]
    assert all(len(expected(only(FIXTURES / name, "before"))) >= 7 for name in LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sources_before_the_migration_are_found(language):
    path = only(FIXTURES / language, "before")
    result = scan(path)
    found = [(f.line, f.kind, f.sure) for f in result.findings]
    assert found == expected(path)
    assert {f.language for f in result.findings} == {language}


@pytest.mark.parametrize("language", LANGUAGES)
def test_sources_after_the_migration_are_silent(language):
    result = scan(only(FIXTURES / language, "after"))
    assert (result.files_read, result.findings) == (1, ())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sources_after_would_not_be_silent_without_their_organization(language, tmp_path):
    """The silence comes from what the queries say, not from a scan that sees nothing."""
    after = only(FIXTURES / language, "after")
    path = tmp_path / after.name
    path.write_text(after.read_text().replace("organization_id", "owner_id"))
    assert scan(path).findings


def test_the_specifications_own_query(tmp_path):
    path = tmp_path / "projects.ts"
    path.write_text(
        "// Before migration - user-based queries\n"
        "const projects = await db.prepare('SELECT * FROM projects WHERE owner_id = ?')"
        ".bind(userId).all();\n"
    )
    (finding,) = scan(tmp_path).findings
    assert (finding.file, finding.line, finding.sure) == (str(path), 2, "certain")
    assert finding.query == "SELECT * FROM projects WHERE owner_id = ?"
    assert finding.replacement == (
        "SELECT * FROM projects WHERE organization_id IN (SELECT om.organization_id "
        "FROM organization_memberships AS om JOIN organizations AS o ON o.id = om.organization_id "
        "WHERE om.user_id = ? AND o.type = 'personal')"
    )
