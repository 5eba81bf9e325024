"""The oracle of later writes: plain dicts that follow them, and say what a rollback must do.

It reads nothing from the database: it knows what was there before, what the specification's rule
makes of it, and what every write changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Row = dict[str, object]


@dataclass
class Oracle:
    """What the database holds, as the writes left it.

    `notes` have no `updated_at`; `then` is the whole from before the migration.
    """

    shape: str
    adopts: bool
    users: dict[str, Row] = field(default_factory=dict)
    projects: dict[object, Row] = field(default_factory=dict)
    notes: dict[object, Row] = field(default_factory=dict)
    then: Oracle | None = None
    instant: str = ""
    organizations: dict[object, Row] = field(default_factory=dict)
    memberships: dict[object, Row] = field(default_factory=dict)
    obstacles: int = 0
    extras: int = 0
    """Objects that were added to the tables that go."""

    def belongs(self, owner: object) -> str | None:
        """The organization that the rule gives to a row of this owner."""
        if self.adopts and owner not in self.users:
            return "org-root"
        return None if owner is None else f"org-{owner}"

    # -- what a rollback must make of it ---------------------------------------------------------

    @property
    def before(self) -> Oracle:
        """From before the migration."""
        assert self.then is not None
        return self.then

    def assignments(self, table: str) -> list[tuple[object, object]]:
        """Owner and organization of every row that users put where it is."""
        assigned = []
        for key, row in getattr(self, table).items():
            old = getattr(self.before, table).get(key)
            owner, organization = row["owner_id"], row["organization_id"]
            if old is not None:
                mine = organization not in (
                    self.belongs(owner),
                    self.before.belongs(old["owner_id"]),
                )
            else:
                own = self.organizations.get(organization, {})
                personal = own.get("type") == "personal" and own.get("owner_id") == owner
                mine = organization is not None and organization != self.belongs(owner)
                mine = mine and not personal
            if mine:
                assigned.append((owner, organization))
        return assigned

    def changed_rows(self, table: str, migrated: dict[object, Row]) -> int:
        """Organizations or memberships that are not as the migration made them."""
        now: dict[object, Row] = getattr(self, table)
        return sum(migrated.get(key) != row for key, row in now.items())

    def must_refuse(
        self, discard: bool, migrated: tuple[dict[object, Row], dict[object, Row]]
    ) -> bool:
        """Whether a rollback has to refuse."""
        discarded = sum(
            (
                self.changed_rows("organizations", migrated[0]),
                self.changed_rows("memberships", migrated[1]),
                len(self.assignments("projects")),
                len(self.assignments("notes")),
                self.extras,
            )
        )
        return self.obstacles > 0 or (discarded > 0 and not discard)

    def expected_projects(self) -> dict[object, tuple[object, ...]]:
        """Every project after the way back."""
        return {key: self._after(key, row) for key, row in self.projects.items()}

    def _after(self, key: object, row: Row) -> tuple[object, ...]:
        old = self.before.projects.get(key)
        at = row["updated_at"]
        untouched = (
            old is not None
            and at == self.instant
            and _same(row["owner_id"], old["owner_id"])
            and _same(row["title"], old["title"])
            and row["organization_id"] == self.before.belongs(old["owner_id"])
        )
        if untouched:
            assert old is not None
            at = old["updated_at"]
        return row["owner_id"], row["title"], at


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other
