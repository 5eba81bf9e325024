"""What every organization and membership must be, computed from the users as they were.

The rules of `sql/rules.sql` once more, over columns and with no SQL, so that a mistake in one
place shows as a disagreement. Every array here has one element for each user, in the order of
the users' snapshot; an element is null for a user whose key has not the class of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from runbook.audit.columns import Alphabet, ColumnFile, combined
from runbook.plan.plan import Plan
from runbook.plan.shape import KeyClass, Shape

_NULL = pa.scalar(None, pa.large_binary())
_TAGS: Mapping[KeyClass, str] = {"text": "t", "integer": "i", "blob": "b"}


@dataclass(frozen=True)
class UserRules:
    """The users before the migration, and what the rules make of each."""

    alphabet: Alphabet
    key_class: KeyClass
    keys: Any
    users: ColumnFile
    email: str | None
    at: str
    """The migration's instant as organizations and memberships keep it."""

    @classmethod
    def read(cls, users: ColumnFile, plan: Plan, shape: Shape, applied_at: str) -> UserRules:
        """Reads the keys; the e-mails are read when names are asked for."""
        return cls(
            Alphabet(users.encoding),
            shape.key_class,
            users.read(plan.users.key),
            users,
            plan.users.email,
            applied_at[:19],
        )

    def organization_ids(self) -> Any:
        """The cell of each user's organization id."""
        return self.alphabet.join(self.alphabet.text("torg-"), self._key_text())

    def membership_ids(self) -> Any:
        """The cell of each user's membership id."""
        return self.alphabet.join(self.alphabet.text("tmem-"), self._key_text())

    def organizations(self) -> Mapping[str, Callable[[], Any]]:
        """Column to what makes its cells: an array by user, or one scalar for all."""
        cell = self.alphabet.cell
        return {
            "name": self.names,
            "slug": self.slugs,
            "owner_id": lambda: self.keys,
            "type": lambda: cell("personal"),
            "settings": lambda: cell("{}"),
            "created_at": lambda: cell(self.at),
            "updated_at": lambda: cell(self.at),
        }

    def memberships(self) -> Mapping[str, Callable[[], Any]]:
        """As `organizations`, for the owners' memberships."""
        cell = self.alphabet.cell
        return {
            "organization_id": self.organization_ids,
            "user_id": lambda: self.keys,
            "role": lambda: cell("owner"),
            "invited_by": lambda: cell(None),
            "invited_at": lambda: cell(None),
            "accepted_at": lambda: cell(self.at),
            "created_at": lambda: cell(self.at),
            "updated_at": lambda: cell(self.at),
        }

    def slugs(self) -> Any:
        """`personal-` and the key: bytes in hexadecimal, or a sign digit and nineteen digits."""
        alphabet, bodies = self.alphabet, self._bodies()
        if self.key_class == "blob":
            digits = alphabet.lower(bodies)
        elif self.key_class == "text":
            digits = alphabet.hexadecimal(bodies)
        else:
            digits = alphabet.ascii(_sortable(alphabet.whole(bodies)))
        return alphabet.join(alphabet.text("tpersonal-"), digits)

    def names(self) -> Any:
        """The e-mail's part before its first @ with `'s Workspace`, or `Personal Workspace`."""
        alphabet = self.alphabet
        plain = alphabet.cell("Personal Workspace")
        if self.email is None:
            return plain
        column = self.users.named(self.email)
        parts = []
        for window in self.users.windows([column]):
            cells = combined(window[column])
            has_at, local = alphabet.before_at(cells)
            has_at &= alphabet.tagged(cells, "t").to_numpy(zero_copy_only=False)
            own = alphabet.join(alphabet.text("t"), local, alphabet.text("'s Workspace"))
            parts.append(pc.if_else(pa.array(has_at), own, plain))
        return pa.concat_arrays(parts) if parts else pa.array([], pa.large_binary())

    def _bodies(self) -> Any:
        of_class = self.alphabet.tagged(self.keys, _TAGS[self.key_class])
        return pc.if_else(of_class, self.alphabet.body(self.keys), _NULL)

    def _key_text(self) -> Any:
        bodies = self._bodies()
        return self.alphabet.lower(bodies) if self.key_class == "blob" else bodies


def as_keys(cells: Any, alphabet: Alphabet, key_class: KeyClass) -> Any:
    """Owners in the class of the keys, where both say the same in text.

    The owner '7' in a TEXT column and the key 7 in an INTEGER column belong together, as they do
    in SQLite, which goes by the columns' affinities.
    """
    if key_class == "blob":
        return cells
    stored, meant = ("t", "i") if key_class == "integer" else ("i", "t")
    foreign = alphabet.tagged(cells, stored)
    if not pc.any(foreign).as_py():
        return cells
    return pc.if_else(foreign, alphabet.join(alphabet.text(meant), alphabet.body(cells)), cells)


def _sortable(keys: Any) -> Any:
    """Integers as text that sorts as they do: 0 or 1 for the sign, then nineteen digits.

    A negative one is counted up from the smallest integer, which is flipping its sign bit.
    """
    numbers = pc.fill_null(keys, 0).to_numpy(zero_copy_only=False)
    counted = np.where(
        numbers < 0, numbers.view(np.uint64) ^ np.uint64(1 << 63), numbers.view(np.uint64)
    )
    digits = pc.utf8_lpad(pa.array(counted).cast(pa.large_string()), 19, "0")
    signs = pc.if_else(
        pa.array(numbers < 0), pa.scalar("0", pa.large_string()), pa.scalar("1", pa.large_string())
    )
    joined = pc.binary_join_element_wise(signs, digits, pa.scalar("", pa.large_string()))
    return pc.if_else(pc.is_valid(keys), joined, pa.scalar(None, pa.large_string()))
