"""Secrets of commands and addresses: which values they are, and texts and plans without them.

A secret is known by its value and hidden wherever that value appears. Values come from three
sources: environment variables (every one that a command receives, unless name or value is one that
nobody needs to hide), arguments that look like secrets (`--password=...`, `NAME=...`, `-u a:b`,
headers, passwords and queries of addresses), and variables that the plan names.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import html
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, unquote

from runbook.plan.plan import Command, Health, Maintenance, Plan, Window

MASK = "***"

_LEAST = 4  # shorter values would black out half the text
_SOUNDS_SECRET = re.compile(
    r"TOKEN|SECRET|PASS|PWD|PSW|KEY|CREDENTIAL|DSN|AUTH|PRIVATE|SALT|COOKIE|SESSION|WEBHOOK"
    r"|SIGNATURE|BEARER|(^|[_-])(SK|PIN|PW|SIG)($|[_-])",
    re.IGNORECASE,
)

# Variables of every machine, which hold paths, names and settings.
_SAFE_NAMES = re.compile(
    r"_|CI|COLORTERM|COLUMNS|DISPLAY|EDITOR|HOME|HOSTNAME|HOSTTYPE|LANG|LANGUAGE|LESS|"
    r"LINES|LOGNAME|LS_COLORS|MACHTYPE|MAIL|MANPATH|NAME|NODE_ENV|OLDPWD|OSTYPE|PAGER|PATH|"
    r"PS1|PS2|PWD|SHELL|SHLVL|SSH_AUTH_SOCK|SSH_TTY|TERM|TERM_PROGRAM|TMPDIR|TZ|USER|"
    r"USERNAME|VIRTUAL_ENV|VISUAL|RUNBOOK_DATABASE|RUNBOOK_RUN_DIR|PYTEST_CURRENT_TEST|"
    r"INVOCATION_ID|JOURNAL_STREAM"
)
_SAFE_PREFIXES = ("LC_", "LESS_", "XDG_", "PYTHON", "MPL", "IPYTHON", "JPY_", "CONDA_")
_SAFE_WORDS = re.compile(
    r"true|false|none|null|enabled|disabled|always|never|auto|debug|info|warning|error|"
    r"critical|test|testing|tests|dev|development|stage|staging|prod|production|local|"
    r"localhost|default|main|master|release|build|dist|latest|stable|code|data|database|"
    r"root|admin|user|users|nobody|application|server|service|maintenance|deploy|smoke|"
    r"health|runbook|sqlite|python|node|bash|zsh|screen|tmux|linux|darwin|dumb|vt100|xterm|"
    r"xterm-256color|linux-gnu|x86_64|aarch64|utf-8|noninteractive|unknown|normal|plain|"
    r"inline|text|json|html|auto"
)
_NUMBER = re.compile(r"[+-]?[0-9.,:]+%?|[0-9]+x[0-9]+")
_PATH = re.compile(r"(?:~|\.{1,2}|file:/)?/[^\s=@?]*|\.{1,2}")
_ASSIGNED = re.compile(r"-{0,2}([A-Za-z_][A-Za-z0-9_.-]*)=(.*)", re.DOTALL)
_HEADER = re.compile(
    r"([A-Za-z][A-Za-z0-9-]*):\s*(?:(?:Bearer|Basic|Token|Digest)\s+)?(\S.*)", re.I
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>`]+")
_IN_ADDRESS = re.compile(r"(?<=://)[^/\s]+(?=@)")
_QUERY = re.compile(r"(?<=[?&;#])([^=&;#\s]+)=([^&;#\s]+)")
# Shapes under which well-known services issue their tokens, and long words of mixed characters.
_TOKEN = re.compile(
    r"(?:sk|pk|rk)_(?:live|test)_\w+|gh[pousr]_\w+|github_pat_\w+|xox[a-z]-[\w-]+|AKIA[0-9A-Z]{12,}"
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]*|glpat-[\w-]+|sk-[\w-]{16,}"
)
_MIXED = re.compile(r"(?=\S*[a-z])(?=\S*[A-Z])(?=\S*[0-9])[A-Za-z0-9+_=-]{20,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_OPTIONS = frozenset({"-p", "--pass", "-P", "-a", "-u", "--user", "-k", "-t", "-H", "--header"})
# Programs in which `-p` is something else: a folder's parents, a port, a project.
_P_IS_NO_PASSWORD = re.compile(
    r"mkdir|cp|install|tar|rsync|docker|podman|docker-compose|kubectl|ssh|nc|ncat|ps|patch|"
    r"read|lsof|touch|papermill|make|npx|node|python|python3|perl|declare|test"
)
_GLUED = re.compile(r"mysql|mysqldump|mysqladmin|mariadb|mariadb-dump|sshpass|7z|7za|zip")
_MARKS = frozenset({";", "&&", "||", "|", "&", "(", ")"})


@dataclass(frozen=True)
class Secrets:
    """Values to hide; `hide` gives a text without any of them, also where they are quoted."""

    values: frozenset[str] = frozenset()

    def hide(self, text: str) -> str:
        """The text with a mask in place of each value, and of passwords in addresses."""
        pattern = self.pattern
        return hide_in_addresses(pattern.sub(MASK, text) if pattern else text)

    @functools.cached_property
    def pattern(self) -> re.Pattern[str] | None:
        """What matches any of the values, the longest first; None where there is none."""
        forms = {form for value in self.values for form in _forms(value)}
        longest_first = sorted(forms, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first))) if forms else None

    @functools.cached_property
    def longest(self) -> int:
        """Characters of the longest form of a value."""
        return max((len(form) for value in self.values for form in _forms(value)), default=0)

    def __or__(self, other: Secrets) -> Secrets:
        return Secrets(self.values | other.values)


def of_environment(environment: Mapping[str, str], named: Iterable[str] = ()) -> Secrets:
    """The values of variables, except harmless ones; those of the `named` variables always."""
    always = {environment[name] for name in named if environment.get(name)}
    return Secrets(
        frozenset(
            always | {value for name, value in environment.items() if not _harmless(name, value)}
        )
    )


def of_window(window: Window, environment: Mapping[str, str] | None = None) -> Secrets:
    """Every secret of the window: its arguments and addresses, and the environment."""
    values: set[str] = set()
    for field in dataclasses.fields(window):
        part = getattr(window, field.name)
        if isinstance(part, Command):
            values |= of_command(part).values
        elif isinstance(part, Maintenance | Health):
            values |= set(_of_text(part.url))
    known = of_environment(os.environ if environment is None else environment, window.secrets)
    return Secrets(frozenset(values)) | known


def of_command(command: Command) -> Secrets:
    """The arguments of a command that look like secrets."""
    words = list(command.command) or _words(command.shell)
    return Secrets(frozenset(v for v in _of_words(words) if len(v) >= _LEAST))


def without_secrets(plan: Plan) -> Plan:
    """The plan as it may be kept: a mask in place of each secret in its commands and addresses."""
    window = plan.window
    secrets = of_window(window)

    def hidden(part: object) -> object:
        if isinstance(part, Command):
            words = tuple(map(secrets.hide, part.command))
            return dataclasses.replace(part, command=words, shell=secrets.hide(part.shell))
        if isinstance(part, Maintenance | Health):
            return dataclasses.replace(part, url=secrets.hide(part.url))
        return part

    parts = {f.name: hidden(getattr(window, f.name)) for f in dataclasses.fields(window)}
    return dataclasses.replace(plan, window=Window(**parts))  # type: ignore[arg-type]


def hide_in_addresses(text: str) -> str:
    """The text without passwords in addresses, and without queries of them that sound secret."""
    if "://" not in text:
        return text

    def hide(match: re.Match[str]) -> str:
        address = _IN_ADDRESS.sub(MASK, match[0])
        return _QUERY.sub(
            lambda q: f"{q[1]}={MASK}" if _SOUNDS_SECRET.search(q[1]) else q[0], address
        )

    return _ADDRESS.sub(hide, text)


def _harmless(name: str, value: str) -> bool:
    """Whether nobody needs to hide this variable."""
    if len(value) < _LEAST or _SAFE_NAMES.fullmatch(name) or name.startswith(_SAFE_PREFIXES):
        return True
    return not _SOUNDS_SECRET.search(name) and _trivial(value)


def _trivial(value: str) -> bool:
    """Whether a value is a number, a word of every day, a path or the root of a site."""
    value = value.strip()
    if _SAFE_WORDS.fullmatch(value.casefold()) or _NUMBER.fullmatch(value):
        return True
    if "://" in value:
        return bool(re.fullmatch(r"https?://[^/@?#\s]+/?", value))
    return all(_PATH.fullmatch(part) for part in value.split(":"))


def _words(line: str) -> list[str]:
    """The words of a line for the shell, its separators as words of their own."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:  # an open quote
        return line.split()


