"""The rows of the sample database: an ordinary application's, and the hard cases.

Pure: the same arguments give the same rows, without a clock and without any chance but the seed.
Rows come one by one, so that five million of them take no more memory than a thousand.
"""

from __future__ import annotations

import importlib.resources
import itertools
import math
import random
import tomllib
from collections.abc import Iterator
from datetime import date
from typing import Any

UserRow = tuple[str, str | None, str | None, str]
"""id, email, name, created_at"""

ProjectRow = tuple[str, str | None, str, str | None, str, str, str, str | None]
"""id, owner_id, name, description, status, settings, created_at, updated_at"""

Cell = str | int | float | bytes | None

SIDE_PROJECTS = 5000
"""Only so many projects get tasks, comments, tags and search: owners are what is large."""


def _read_values() -> dict[str, Any]:
    """What `values.toml` holds, with None for NULL."""
    text = (importlib.resources.files(__package__) / "values.toml").read_text(encoding="utf-8")
    return {
        name: {case: _nulls(values) for case, values in part.items()}
        if isinstance(part, dict)
        else _nulls(part)
        for name, part in tomllib.loads(text).items()
    }


def _nulls(values: list[Any]) -> tuple[Any, ...]:
    return tuple(None if value is False else value for value in values)


_VALUES = _read_values()


def _people() -> Iterator[tuple[str, str]]:
    """Every pairing of names within a culture, with the local part of an e-mail."""
    for order in ("given_first", "family_first"):
        for culture in _VALUES[order]:
            first, first_mail, family, family_mail = (names.split() for names in culture)
            for (name, mail), (surname, surname_mail) in itertools.product(
                zip(first, first_mail, strict=True), zip(family, family_mail, strict=True)
            ):
                whole = f"{surname} {name}" if order == "family_first" else f"{name} {surname}"
                yield whole, f"{mail}.{surname_mail}"


_PEOPLE = tuple(_people())
_PROJECT_NAMES = (
    *map(" ".join, itertools.product(_VALUES["project_kinds"], _VALUES["project_things"])),
    *_VALUES["project_names"],
)
# One pick for four columns: name, description, status and settings.
_ABOUTS = tuple(
    itertools.product(
        _PROJECT_NAMES, _VALUES["descriptions"], _VALUES["statuses"], _VALUES["settings"]
    )
)
_TITLES, _BODIES, _TAGS = _VALUES["titles"], _VALUES["bodies"], _VALUES["tags"]

_DAY = 86400
_FIRST_DAY = date(2019, 1, 1).toordinal()
_JOIN_DAYS, _ALL_DAYS = 1826, 2190
_DAYS = tuple(date.fromordinal(_FIRST_DAY + n).isoformat() for n in range(_ALL_DAYS))
_MINUTES = tuple(f" {n // 60:02}:{n % 60:02}:" for n in range(1440))
_SECONDS = tuple(f"{n:02}" for n in range(60))


