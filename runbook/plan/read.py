"""Reads and validates `plan.toml`: each error names section and key, and says what to do."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

import cattrs
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from runbook.errors import PlanError
from runbook.plan.plan import Command, Plan
from runbook.plan.secrets import hide_in_addresses
from runbook.plan.timestamps import FORMATS
from runbook.sqlite.quoting import fold_name
from runbook.wording import clip

_Path = list[str | int]
_Hook = Callable[[Any, Any], Any]


def read_plan(path: Path | None) -> Plan:
    """The plan in the TOML file `path`, or the specification's where `path` is None.

    Raises:
        PlanError: the file cannot be read, is not TOML, or says something that no plan can say.
    """
    if path is None:
        return Plan()
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors may put a mark before it
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise PlanError(f"The plan {path} cannot be read ({reason}); check the path.") from error
    return parse_plan(text, source=str(path))


def parse_plan(text: str, source: str = "the plan") -> Plan:
    """The plan in TOML `text`; `source` names it in messages.

    Raises:
        PlanError: as for `read_plan`.
    """
    try:
        plan: Plan = _converter().structure(tomllib.loads(text), Plan)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{source} is not valid TOML: {error}; correct that line.") from error
    except RecursionError as error:
        raise PlanError(f"{source} is nested too deeply; write it as docs/plan.md says.") from error
    except BaseValidationError as error:
        raise PlanError(f"{source}{_first_problem(error, [])}") from error
    for problem in _problems(plan):
        raise PlanError(f"{source}: {problem}.")
    return plan


@functools.cache
def _converter() -> cattrs.Converter:
    """Structures TOML strictly: nothing is converted, and unknown keys are errors."""
    converter = cattrs.Converter(forbid_extra_keys=True)

    def table(cls: Any) -> _Hook:
        fields = {
            f.name: override(
                rename=f.metadata.get("key"), struct_hook=_CHECKS.get(f.metadata.get("check", ""))
            )
            for f in dataclasses.fields(cls)
        }
        build: _Hook = make_dict_structure_fn(cls, converter, **fields)  # type: ignore[arg-type]
        return lambda value, kind: build(_a_table(value), kind)

    def mapping(kind: Any) -> _Hook:
        build = converter.get_structure_hook(dict.__class_getitem__(get_args(kind)))
        return lambda value, kind: build(_a_table(value), kind)

    def array(kind: Any) -> _Hook:
        build = converter.get_structure_hook(list.__class_getitem__(get_args(kind)[0]))
        return lambda value, kind: tuple(build(_a_list(value), kind))

    def is_a(origin: object) -> Callable[[Any], bool]:
        return lambda kind: get_origin(kind) is origin

    converter.register_structure_hook_factory(dataclasses.is_dataclass, table)
    converter.register_structure_hook_factory(is_a(Mapping), mapping)
    converter.register_structure_hook_factory(is_a(tuple), array)
    converter.register_structure_hook_func(is_a(Literal), _one_of)
    for kind in _SCALARS:
        converter.register_structure_hook(kind, _scalar)
    return converter


def _a_table(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table, not {_shown(value)}; write its settings below a header")
    return value


def _a_list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list, not {_shown(value)}; write it in brackets")
    return value


def _one_of(value: object, kind: Any) -> object:
    known = get_args(kind)
    if value not in known:
        raise ValueError(f"= {_shown(value)} is not known; use one of {_quoted(known)}")
    return value


def _scalar(value: Any, kind: Any) -> Any:
    if not isinstance(value, _SCALARS[kind][0]) or isinstance(value, bool):
        name, remedy = _SCALARS[kind][1:]
        raise ValueError(f"must be {name}, not {_shown(value)}; write it {remedy} quotes")
    if isinstance(value, str) and "\x00" in value:
        raise ValueError("contains a NUL character; remove it")
    return value


def _seconds(value: object, kind: Any) -> Any:
    if not 0 < _scalar(value, kind) <= 86_400:
        raise ValueError(
            f"must be more than 0 and at most 86400 seconds, not {value}; use such a number"
        )
    return value


def _url(value: object, kind: Any) -> Any:
    valid = re.match(r"https?://[^/\s]", _scalar(value, kind)) is not None
    try:
        parts = urlsplit(str(value))
        valid = valid and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        valid = False
    if not valid:
        raise ValueError(f"= {_shown(value)} is not a valid URL; begin it with http:// or https://")
    return value


def _pattern(value: object, kind: Any) -> Any:
    try:
        re.compile(_scalar(value, kind))
    except re.error as error:
        raise ValueError(f"must be a regular expression ({error}); correct it") from error
    return value


_SCALARS: dict[type, tuple[Any, str, str]] = {
    str: (str, "a string", "in"),
    int: (int, "a whole number", "without"),
    float: (int | float, "a number", "without"),
}
_CHECKS: dict[str, _Hook] = {"seconds": _seconds, "url": _url, "pattern": _pattern}


def _shown(value: object) -> str:
    """A value as TOML writes it, cut where it is long."""
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return clip(shown.lower() if isinstance(value, bool) else hide_in_addresses(shown), 60)


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _first_problem(error: BaseException, path: _Path) -> str:
    """The problem to correct first, as the end of the sentence that begins with the plan's name.

    An unknown key goes first: it is often the misspelled one that is missing elsewhere.
    """
    if isinstance(error, BaseValidationError):
        unknown = [e for e in error.exceptions if isinstance(e, ForbiddenExtraKeysError)]
        first = (unknown or error.exceptions)[0]
        return _first_problem(first, [*path, *_steps(error.cl, first)])
    section = _section(path)
    if isinstance(error, ForbiddenExtraKeysError):
        key, known = min(error.extra_fields), list(_keys(error.cl).values())
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f'did you mean "{near[0]}"?' if near else f"use one of {_quoted(known)}."
        return f' has an unknown key "{key}"{section and f" in {section}"}; {hint}'
    if isinstance(error, KeyError):
        return f' lacks "{path[-1]}" in {_section(path[:-1])}; add it.'
    return f": {_place(path)} {error}."


def _steps(cls: type, error: BaseException) -> _Path:
    """What leads from a table or list to the part that the error is about."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return [_keys(cls)[note.name]]
        if isinstance(note, IterableValidationNote):
            return [note.index]
    return []


