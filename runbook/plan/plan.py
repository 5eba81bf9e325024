"""What is to be migrated: `plan.toml` as frozen dataclasses.

Without a plan file the specification's schema is meant: `users(id, email)` and
`projects(owner_id, updated_at)`. A plan names tables and columns; whether they exist is checked
by preflight, which reads the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Level = Literal["block", "warn", "note"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""The levels of hazards, the gravest first."""

Event = Literal[
    "blocked", "waiting", "shut", "migrated", "failed", "opened", "violated", "rolled back"
]
EVENTS: tuple[Event, ...] = get_args(Event)
"""What a notice may be about."""

# How a value is checked beyond its type (see read.py).
_SECONDS = {"check": "seconds"}
_URL = {"check": "url"}
_PATTERN = {"check": "pattern"}


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

    Exactly one of `command` and `shell` is set; `timeout` is in seconds.
    """

    command: tuple[str, ...] = ()
    shell: str = ""
    timeout: float = field(default=60.0, metadata=_SECONDS)


@dataclass(frozen=True)
class Maintenance:
    """`[window.maintenance]`: how the application answers while it is shut.

    The status must be this, and the text must stand in the answer; it is asked every `every`
    seconds for at most `timeout` seconds.
    """

    url: str = field(metadata=_URL)
    status: int = 503
    text: str = ""
    timeout: float = field(default=30.0, metadata=_SECONDS)
    every: float = field(default=1.0, metadata=_SECONDS)


@dataclass(frozen=True)
class Health:
    """`[window.health]`: how the healthy application answers; as for `Maintenance`."""

    url: str = field(metadata=_URL)
    status: int = 200
    text: str = ""
    timeout: float = field(default=300.0, metadata=_SECONDS)
    every: float = field(default=2.0, metadata=_SECONDS)


@dataclass(frozen=True)
class Window:
    """`[window]`: what shuts the application, deploys, tries and opens it; all of it optional.

    After `maintenance_on` the database must stay unwritten for `quiet_seconds`. `undeploy` puts
    the old code back, which a rollback needs once `deploy` was tried. `secrets` are names of
    environment variables whose values are hidden wherever they appear.
    """

    quiet_seconds: float = 5.0
    secrets: tuple[str, ...] = ()
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
    pattern: str = field(default=r"\b(ERROR|FATAL|CRITICAL)\b", metadata=_PATTERN)
    query_seconds: float = field(default=30.0, metadata=_SECONDS)
    blocking_seconds: float = field(default=0.25, metadata=_SECONDS)


@dataclass(frozen=True)
class ApprovalRule:
    """`[approval]`: how many other people must agree after the rehearsal.

    Whoever began the run is not among them. `allowed_signers` is a file as for `ssh-keygen -Y`;
    with it, every approval must be signed by a key that the file holds.
    """

    required: int = 0
    allowed_signers: str = ""


@dataclass(frozen=True)
class Notify:
    """`[notify]`: who is told what happens, through apprise.

    `variables` are names of environment variables that hold the addresses, for apprise's URLs are
    secrets. A notice is given up after `timeout` seconds.
    """

    variables: tuple[str, ...] = ()
    events: tuple[Event, ...] = EVENTS
    timeout: float = field(default=5.0, metadata=_SECONDS)


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
    approval: ApprovalRule = ApprovalRule()
    notify: Notify = Notify()
    hazards: Mapping[str, Level] = field(default_factory=dict)

    @property
    def adopts(self) -> bool:
        """Whether rows without an owner go to the adopter's organization."""
        return self.unowned.policy == "adopt"