def timestamp(seconds: int) -> str:
    """`YYYY-MM-DD HH:MM:SS`, so many seconds after the sample's first midnight."""
    days, rest = divmod(seconds, _DAY)
    return _DAYS[days] + _MINUTES[rest // 60] + _SECONDS[rest % 60]


def user_key(number: int) -> str:
    """Key of the user with this number, from 0."""
    return f"usr_{number:08d}"


def project_key(number: int) -> str:
    """Key of the project with this number, from 0."""
    return f"prj_{number:08d}"


def _joined(user: int, users: int) -> int:
    return user * _JOIN_DAYS * _DAY // users


def _numbers(count: int, rng: random.Random) -> Iterator[int]:
    """0 to count - 1, shuffled in blocks, so that the order of rows is not the order of keys."""
    for start in range(0, count, 1000):
        block = list(range(start, min(start + 1000, count)))
        rng.shuffle(block)
        yield from block


def user_rows(users: int, seed: int) -> Iterator[UserRow]:
    """The ordinary users. Their e-mails end in their number, so no two are the same."""
    rng = random.Random(f"users {seed}")
    chance = rng.random
    for number in _numbers(users, rng):
        name, mail = _PEOPLE[int(chance() * len(_PEOPLE))]
        yield (
            user_key(number),
            f"{mail}{number}@example.{('com', 'org', 'net')[int(chance() * 3)]}",
            name if chance() > 0.02 else None,
            timestamp(_joined(number, users)),
        )


def project_rows(projects: int, users: int, seed: int) -> Iterator[ProjectRow]:
    """The ordinary projects. One user in ten owns none, most own a few, some own very many.

    Owners are ranked, each rank but the last tenth gets one project, and the others fall on low
    ranks by far more often. Rank and user are paired by a step without common divisor, which
    reaches each user once and needs no list of them.
    """
    rng = random.Random(f"projects {seed}")
    chance = rng.random
    active = users - users // 10
    step = next(s for s in range(max(1, users * 5 // 8), 2 * users + 2) if math.gcd(s, users) == 1)
    offset = rng.randrange(users)
    end = _ALL_DAYS * _DAY - 1
    for number in _numbers(projects, rng):
        rank = number if number < active else int(active * chance() ** 2)
        owner = (rank * step + offset) % users
        start = _joined(owner, users)
        created = start + int(chance() * (end - start))
        updated = created + int(max(0.0, chance() - 0.25) * (end - created))
        yield (
            project_key(number),
            user_key(owner),
            *_ABOUTS[int(chance() * len(_ABOUTS))],
            timestamp(created),
            timestamp(updated),
        )


def task_rows(projects: int, users: int, seed: int) -> Iterator[tuple[Cell, ...]]:
    """id, project_id, assignee_id, title, done, hours, due_on: two for each project."""
    rng = random.Random(f"tasks {seed}")
    for number in range(2 * min(projects, SIDE_PROJECTS)):
        yield (
            number + 1,
            project_key(number // 2),
            user_key(rng.randrange(users)) if number % 3 else None,
            _TITLES[rng.randrange(len(_TITLES))],
            rng.randrange(2),
            rng.randrange(1, 80) / 10 if number % 4 else None,
            _DAYS[rng.randrange(_ALL_DAYS)],
        )


def comment_rows(projects: int, users: int, seed: int) -> Iterator[tuple[Cell, ...]]:
    """id, task_id, author_id, body, created_at: one for every other task."""
    rng = random.Random(f"comments {seed}")
    for number in range(min(projects, SIDE_PROJECTS)):
        yield (
            number + 1,
            2 * number + 1,
            user_key(rng.randrange(users)),
            _BODIES[rng.randrange(len(_BODIES))],
            timestamp(rng.randrange(_ALL_DAYS * _DAY)),
        )


def tag_rows(projects: int) -> Iterator[tuple[str, str]]:
    """project_id, tag: none, one or two for each project."""
    for number in range(min(projects, SIDE_PROJECTS)):
        for place in range(number % 3):
            yield project_key(number), _TAGS[(number + place) % len(_TAGS)]


def audit_rows(projects: int, seed: int) -> Iterator[tuple[Cell, ...]]:
    """action, event, weight, payload, detail, at: values that a careless copy would change."""
    rng = random.Random(f"audit {seed}")
    fixed: tuple[tuple[Cell, ...], ...] = (
        ("extreme", 2**63 - 1, 1.7976931348623157e308, b"", "text"),
        ("extreme", -(2**63), 5e-324, b"\x00", 1),
        ("extreme", 2**53, 0.1 + 0.2, b"\xff\xfe\x80", 1.0),
        ("extreme", 2**53 + 1, -1e-7, "text in a BLOB column", b"1"),
        ("extreme", None, float("inf"), None, None),
        ("extreme", 0, 1e15 + 0.3, bytes(range(256)), "nul\x00inside"),
    )
    for row in fixed:
        yield (*row, _DAYS[0] + " 00:00:00")
    for number in range(min(projects, SIDE_PROJECTS) // 2):
        yield (
            "save",
            2**53 + rng.randrange(2**60),
            rng.random() * 10 ** rng.randrange(-9, 10),
            rng.randbytes(12),
            project_key(number),
            timestamp(rng.randrange(_ALL_DAYS * _DAY)),
        )


HARD_KEYS: dict[str, tuple[str, ...]] = {**_VALUES["keys"], "key_long": ("k" * 1000,)}
"""Keys that break careless code, each borne by a user and by a project of that user."""

_THEN = "2024-01-01 00:00:00"


def hard_users() -> Iterator[tuple[str, UserRow]]:
    """The hard users, each with the name of its case."""
    for case, keys in HARD_KEYS.items():
        for number, key in enumerate(keys):
            yield f"user_{case}", (key, f"{case}.{number}@example.com", key, _THEN)
    number = 0
    for case, emails in _VALUES["emails"].items():
        for email in emails:
            yield f"user_{case}", (f"mail-{number:02}", email, "Hard Mail", _THEN)
            number += 1


def hard_projects() -> Iterator[tuple[str, ProjectRow]]:
    """The hard projects, each with the name of its case; needs the first ordinary user."""

    def row(
        key: str,
        owner: str | None,
        name: str = "Hard case",
        settings: str = "{}",
        updated_at: str | None = _THEN,
    ) -> ProjectRow:
        return key, owner, name, None, "active", settings, _THEN, updated_at

    for case, keys in HARD_KEYS.items():
        for key in keys:
            yield f"project_{case}", row(key, key, name=key)
    for _, (user, *_rest) in hard_users():
        if user.startswith("mail-"):
            yield "project_of_user_with_hard_email", row(f"of-{user}", user)
    for case, owners in _VALUES["owners"].items():
        for number, owner in enumerate(owners):
            yield f"project_{case}", row(f"{case}-{number}", owner)
    for case, times in _VALUES["times"].items():
        for number, at in enumerate(times):
            yield f"project_{case}", row(f"{case}-{number}", user_key(0), updated_at=at)
    for case, (name, settings) in _VALUES["texts"].items():
        yield f"project_{case}", row(case, user_key(0), name=name, settings=settings)
