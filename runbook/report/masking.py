"""Keeping personal data out of what is archived and passed round.

The rule is the cautious one: of a sample row, the key is shown, and so are numbers, NULL and the
columns that the migration itself fills (organization, owner, timestamps, role, type). Every other
text or blob is personal until somebody who may asks for it: only its kind and length are shown.
That covers e-mails and names of users and organizations whatever their columns are called. E-mail
addresses are masked wherever else they stand, keys and messages included. The operator, the
ticket and whoever confirmed are no data from the database and stay readable.

Commands and addresses of the plan may hold secrets, so they are never shown to anybody.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TypeVar

from runbook.plan.plan import Command, Health, Maintenance, Plan, Window
from runbook.run.findings import Finding, Sample
from runbook.wording import map_text

T = TypeVar("T")

EMAIL_MASK = "\u2022\u2022\u2022@\u2022\u2022\u2022"

HIDDEN = "\u2022\u2022\u2022"

_EMAIL = re.compile(r"""[^\s'"`<>(),;:=@\[\]]+@[^\s'"`<>(),;:=@\[\]]+""")

# Columns that hold keys, times and words of the migration; what `sql/invariants/` selects too.
_PLAIN = frozenset(
    {
        *("id", "rowid", "organization_id", "owner_id", "user_id", "invited_by", "role", "type"),
        *("created_at", "updated_at", "invited_at", "accepted_at", "applied_at"),
        *("migration", "run", "checksum"),
    }
)

# A value as the audit writes it: 'text', x'00ff', a number or NULL; long ones are cut.
_VALUE = (
    r"(?:x?'(?:[^']|'')*'(?:\.\.\. \(\d+ (?:characters|bytes)\))?"
    r"|-?\d[\d.e+-]*|-?inf|nan|NULL)"
)
_CELL = re.compile(rf"([^'\",=]+)=({_VALUE})", re.IGNORECASE)
_ROW = re.compile(rf"[^'\",=]+={_VALUE}(?:, [^'\",=]+={_VALUE})*", re.IGNORECASE)
_TEXT = re.compile(r"(x?)'((?:[^']|'')*)'(?:\.\.\. \((\d+) (?:characters|bytes)\))?", re.IGNORECASE)
_PLAIN_VALUE = re.compile(r"-?\d[\d.e+-]*|-?inf|nan|NULL", re.IGNORECASE)
_ESCAPE = re.compile(r"''|\\\\|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}")


def mask_emails(value: T) -> T:
    """The same record or text, with a mask in place of every e-mail address in it."""
    return map_text(value, _mask_text, names=False)


def _mask_text(text: str) -> str:
    return _EMAIL.sub(EMAIL_MASK, text) if "@" in text else text


def without_commands(plan: Plan) -> Plan:
    """The plan with a mask in place of its commands and addresses, which may hold secrets."""

    def hidden(value: object) -> object:
        if isinstance(value, Command):
            return Command(command=(HIDDEN,), timeout=value.timeout)
        if isinstance(value, Maintenance | Health):
            return dataclasses.replace(value, url=HIDDEN, text=HIDDEN if value.text else "")
        return value

    shown = {f.name: hidden(getattr(plan.window, f.name)) for f in dataclasses.fields(Window)}
    return dataclasses.replace(plan, window=Window(**shown))  # type: ignore[arg-type]


def mask_finding(finding: Finding, plan: Plan | None) -> Finding:
    """The finding with its samples masked; its key, numbers and columns of the migration stay."""
    plain = _plain_columns(plan)
    # Queries of invariants select keys and counts only; schema objects hold no rows.
    harmless = finding.change.startswith(("invariant ", "table ", "index ", "trigger ", "view "))
    samples = finding.samples if harmless else tuple(_masked(s, plain) for s in finding.samples)
    return mask_emails(dataclasses.replace(finding, samples=samples))


def _plain_columns(plan: Plan | None) -> frozenset[str]:
    if plan is None:
        return _PLAIN
    named = [plan.users.key]
    for resource in plan.resources:
        named += [resource.owner, *([resource.updated_at] if resource.updated_at else [])]
    return _PLAIN | {name.casefold() for name in named}


def _masked(sample: Sample, plain: frozenset[str]) -> Sample:
    if sample.column and all(c.casefold() in plain for c in sample.column.split(", ")):
        return sample
    hide = mask_value if sample.column else lambda row: _mask_row(row, plain)
    before = None if sample.before is None else hide(sample.before)
    after = None if sample.after is None else hide(sample.after)
    if before is not None and before == after and sample.before != sample.after:
        after += ", other content"
    return dataclasses.replace(sample, before=before, after=after)


def mask_value(value: str) -> str:
    """One readable value, masked: numbers and NULL as they are, else its kind and length."""
    if _PLAIN_VALUE.fullmatch(value):
        return value
    match = _TEXT.fullmatch(value)
    if not match:
        return f"\u2022\u2022\u2022 ({len(value):,} characters)"
    blob, inner, length = match.groups()
    if blob:
        return f"\u2022\u2022\u2022 (blob, {int(length) if length else len(inner) // 2:,} bytes)"
    count = int(length) if length else len(_ESCAPE.sub("x", inner))
    return f"\u2022\u2022\u2022 (text, {count:,} characters)"


def _mask_row(row: str, plain: frozenset[str]) -> str:
    """A whole row, `a='x', b=2`, cell by cell; one that cannot be taken apart is hidden."""
    if not _ROW.fullmatch(row):
        return f"\u2022\u2022\u2022 (a row of {len(row):,} characters)"

    def cell(match: re.Match[str]) -> str:
        name, value = match[1], match[2]
        kept = name.strip().casefold() in plain
        return f"{name}={value if kept else mask_value(value)}"

    return _CELL.sub(cell, row)