def _keys(cls: type) -> dict[str, str]:
    """Field to the key that stands in the file."""
    return {f.name: f.metadata.get("key", f.name) for f in dataclasses.fields(cls)}


def _section(path: _Path) -> str:
    """The header under which something stands: `[window.deploy]`, `[[resources]] number 2`."""
    if path[:1] == ["resources"] and len(path) > 1:
        return f"[[resources]] number {int(path[1]) + 1}"
    return f"[{'.'.join(map(str, path))}]" if path else ""


def _place(path: _Path) -> str:
    """Section and key: `[users] table`, `[triggers] entry 2 of may_write`."""
    *section, key = path
    if isinstance(key, int) and section != ["resources"]:
        *section, listed = section
        key = f"entry {key + 1} of {listed}"
    elif isinstance(key, int):
        return _section(path)
    return f"{_section(section)} {key}".strip()


def _problems(plan: Plan) -> Iterator[str]:
    """What no single setting shows: names that clash, settings that need each other."""
    if not plan.migration.name.strip():
        yield "[migration] name is empty; name the migration"
    if not plan.resources:
        yield "resources names no resource table; add at least one [[resources]]"
    tables = [fold_name(r.table) for r in plan.resources]
    for resource in plan.resources:
        if tables.count(fold_name(resource.table)) > 1:
            yield f'the resource table "{resource.table}" is named twice; keep one of them'
        if fold_name(resource.table) == fold_name(plan.users.table):
            yield (
                f'the table "{resource.table}" is named both as users and as a resource; name it '
                "as one of them"
            )
        if resource.updated_at_format not in (None, *FORMATS):
            yield (
                f'updated_at_format "{resource.updated_at_format}" of "{resource.table}" is not '
                f"known; use one of: {', '.join(FORMATS)}"
            )
    if plan.adopts and not plan.unowned.adopter:
        yield '[unowned] policy = "adopt" needs adopter; add adopter = "<key of a user>"'
    window = plan.window
    for field in dataclasses.fields(window):
        command = getattr(window, field.name)
        if isinstance(command, Command) and bool(command.command) == bool(command.shell.strip()):
            yield (
                f'[window.{field.name}] needs either command = ["program", "argument"] or '
                'shell = "a line for the shell", and not both; correct it'
            )
    if window.maintenance_on and not window.maintenance_off:
        yield (
            "[window.maintenance_on] shuts the application and nothing opens it; add "
            "[window.maintenance_off]"
        )
    if not 0 <= window.quiet_seconds <= 3600:
        yield "[window] quiet_seconds must be from 0 to 3600; use such a number"
    if not 0 <= plan.approval.required <= 10:
        yield "[approval] required must be from 0 to 10 people; use such a number"
