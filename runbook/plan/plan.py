"""What is to be migrated: `plan.toml` as frozen dataclasses.

Without a plan file the specification's schema is meant: `users(id, email)` and
`projects(owner_id, updated_at)`. A plan names tables and columns; whether they exist is
for preflight to say, who can look.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from runbook.errors import PlanError
from runbook.plan.timestamps import FORMATS

Level = Literal["block", "warn", "note"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""The levels of hazards, the gravest first."""


@dataclass(frozen=True)
class Migration:
    """`[migration]`: the name under which the ledger remembers this migration."""

    name: str = "0005_add_organizations_backfill"


@dataclass(frozen=True)
class Users:
    """`[users]`: the table of users, its key, and the e-mail column if it has one."""

    table: str
    key: str
    email: str | None = None


@dataclass(frozen=True)
class Resource:
    """One `[[resources]]`: a table whose rows belong to a user through `owner`."""

    table: str
    owner: str
    updated_at: str | None = None
    updated_at_format: str | None = None


@dataclass(frozen=True)
class Organizations:
    """`[organizations]`: who receives a personal organization (`for` in the file)."""

    scope: Literal["users_with_resources", "all_users"] = field(
        default="users_with_resources", metadata={"key": "for"}
    )


@dataclass(frozen=True)
class Unowned:
    """`[unowned]`: what becomes of rows whose owner is NULL or does not exist."""

    policy: Literal["refuse", "adopt"] = "refuse"
    adopter: str = ""


@dataclass(frozen=True)
class Triggers:
    """`[triggers]`: what becomes of the application's triggers that the backfill would fire.

    `refuse` blocks the run; `suspend` drops them inside the transaction and creates them again,
    byte for byte, before it commits; `fire` lets them run, and only the tables in `may_write` may
    be changed by them (rows added; anything else is a finding).
    """

    policy: Literal["refuse", "suspend", "fire"] = "refuse"
    may_write: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proof:
    """`[proof]`: whether tables that the plan does not name are compared before or after commit."""

    untouched: Literal["before", "after"] = "before"


@dataclass(frozen=True)
class Command:
    """A command of the maintenance window: words for the system, or one line for a shell.

    Exactly one of `command` and `shell` is given; `timeout` is in seconds.
    """

    command: tuple[str, ...] = ()
    shell: str = ""
    timeout: float = 60.0


@dataclass(frozen=True)
class Maintenance:
    """`[window.maintenance]`: how the application answers while it is shut.

    The status must be this, and the text must stand in the answer; it is asked every `every`
    seconds for at most `timeout` seconds.
    """

    url: str
    status: int = 503
    text: str = ""
    timeout: float = 30.0
    every: float = 1.0


@dataclass(frozen=True)
class Health:
    """`[window.health]`: how the application answers when it is well; as for `Maintenance`."""

    url: str
    status: int = 200
    text: str = ""
    timeout: float = 300.0
    every: float = 2.0


@dataclass(frozen=True)
class Window:
    """`[window]`: what shuts the application, deploys, tries and opens it; all of it optional.

    After `maintenance_on` nobody may write to the database for `quiet_seconds`. `undeploy` puts
    the old code back, which a rollback needs once `deploy` was tried.
    """

    quiet_seconds: float = 5.0
    maintenance_on: Command | None = None
    maintenance_off: Command | None = None
    deploy: Command | None = None
    undeploy: Command | None = None
    smoke: Command | None = None
    maintenance: Maintenance | None = None
    health: Health | None = None


@dataclass(frozen=True)
class Monitor:
    """`[monitor]`: what is watched after the migration, besides the invariants.

    `logs` are files, `pattern` a regular expression that no new line in them may match.
    `query_seconds` bounds one query; where readers keep writers waiting (no WAL), it is at most
    `blocking_seconds`.
    """

    logs: tuple[str, ...] = ()
    pattern: str = r"\b(ERROR|FATAL|CRITICAL)\b"
    query_seconds: float = 30.0
    blocking_seconds: float = 0.25


@dataclass(frozen=True)
class Plan:
    """The whole plan; the default is the specification's schema."""

    migration: Migration = Migration()
    users: Users = Users("users", "id", "email")
    resources: tuple[Resource, ...] = (Resource("projects", "owner_id", "updated_at"),)
    organizations: Organizations = Organizations()
    unowned: Unowned = Unowned()
    triggers: Triggers = Triggers()
    proof: Proof = Proof()
    window: Window = Window()
    monitor: Monitor = Monitor()
    hazards: Mapping[str, Level] = field(default_factory=dict)

    @property
    def adopts(self) -> bool:
        """Whether rows without an owner are given to the adopter's organization."""
        return self.unowned.policy == "adopt"


def read_plan(path: Path | None) -> Plan:
    """The plan in the TOML file `path`, or the specification's where `path` is None.

    Raises:
        PlanError: the file cannot be read, is no TOML, or says something that no plan can say.
    """
    if path is None:
        return Plan()
    try:
        text = path.read_text(encoding="utf-8")
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
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{source} is not valid TOML: {error}; mend that line.") from error
    plan = _build(Plan, data, source, "")
    assert isinstance(plan, Plan)
    _check(plan, source)
    return plan