def _of_words(words: list[str]) -> Iterator[str]:
    """The secrets among the words of one command line."""
    program, option = "", ""
    for word in words:
        if word in _MARKS:
            program, option = "", ""
            continue
        if option and not (word.startswith("-") and len(option) > 2):
            yield from _of_option(program, option, word)
        option = ""
        if any(c.isspace() for c in word) and not _HEADER.fullmatch(word):
            yield from _of_words(_words(word))  # a line within the line: sh -c "..."
        yield from _of_text(word)
        if word.startswith("-"):
            name = word.lstrip("-")
            if "=" not in word and (word in _OPTIONS or _SOUNDS_SECRET.search(name)):
                option = word
            if word.startswith("-p") and len(word) > 2 and _glued(program, word[2:]):
                yield word[2:]
        elif not program and not _ASSIGNED.fullmatch(word):
            program = word.rpartition("/")[2]


def _of_option(program: str, option: str, value: str) -> Iterator[str]:
    """The secret in the word after an option such as `-p`, `--token` or `-u`."""
    if option in ("-u", "--user"):
        _, colon, password = value.partition(":")
        if colon:
            yield password
    elif option in ("-H", "--header"):
        yield from _of_text(value)
    elif option in _OPTIONS:
        if (
            not _P_IS_NO_PASSWORD.fullmatch(program)
            and not _trivial(value)
            and option in ("-p", "--pass")
        ):
            yield value
    elif not _PATH.fullmatch(value):
        yield value


