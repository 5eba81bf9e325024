"""Reading the D1 entry of a wrangler configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.errors import TargetError
from runbook.targets.d1.config import find_config, read_config

TOML = """
name = "app"
[[d1_databases]]
binding = "DB"
database_name = "app-db"
database_id = "id-1"
[[d1_databases]]
binding = "OTHER"
database_name = "other-db"
database_id = "id-2"
preview_database_id = "id-preview"
migrations_dir = "db/changes"
migrations_table = "changes"
[[env.production.d1_databases]]
binding = "DB"
database_name = "app-live"
database_id = "id-3"
"""
JSONC = """{
  // the application's "database"
  "d1_databases": [
    { "binding": "DB", "database_name": "a//b", /* not */ "database_id": "x,]", },
  ],
}"""


def write(folder: Path, text: str, name: str = "wrangler.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("database", ["app-db", "DB"])
def test_by_name_or_binding(tmp_path: Path, database: str) -> None:
    config = read_config(write(tmp_path, TOML), database)
    assert (config.name, config.remote_id, config.local_id) == ("app-db", "id-1", "id-1")
    assert config.migrations_dir == tmp_path / "migrations"
    assert config.migrations_table == "d1_migrations"


def test_the_local_database_is_the_preview_one(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, TOML), "other-db")
    assert (config.remote_id, config.local_id) == ("id-2", "id-preview")
    assert config.migrations_dir == tmp_path / "db" / "changes"
    assert config.migrations_table == "changes"


def test_an_environment_has_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, TOML)
    assert read_config(path, "DB", "production").name == "app-live"
    with pytest.raises(TargetError, match="no environment named 'test'"):
        read_config(path, "DB", "test")


def test_json_with_comments(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, JSONC, "wrangler.jsonc"), "a//b")
    assert config.remote_id == "x,]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TOML, r"no D1 database named 'nope' \(it has: app-db, other-db\)"),
        ("name = ", "is not valid"),
        ("name = 'x'", r"it has: none"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        read_config(write(tmp_path, text), "nope")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot be read"):
        read_config(tmp_path / "wrangler.toml", "DB")
    with pytest.raises(TargetError, match=r"No wrangler\.toml"):
        find_config(tmp_path)
    write(tmp_path, TOML)
    assert find_config(tmp_path).name == "wrangler.toml"


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    """As editors on Windows write it."""
    for name, text in (("wrangler.toml", TOML), ("wrangler.jsonc", JSONC)):
        write(tmp_path, "\ufeff" + text, name)
        assert read_config(tmp_path / name, "DB").binding == "DB"


@pytest.mark.parametrize(
    ("lines", "pattern"),
    [
        ("", "*.sql"),
        ('migrations_dir = "drizzle"\nmigrations_pattern = "drizzle/**/*.sql"', "**/*.sql"),
        ('migrations_dir = "./m/"\nmigrations_pattern = "m/*/migration.sql"', "*/migration.sql"),
        ('migrations_dir = "m"\nmigrations_pattern = "other/*.sql"', None),
        ('migrations_pattern = "migrations/*.sql"', None),
    ],
)
def test_the_pattern_of_migrations(tmp_path: Path, lines: str, pattern: str | None) -> None:
    head = TOML.split("[[d1_databases]]")
    path = write(tmp_path, f"{head[0]}[[d1_databases]]{head[1]}{lines}\n")
    if pattern is None:
        with pytest.raises(TargetError, match="must begin with its migrations_dir"):
            read_config(path, "DB")
    else:
        assert read_config(path, "DB").migrations.pattern == pattern
