"""Which files a scan reads, what language each is in, and what each is for."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pathspec

from runbook.errors import BadInput
from runbook.scan.markup import code_of
from runbook.scan.result import Role, Skipped

MAX_BYTES = 2_000_000
_MINIFIED_FROM = 100_000
_SCRIPTS_ONLY = frozenset({".js", ".mjs", ".cjs"})

LANGUAGES = {
    ".ts": "typescript", ".tsx": "typescript", ".mts": "typescript", ".cts": "typescript",
    ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript", ".cjs": "javascript",
    ".vue": "typescript", ".svelte": "typescript", ".astro": "typescript",
    ".py": "python", ".sql": "sql", ".go": "go", ".rb": "ruby", ".rake": "ruby", ".erb": "ruby",
    ".php": "php", ".prisma": "prisma",
}  # fmt: skip

# What is installed, built or generated is not the application's own source.
IGNORED_FOLDERS = frozenset({
    ".git", ".hg", ".svn", "node_modules", "bower_components", "vendor", "dist", "build",
    ".next", ".nuxt", ".venv", "venv", ".tox", "site-packages", "__pycache__",
})  # fmt: skip

_ROLES: tuple[tuple[Role, str], ...] = (
    ("migration", r"(?:^|/)(?:migrations|migrate|alembic)/|(?:^|/)migration/(?:[^/]*\d{3}|.*\.sql$)"
                  r"|(?:^|/)drizzle/.*\.sql$"
                  r"|(?:^|/)(?:schema|structure)\.(?:rb|sql)$"),
    ("test", r"(?:^|/)(?:tests?|specs?|__tests__|__mocks__|e2e|cypress|testing|testdata|testutils?"
             r"|factories|benchmarks?)/|(?:^|/)(?:test_|conftest)[^/]*$|[._](?:test|spec|cy)s?\.\w+$"
             r"|_(?:test|spec)\.\w+$|Tests?\.php$|(?:^|/)tests?\.py$"),
    ("seed", r"(?:^|/)(?:seed(?:s|ers?)?|fixtures?)/"
             r"|(?:^|/)[^/]*(?:seed(?:s|er|ers)?|fixtures?)\.\w+$"),
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One file's text, its name as the operator would type it, its language and what it is for."""

    file: str
    language: str
    text: str
    role: Role = "code"


@dataclass(frozen=True)
class SkippedFolder(Skipped):
    """A folder that was not entered, and why."""


def sources(path: Path, exclude: Sequence[str] = ()) -> Iterator[Source | Skipped]:
    """Read the source files at `path`, a folder or one file, in the order of their names.

    Left out is what `exclude`, patterns as in a .gitignore, or a .gitignore on the way names.
    Links are not followed, except `path` itself. Raises BadInput if there is nothing at `path`,
    or if it is a single file in a language that is not read.
    """
    if path.is_dir():
        yield from _below(path, _patterns(exclude))
    elif not path.exists():
        raise BadInput(f"There is no file or folder {path}: give the folder of the application.")
    elif path.suffix.lower() not in LANGUAGES:
        raise BadInput(
            f"The file {path} is in no language that is read: give a folder, or a file "
            f"ending in one of {' '.join(LANGUAGES)}."
        )
    else:
        yield _read(path, "code")


def role_of(name: str) -> Role:
    """What the file of this name, relative to the scanned folder, is for."""
    return next((role for role, pattern in _ROLES if re.search(pattern, name)), "code")


def _below(root: Path, excluded: pathspec.GitIgnoreSpec) -> Iterator[Source | Skipped]:
    ignored: dict[Path, pathspec.GitIgnoreSpec] = {
        parent: rules for parent in _repository(root) if (rules := _git_rules(parent))
    }
    if _is_ignored(root, ignored, "/"):
        ignored = {}  # given by name, it is meant
    for at, folders, names in os.walk(root):
        parent = Path(at)
        if rules := _git_rules(parent):
            ignored[parent.absolute()] = rules
        kept = []
        for name in sorted(folders):
            path = parent / name
            reason = _folder_reason(path, root, excluded, ignored)
            if reason:
                yield SkippedFolder(str(path), reason)
            elif not path.is_symlink():
                kept.append(name)
        folders[:] = kept
        for name in sorted(names):
            path = parent / name
            if (
                path.suffix.lower() in LANGUAGES
                and ".min." not in name.lower()
                and not path.is_symlink()
                and not excluded.match_file(_relative(path, root))
                and not _is_ignored(path, ignored)
            ):
                yield _read(path, role_of(_relative(path, root)))


def _folder_reason(
    path: Path,
    root: Path,
    excluded: pathspec.GitIgnoreSpec,
    ignored: dict[Path, pathspec.GitIgnoreSpec],
) -> str:
    if path.name in IGNORED_FOLDERS:
        return "installed, built or kept by a tool"
    if excluded.match_file(_relative(path, root) + "/"):
        return "excluded"
    return "ignored by .gitignore" if _is_ignored(path, ignored, "/") else ""


def _relative(path: Path, root: Path) -> str:
    return PurePosixPath(path.relative_to(root)).as_posix()


def _patterns(lines: Sequence[str]) -> pathspec.GitIgnoreSpec:
    try:
        return pathspec.GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise BadInput(f"A pattern to exclude cannot be read: {error}.") from error


def _repository(root: Path) -> list[Path]:
    """The folders above `root` up to the one that holds .git; none without one."""
    above = [root, *root.absolute().parents]
    top = next((number for number, path in enumerate(above) if (path / ".git").exists()), None)
    return [] if top is None else above[: top + 1]


def _git_rules(folder: Path) -> pathspec.GitIgnoreSpec | None:
    try:
        lines = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    try:
        return pathspec.GitIgnoreSpec.from_lines(lines)
    except ValueError:
        return None  # git passes over patterns that it cannot read, too


def _is_ignored(path: Path, rules: dict[Path, pathspec.GitIgnoreSpec], end: str = "") -> bool:
    """Whether the nearest .gitignore that says something of `path` says to ignore it."""
    path = path.absolute()
    for parent in path.parents:
        if parent in rules:
            verdict = rules[parent].check_file(_relative(path, parent) + end).include
            if verdict is not None:
                return verdict
    return False


def _read(path: Path, role: Role) -> Source | Skipped:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Skipped(str(path), "not a regular file")
        if status.st_size > MAX_BYTES:
            return Skipped(str(path), f"larger than {MAX_BYTES // 1_000_000} MB")
        data = path.read_bytes()
    except OSError as error:
        return Skipped(str(path), error.strerror or "cannot be read")
    if b"\0" in data:
        return Skipped(str(path), "not text")
    if path.suffix.lower() in _SCRIPTS_ONLY and _is_minified(data):
        return Skipped(str(path), "minified")
    # One kind of line end, so that lines are counted the same way in every language.
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    suffix = path.suffix.lower()
    data = code_of(data, suffix)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Skipped(str(path), "not UTF-8 text")
    language = LANGUAGES[suffix]
    return Source(str(path), language, text, role)


def _is_minified(data: bytes) -> bool:
    """Whether a script is what a tool made for browsers: nobody writes such lines."""
    return len(data) > _MINIFIED_FROM and len(data) > 300 * (data.count(b"\n") + 1)