def _glued(program: str, rest: str) -> bool:
    """Whether `-pREST` is a password: of programs that take one so, or of no word's letters."""
    if _P_IS_NO_PASSWORD.fullmatch(program) or _NUMBER.fullmatch(rest):
        return False
    return _GLUED.fullmatch(program) is not None or not re.fullmatch(r"[a-z=/.-]+.*", rest)


def _of_text(word: str) -> Iterator[str]:
    """The secrets within a single word or address."""
    for address in _ADDRESS.findall(word):
        with_user = _IN_ADDRESS.search(address)
        if with_user:
            user, colon, password = with_user[0].partition(":")
            for value in (password, unquote(password)) if colon else (user,):
                yield value
        for name, value in _QUERY.findall(address):
            if _SOUNDS_SECRET.search(name):
                yield value
                yield unquote(value)
    yield from _TOKEN.findall(word)
    if "/" not in word:
        yield from _MIXED.findall(word)
    if (assigned := _ASSIGNED.fullmatch(word)) and "://" not in assigned[1]:
        name, value = assigned.groups()
        variable = not word.startswith("-")
        hidden = variable and name.isupper() and not _harmless(name, value)
        path = "://" in value or _PATH.fullmatch(value)
        if (hidden or _SOUNDS_SECRET.search(name)) and not path:
            yield value
    elif (header := _HEADER.fullmatch(word)) and _SOUNDS_SECRET.search(header[1]):
        yield header[2]


@functools.lru_cache(maxsize=4096)
def _forms(value: str) -> frozenset[str]:
    """How a value may appear: as it is, line by line, quoted for an address, JSON or HTML."""
    lines = [line.strip() for line in value.splitlines()]
    plain = {value, value.strip(), _CONTROL.sub("", value)}
    if len(lines) > 1:
        plain |= {line for line in lines if len(line) >= 2 * _LEAST}
    forms = set(plain)
    for each in plain:
        raw = each.encode("utf-8", "surrogateescape")
        forms |= {quote(raw, safe=""), quote_plus(raw), html.escape(each)}
        forms |= {json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1]}
        forms |= {repr(each)[1:-1], each.replace("'", "'\\''"), each.replace("'", "'\"'\"'")}
        if len(raw) >= 2 * _LEAST:
            forms.add(base64.b64encode(raw).decode().rstrip("="))
    return frozenset(form for form in forms if form.strip())
