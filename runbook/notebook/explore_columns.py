"""Which type a view gives a column, and what of it is shown.

A column's type holds every cell of it exactly, before and after: BIGINT, DOUBLE, VARCHAR or BLOB
where all cells are of that class, otherwise VARCHAR with a column beside it that says each cell's
storage class. Integers and reals together are DOUBLE, with that column too, as long as no integer
has more than fifteen digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runbook.audit.cells_file import LARGE, OTHER
from runbook.plan.plan import Plan
from runbook.report.masking import KEYS, Mask, mask_of
from runbook.sqlite.quoting import fold_name


@dataclass(frozen=True)
class Privacy:
    """What is hidden: the rule of the report, and the columns whose values name rows."""

    mask: Mask
    keys: frozenset[str]


def privacy_of(plan: Plan) -> Privacy:
    """The rule of the report for this plan."""
    owners = {fold_name(resource.owner) for resource in plan.resources}
    return Privacy(mask_of(plan), KEYS | owners | {fold_name(plan.users.key)})


@dataclass(frozen=True)
class ViewColumn:
    """One column of a view, as the templates in `sql/explore/` take it.

    `cell` and `raw` are the names of the column of cells, in UTF-8 and as it is in the file.
    `classes` is `text`, `null` or `other`. Of a masked column, `personal` says that even numbers
    are hidden, and `by_rule` that texts are shown which have the form of a key, time or role.
    """

    name: str
    cell: str
    raw: str
    type: str
    classes: str
    nullable: bool
    mixed: bool
    masked: bool
    personal: bool
    by_rule: bool
    is_key: bool
    is_rowid: bool = False


def view_column(
    name: str, raw: str, classes: Iterable[str], key: Sequence[str], privacy: Privacy | None
) -> ViewColumn:
    """A column of these storage classes, in a table whose rows are named by `key`."""
    known = set(classes)
    kinds = known - {"null", OTHER}
    type_, mixed = _type(kinds)
    folded = fold_name(name)
    in_key = folded in {fold_name(column) for column in key}
    personal = by_rule = False
    if privacy is not None:
        mask = privacy.mask
        personal = folded in mask.personal
        by_rule = not personal and (folded in mask.plain or (in_key and mask.keys))
    masked = privacy is not None and (personal or bool(kinds - {"integer", "real", LARGE}))
    if by_rule and OTHER not in known and not kinds - {"integer", "real", LARGE, "text"}:
        masked = False  # every text in it is one that the rule shows
    if masked and (personal or (type_ == "BLOB" and not by_rule)):
        type_ = "VARCHAR"  # a masked value is a text
    return ViewColumn(
        name=name,
        cell=raw,
        raw=raw,
        type=type_,
        classes="null" if not kinds else "text" if kinds == {"text"} else "other",
        nullable="null" in known,
        mixed=mixed,
        masked=masked,
        personal=personal,
        by_rule=by_rule,
        is_key=in_key or (privacy is not None and folded in privacy.keys),
    )


def _type(kinds: set[str]) -> tuple[str, bool]:
    """The type for these classes, and whether the class of each cell has to be said."""
    if kinds in ({"integer"}, {"integer", LARGE}):
        return "BIGINT", False
    if kinds <= {"text"}:
        return "VARCHAR", False
    if kinds in ({"real"}, {"blob"}):
        return ("DOUBLE" if kinds == {"real"} else "BLOB"), False
    if kinds == {"integer", "real"}:
        return "DOUBLE", True
    return "VARCHAR", True


def unique_names(names: Iterable[str]) -> list[str]:
    """Names that DuckDB can tell apart and take: none is empty, none recurs in another case."""
    taken: set[str] = set()
    unique = []
    for name in names:
        free = name or "_"
        while fold_name(free) in taken:
            free = "_" + free
        taken.add(fold_name(free))
        unique.append(free)
    return unique
