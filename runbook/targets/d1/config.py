"""Reads the D1 database's entry in a wrangler configuration (TOML, JSON or JSON with comments)."""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook.errors import TargetError
from runbook.files import parse_json
from runbook.targets.d1.migrations_folder import MigrationsFolder

_NAMES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml")
_UNIQUE_KEY = "miniflare-D1DatabaseObject"


@dataclass(frozen=True)
class D1Config:
    """One `[[d1_databases]]` entry. Paths are absolute; `remote_id` is None for local-only use."""

    path: Path
    name: str
    binding: str
    remote_id: str | None
    preview_id: str | None
    migrations: MigrationsFolder
    migrations_table: str
    environment: str | None

    @property
    def migrations_dir(self) -> Path:
        """The folder of migrations."""
        return self.migrations.path

    @property
    def local_id(self) -> str:
        """The id under which wrangler keeps the local state (as wrangler itself chooses it)."""
        return self.preview_id or self.remote_id or self.binding

    def state_folder(self, persist_to: Path | None = None) -> Path:
        """Where wrangler keeps local state; `persist_to` as in its own option `--persist-to`."""
        return persist_to.resolve() if persist_to else self.path.parent / ".wrangler" / "state"

    def state_file(self, persist_to: Path | None = None) -> Path:
        """The SQLite file of the local database; it may not exist yet."""
        folder = self.state_folder(persist_to) / "v3" / "d1" / _UNIQUE_KEY
        return folder / f"{object_name(self.local_id)}.sqlite"


def find_config(folder: Path) -> Path:
    """The configuration that wrangler itself would use in `folder`.

    Raises:
        TargetError: there is none.
    """
    for name in _NAMES:
        if (folder / name).is_file():
            return folder / name
    raise TargetError(f"No {_NAMES[2]} in {folder}; name it with --wrangler-config.")


def read_config(path: Path, database: str, environment: str | None = None) -> D1Config:
    """The entry whose `database_name` or `binding` is `database`.

    Raises:
        TargetError: the file cannot be read, or it has no such entry or more than one.
    """
    data = _parse(path)
    if environment is not None:
        data = _section(data, path, environment)
    entries = [e for e in data.get("d1_databases", []) if isinstance(e, dict)]
    matching = [e for e in entries if database in (e.get("database_name"), e.get("binding"))]
    if len(matching) != 1:
        known = ", ".join(str(e.get("database_name") or e.get("binding")) for e in entries)
        raise TargetError(
            f"{path} has {len(matching) or 'no'} D1 database{'s' if matching else ''} named "
            f"{database!r} (it has: {known or 'none'}); correct the name."
        )
    entry = matching[0]
    return D1Config(
        path=path.resolve(),
        name=str(entry.get("database_name") or database),
        binding=str(entry.get("binding") or database),
        remote_id=_text(entry, "database_id"),
        preview_id=_text(entry, "preview_database_id"),
        migrations=_migrations(path.resolve(), entry),
        migrations_table=_text(entry, "migrations_table") or "d1_migrations",
        environment=environment,
    )


def _migrations(path: Path, entry: dict[str, Any]) -> MigrationsFolder:
    """The folder and the pattern, which wrangler wants to begin with the folder.

    Raises:
        TargetError: it does not.
    """
    folder = posixpath.normpath((_text(entry, "migrations_dir") or "migrations").replace("\\", "/"))
    pattern = _text(entry, "migrations_pattern")
    if pattern is None:
        return MigrationsFolder(path.parent / folder)
    below = posixpath.normpath(pattern.replace("\\", "/"))
    head = "" if folder == "." else f"{folder}/"
    if not below.startswith(head) or _text(entry, "migrations_dir") is None:
        raise TargetError(
            f"The migrations_pattern {pattern!r} in {path} must begin with its migrations_dir; "
            "correct it as wrangler asks for it."
        )
    return MigrationsFolder(path.parent / folder, below.removeprefix(head))


def object_name(database_id: str) -> str:
    """Name of the state file: the id of the Durable Object in which miniflare keeps a database."""
    key = hashlib.sha256(_UNIQUE_KEY.encode()).digest()
    name = hmac.new(key, database_id.encode(), hashlib.sha256).digest()[:16]
    return (name + hmac.new(key, name, hashlib.sha256).digest()[:16]).hex()


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = tomllib.loads(text) if path.suffix == ".toml" else parse_json(_plain_json(text))
    except OSError as error:
        raise TargetError(
            f"The wrangler configuration {path} cannot be read ({error.strerror}); "
            "name the right file with --wrangler-config."
        ) from error
    except (ValueError, RecursionError) as error:
        raise TargetError(f"The wrangler configuration {path} is not valid: {error}.") from error
    if not isinstance(data, dict):
        raise TargetError(f"The wrangler configuration {path} is not a table of settings.")
    return data


def _section(data: dict[str, Any], path: Path, environment: str) -> dict[str, Any]:
    sections = data.get("env", {})
    if not isinstance(sections, dict) or not isinstance(sections.get(environment), dict):
        raise TargetError(f"{path} has no environment named {environment!r}; correct the name.")
    section: dict[str, Any] = sections[environment]
    return section


def _text(entry: dict[str, Any], key: str) -> str | None:
    value = entry.get(key)
    return str(value) if value else None


_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)


def _plain_json(text: str) -> str:
    """JSON without the comments and trailing commas that wrangler allows."""
    without = _TOKENS.sub(lambda m: m[0] if m[0][0] in '",' else " ", text)
    return _TOKENS.sub(lambda m: "" if m[0][0] == "," else m[0], without)
