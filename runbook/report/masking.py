"""Keeping personal data out of what is archived and passed round.

The rule is the cautious one: of a sample row, the key is shown, and so are numbers, NULL and the
columns that the migration itself fills (organization, owner, timestamps, role, type). Every other
text or blob is personal until somebody who may asks for it: only its kind and length are shown.
That covers e-mails and names of users and organizations whatever their columns are called. The
column of e-mails is hidden even where it is a key, and so is every value that holds an `@`.

What is decided is decided about typed values, before anything is rendered. In free text (messages,
lines of logs, SQL) e-mail addresses are replaced. The operator, the ticket and whoever confirmed
are no data from the database and stay readable.

Commands and addresses of the plan may hold secrets, so they are never shown to anybody.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TypeVar

from runbook.plan.plan import Command, Health, Maintenance, Plan, Window
from runbook.run.findings import Finding, Hazard, Sample
from runbook.run.records import Assessment, TableSince
from runbook.run.window_records import Observation
from runbook.sqlite.fields import Field, Row
from runbook.sqlite.quoting import fold_name
from runbook.wording import counted, map_text

T = TypeVar("T")

EMAIL_MASK = "\u2022\u2022\u2022@\u2022\u2022\u2022"

HIDDEN = "\u2022\u2022\u2022"

_PLAIN = r"""[^\s'"`<>(),;:=@\[\]]+"""
_EMAIL = re.compile(rf"""(?:"[^"\n]{{1,64}}"|{_PLAIN})@(?:\[[^\]\s]{{1,64}}\]|{_PLAIN})""")

# Columns of the migration: words and times, and keys.
_WORDS = frozenset(
    {
        *("rowid", "role", "type", "created_at", "updated_at", "invited_at", "accepted_at"),
        *("applied_at", "migration", "run", "checksum"),
    }
)
KEYS = frozenset({"id", "organization_id", "owner_id", "user_id", "invited_by"})
"""Columns of the migration that hold keys."""

# A shown column shows what belongs there; anything else in it may be anybody's words. A key has no
# blanks, quotes or addresses, and some digit; beside keys there are times and roles.
KEY_FORM = "[A-Za-z0-9_.:+/-]{1,80}"
"""The characters of a key, as a regular expression; one of more than three has a digit, too."""

WORD_FORM = "[0-9][0-9TZ:. +/-]{0,39}( UTC)?|owner|admin|member|guest|viewer|personal|team"
"""A time, or a word of the migration, as a regular expression."""

_KEY = re.compile(rf"(?=.*[0-9]|.{{1,3}}\Z){KEY_FORM}")
_TIME_OR_WORD = re.compile(WORD_FORM)


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


def mask_plan(plan: Plan) -> Plan:
    """The plan, its adopter (a user's key, so a value of the database) shown only as a key."""
    adopter = plan.unowned.adopter
    if adopter and (plan.users.key == plan.users.email or not _KEY.fullmatch(adopter)):
        unowned = dataclasses.replace(plan.unowned, adopter=HIDDEN)
        plan = dataclasses.replace(plan, unowned=unowned)
    return mask_emails(plan)


@dataclass(frozen=True)
class Mask:
    """Which columns are shown: `plain` ones anywhere, `personal` ones not even in a key.

    `keys` says whether a row may be named by its key; not where users' keys are their e-mails.
    """

    plain: frozenset[str]
    personal: frozenset[str]
    keys: bool = True

    def sample(self, sample: Sample, *, keys_only: bool = False) -> Sample:
        """The sample with what is personal hidden; values that differed still do.

        `keys_only`: all its values are keys, whatever they are called.
        """
        before, after = (
            None if row is None else self._row(row, key=keys_only)
            for row in (sample.before, sample.after)
        )
        if before and after and before == after and sample.before != sample.after:
            text = f"{after[-1].text}; other content"
            after = (*after[:-1], dataclasses.replace(after[-1], text=text))
        key = self._row(sample.key, key=True)
        return dataclasses.replace(sample, key=key, before=before, after=after)

    def _row(self, row: Row, *, key: bool = False) -> Row:
        shown = key and self.keys
        return tuple(self._field(f, shown or fold_name(f.column) in self.plain) for f in row)

    def _field(self, field: Field, shown: bool) -> Field:
        personal = fold_name(field.column) in self.personal
        match field.kind:
            case "integer" | "real":
                hidden = personal
            case "text" | "blob":
                hidden = personal or not shown or not _belongs(field)
            case _:
                hidden = False
        if not hidden:
            return field
        noun = {"text": "character", "blob": "byte"}.get(field.kind)
        length = f", {counted(field.length, noun)}" if noun else ""
        return Field(field.column, "masked", f"{field.kind}{length}")


def mask_of(plan: Plan | None) -> Mask:
    """The mask for a plan; without one, for the specification's columns."""
    if plan is None:
        return Mask(_WORDS | KEYS, frozenset())
    users = plan.users
    personal = frozenset({fold_name(users.email)} if users.email else ())
    times = {fold_name(r.updated_at) for r in plan.resources if r.updated_at}
    if fold_name(users.key) in personal:  # owners are e-mails, and organizations named after them
        return Mask((_WORDS | times) - personal, personal, keys=False)
    keys = {fold_name(users.key), *(fold_name(r.owner) for r in plan.resources)}
    return Mask((_WORDS | KEYS | times | keys) - personal, personal)


def mask_finding(finding: Finding, plan: Plan | None) -> Finding:
    """The finding with its samples masked; its key, numbers and columns of the migration stay."""
    # The queries of the invariants select keys, words of the migration, and counts.
    samples = _masked(finding.samples, plan, keys_only=finding.change.startswith("invariant "))
    return mask_emails(dataclasses.replace(finding, samples=samples))


def mask_hazard(hazard: Hazard, plan: Plan | None) -> Hazard:
    """The hazard with its samples masked; who accepted it stays readable."""
    masked = mask_emails(dataclasses.replace(hazard, samples=_masked(hazard.samples, plan)))
    return dataclasses.replace(masked, accepted_by=hazard.accepted_by)


def mask_assessment(assessment: Assessment, plan: Plan | None) -> Assessment:
    """The assessment of a rollback with the keys of later writes masked as any key."""

    def masked(tables: tuple[TableSince, ...]) -> tuple[TableSince, ...]:
        return tuple(dataclasses.replace(t, samples=_masked(t.samples, plan)) for t in tables)

    resources, others = masked(assessment.resources), masked(assessment.others)
    return mask_emails(dataclasses.replace(assessment, resources=resources, others=others))


def mask_observation(observation: Observation, plan: Plan | None) -> Observation:
    """The observation of the monitoring with its samples masked."""
    return mask_emails(dataclasses.replace(observation, samples=_masked(observation.samples, plan)))


def _masked(
    samples: tuple[Sample, ...], plan: Plan | None, *, keys_only: bool = False
) -> tuple[Sample, ...]:
    mask = mask_of(plan)
    return tuple(mask.sample(sample, keys_only=keys_only) for sample in samples)


def _belongs(field: Field) -> bool:
    """Whether a text, or a blob that is text, has the form of a key, a time or a role."""
    text = field.text
    if field.kind == "blob":
        try:
            text = bytes.fromhex(text).decode()
        except UnicodeDecodeError:
            return True  # a number of bytes, as UUIDs are
        if not text.isprintable():
            return True
    return bool(_KEY.fullmatch(text) or _TIME_OR_WORD.fullmatch(text))