def _check(plan: Plan, source: str) -> None:
    """What no single field can tell: names that clash, settings that need each other."""
    if not plan.resources:
        raise PlanError(f"{source} names no resource table; add at least one [[resources]].")
    tables = [r.table.casefold() for r in plan.resources]
    for resource in plan.resources:
        if tables.count(resource.table.casefold()) > 1:
            raise PlanError(
                f'{source} names the resource table "{resource.table}" twice; keep one of them.'
            )
        if resource.table.casefold() == plan.users.table.casefold():
            raise PlanError(
                f'{source} names "{resource.table}" both as users and as a resource; '
                "a table can be only one of them."
            )
        if resource.updated_at_format is not None and resource.updated_at_format not in FORMATS:
            raise PlanError(
                f'{source}: updated_at_format "{resource.updated_at_format}" of '
                f'"{resource.table}" is not known; use one of: {", ".join(FORMATS)}.'
            )
    if plan.adopts and not plan.unowned.adopter:
        raise PlanError(
            f'{source}: policy = "adopt" needs adopter = "<key of a user>" under [unowned].'
        )
    if not plan.migration.name.strip() or "\x00" in plan.migration.name:
        raise PlanError(f"{source}: [migration] name is empty; give the migration a name.")
    _check_window(plan, source)


def _check_window(plan: Plan, source: str) -> None:
    """Commands that say what to run, addresses and patterns that can be used, times that end."""
    for name in ("maintenance_on", "maintenance_off", "deploy", "undeploy", "smoke"):
        command: Command | None = getattr(plan.window, name)
        if command is None:
            continue
        if bool(command.command) == bool(command.shell.strip()):
            raise PlanError(
                f'{source}: [window.{name}] needs either command = ["program", "argument"] or '
                'shell = "a line for the shell", and not both.'
            )
        _positive(command.timeout, f"window.{name}.timeout", source)
    if plan.window.maintenance_on and not plan.window.maintenance_off:
        raise PlanError(
            f"{source}: [window.maintenance_on] shuts the application and nothing opens it; add "
            "[window.maintenance_off]."
        )
    pages = {"maintenance": plan.window.maintenance, "health": plan.window.health}
    for name, page in pages.items():
        if page is None:
            continue
        if not re.match(r"https?://[^/\s]", page.url):
            raise PlanError(
                f'{source}: window.{name}.url = "{page.url}" is no address; write it with http:// '
                "or https://."
            )
        _positive(page.timeout, f"window.{name}.timeout", source)
        _positive(page.every, f"window.{name}.every", source)
    if not 0 <= plan.window.quiet_seconds <= 3600:
        raise PlanError(f"{source}: window.quiet_seconds must be from 0 to 3600.")
    _positive(plan.monitor.query_seconds, "monitor.query_seconds", source)
    _positive(plan.monitor.blocking_seconds, "monitor.blocking_seconds", source)
    try:
        re.compile(plan.monitor.pattern)
    except re.error as error:
        raise PlanError(
            f"{source}: monitor.pattern is no regular expression ({error}); mend it."
        ) from error


def _positive(seconds: float, where: str, source: str) -> None:
    if not 0 < seconds <= 86_400:
        raise PlanError(f"{source}: {where} must be more than 0 and at most 86400 seconds.")


def _build(cls: type, data: object, source: str, where: str) -> Any:
    """An instance of the dataclass `cls` from a TOML table; unknown keys are refused."""
    if not isinstance(data, dict):
        raise PlanError(f"{source}: [{where}] must be a table of settings.")
    hints = get_type_hints(cls)
    fields = {f.metadata.get("key", f.name): f for f in dataclasses.fields(cls)}
    for key in data:
        if key not in fields:
            near = difflib.get_close_matches(key, list(fields), n=1, cutoff=0.5)
            hint = f'did you mean "{near[0]}"' if near else f"known are: {', '.join(fields)}"
            place = f" in [{where}]" if where else ""
            raise PlanError(f'{source} has an unknown key "{key}"{place}; {hint}?')
    values: dict[str, Any] = {}
    for key, spec in fields.items():
        path = f"{where}.{key}" if where else key
        if key in data:
            values[spec.name] = _value(hints[spec.name], data[key], source, path)
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise PlanError(f'{source} lacks "{key}" in [{where}]; add it.')
    return cls(**values)


def _value(hint: Any, value: object, source: str, where: str) -> Any:
    """`value` as the type `hint`, or a PlanError that says what is expected."""
    origin, args = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return _build(hint, value, source, where)
    if origin is Literal:
        if value not in args:
            words = ", ".join(f'"{a}"' for a in args)
            raise PlanError(f"{source}: {where} = {value!r} is not known; use one of {words}.")
        return value
    if origin in (Union, types.UnionType):
        return _value(next(a for a in args if a is not type(None)), value, source, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise PlanError(f"{source}: {where} must be a list.")
        return tuple(_value(args[0], item, source, where) for item in value)
    if origin in (Mapping, dict):
        if not isinstance(value, dict):
            raise PlanError(f"{source}: [{where}] must be a table of settings.")
        return {k: _value(args[1], v, source, f"{where}.{k}") for k, v in value.items()}
    wanted: Any = (int, float) if hint is float else hint
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        kind = {str: "a text in quotes", bool: "true or false"}.get(hint, "a number")
        raise PlanError(f"{source}: {where} must be {kind}, not {value!r}.")
    if hint is str and ("\x00" in str(value)):
        raise PlanError(f"{source}: {where} contains a NUL character; remove it.")
    return value
