"""What is wrong, once each: several witnesses, invariants and digests may find the same problem.

A missing membership is known by SQLite as a number of rows, by pandas as a row, by two invariants
as its consequence, and by whoever counts. That is one problem, with a column for each witness.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runbook.report.contents import Contents
from runbook.run.findings import Finding, Sample, drift_advice
from runbook.script.footprint import FootprintLine
from runbook.script.migration import NEW_TABLES
from runbook.sqlite.quoting import fold_name
from runbook.wording import counted

_VALUES = ("changed", "wrong value")
_ROWS = ("added", "removed", "missing", "rows lost or gained")
_COUNTS = ("witnesses disagree", "written since the commit", "digest differs")
_INVARIANT = "invariant "
_INDEX_PARTS = ("_data", "_idx", "_content", "_docsize", "_config", "_node", "_rowid", "_parent")
"""What SQLite appends to the name of a virtual table (FTS5, R*Tree) for its own tables."""

_ABOUT: Mapping[str, tuple[str, ...]] = {
    "resources_without_organization": ("resource",),
    "resources_of_missing_organization": ("resource", "organizations"),
    "resources_of_another_owner": ("resource", "organizations"),
    "queries_disagree": ("resource", "organizations", "organization_memberships"),
    "organizations_without_owner_membership": ("organization_memberships", "organizations"),
    "owner_memberships_without_owner_role": ("organization_memberships",),
    "users_without_organization": ("organizations", "organization_memberships"),
    "users_with_several_personal_organizations": ("organizations",),
}
"""Where an invariant breaks as the consequence of what was done to a table."""


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it must be.

    `counts` maps each witness that saw it to its number of rows; `consequences` are the titles of
    the invariants that it breaks; `findings` is how many findings say the same.
    """

    what: str
    table: str
    column: str = ""
    advice: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    consequences: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    findings: int = 1

    @property
    def rows(self) -> int:
        """Rows that are wrong, by the witness that saw the most."""
        return max(self.counts.values(), default=0)


def problems(contents: Contents) -> tuple[Problem, ...]:
    """Every problem of a run, the worst first."""
    committed = contents.migrate is not None and (
        contents.migrate.committed or contents.migrate.proof == "after commit"
    )
    tables = _Tables.of(contents)
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in _joinable(contents.findings):
        groups.setdefault(tables.key(finding, groups), []).append(finding)
    lines = contents.footprint
    known = [_problem(group, lines, tables, committed=committed) for group in groups.values()]
    known.sort(key=tables.rank)
    return tuple(_with_invariants(known, contents, tables))


def _joinable(findings: Iterable[Finding]) -> list[Finding]:
    """The findings about rows and objects; what only counts comes last, to be joined to them."""
    about = [f for f in findings if not f.change.startswith(_INVARIANT)]
    return sorted(about, key=lambda f: f.change in _COUNTS)


@dataclass(frozen=True)
class _Tables:
    """The tables of the plan, and those of virtual tables by their name; all casefolded."""

    resources: frozenset[str]
    users: str
    indexes: Mapping[str, str]

    @classmethod
    def of(cls, contents: Contents) -> _Tables:
        plan = contents.plan
        digests = contents.snapshot.digests if contents.snapshot else ()
        names = {fold_name(d.table): d.table for d in digests}
        indexes: dict[str, str] = {}
        for name in names:
            stem = next((name[: -len(p)] for p in _INDEX_PARTS if name.endswith(p)), "")
            parts = [stem + part for part in _INDEX_PARTS if stem + part in names]
            if stem and len(parts) > 2:
                indexes[name] = names[name][: len(stem)]
        return cls(
            frozenset(fold_name(r.table) for r in plan.resources) if plan else frozenset(),
            fold_name(plan.users.table) if plan else "",
            indexes,
        )

    def key(self, finding: Finding, groups: Mapping[tuple[str, ...], object]) -> tuple[str, ...]:
        """What a finding has in common with others that tell the same problem."""
        table = fold_name(finding.table)
        if table in self.indexes:
            return ("index", fold_name(self.indexes[table]))
        column = fold_name(finding.column)
        if finding.change in _VALUES and column:
            return ("values", table, column)
        if finding.change in _ROWS and not column:
            return ("rows", table)
        if finding.change in _COUNTS:
            same = [key for key in groups if key[1:2] == (table,)]
            exact = [k for k in same if k[2:3] == (column,) or (not column and k[0] == "rows")]
            if exact or (same and finding.change == "digest differs"):
                return (exact or same)[0]
            return ("counts", table, column)
        return (finding.change, table, column)

    def kind(self, table: str) -> str:
        """What a table is to the migration: a resource, one that it makes, or another."""
        folded = fold_name(table)
        if folded in self.resources:
            return "resource"
        return folded if folded in NEW_TABLES else ""

    def rank(self, problem: Problem) -> tuple[int, int]:
        """The worst first: the migration's own rows, the plan's tables, all others."""
        kind = self.kind(problem.table)
        owned = fold_name(problem.column) == "organization_id" or kind in NEW_TABLES
        place = 0 if kind and owned else 1 if kind or fold_name(problem.table) == self.users else 2
        return (3 if problem.table in self.indexes.values() else place, -problem.rows)


def _problem(
    group: list[Finding], footprint: tuple[FootprintLine, ...], tables: _Tables, *, committed: bool
) -> Problem:
    """What one group of findings tells."""
    first = group[0]
    index = tables.indexes.get(fold_name(first.table))
    counts: dict[str, int] = {}
    for finding in group:
        if finding.change not in _COUNTS:
            counts[finding.witness] = max(counts.get(finding.witness, 0), finding.rows)
    if index:
        count = len({f.table for f in group})
        what = f'the index "{index}" is not as it was, in {counted(count, "table")} of its own'
        advice = "it follows the rows that it indexes, so correct those first"
        return Problem(what, index, "", advice, counts, findings=len(group))
    line = _line(footprint, first)
    if line is not None and line.predicted is not None:
        off = {who: abs(line.predicted - rows) for who, rows in line.counts.items()}
        counts |= {who: rows for who, rows in off.items() if rows and who not in counts}
    best = max(group, key=_detail)
    return Problem(
        first.message,
        first.table,
        first.column,
        drift_advice(committed=committed) if any(f.drift for f in group) else "",
        counts,
        samples=best.samples,
        findings=len(group),
    )


def _line(footprint: tuple[FootprintLine, ...], finding: Finding) -> FootprintLine | None:
    """The line of the footprint that counts the rows which the finding is about."""
    change = "changed" if finding.column else "added"
    names = (fold_name(finding.table), fold_name(finding.column), change)
    return next(
        (f for f in footprint if (fold_name(f.table), fold_name(f.column), f.change) == names), None
    )


def _detail(finding: Finding) -> tuple[int, int]:
    """How much a finding's samples show: both sides of a row are more than one."""
    both = sum(s.before is not None and s.after is not None for s in finding.samples)
    return (both, len(finding.samples))


def _with_invariants(
    known: list[Problem], contents: Contents, tables: _Tables
) -> Iterable[Problem]:
    """The problems with the invariants that they break; one broken by none is a problem itself."""
    titles = {i.name: i for i in contents.invariants}
    alone: list[Problem] = []
    for finding in contents.findings:
        if not finding.change.startswith(_INVARIANT):
            continue
        name = finding.change.removeprefix(_INVARIANT)
        result = titles.get(name)
        title = result.title if result else name
        cause = _cause(known, _ABOUT.get(name, ()), tables)
        if cause is not None:
            at = known[cause]
            kept = dict.fromkeys((*at.consequences, title))
            known[cause] = dataclasses.replace(
                at, consequences=tuple(kept), findings=at.findings + 1
            )
            continue
        counts = result.violations if result else {finding.witness: finding.rows}
        counts = {who: rows for who, rows in counts.items() if rows}
        if all(f.what != finding.message for f in alone):
            alone.append(
                Problem(finding.message, finding.table, counts=counts, samples=finding.samples)
            )
    return (*alone, *known)


def _cause(known: list[Problem], about: tuple[str, ...], tables: _Tables) -> int | None:
    """The place of the problem that explains why an invariant about such tables does not hold."""
    for kind in about:
        for place, problem in enumerate(known):
            if tables.kind(problem.table) == kind and (
                kind in NEW_TABLES or fold_name(problem.column) == "organization_id"
            ):
                return place
    return None


def problem_sentence(known: tuple[Problem, ...]) -> str:
    """The first problem as a sentence, and how many more there are; empty where there is none."""
    if not known:
        return ""
    first, more = known[0], len(known) - 1
    text = f"{first.what[:1].upper()}{first.what[1:]}"
    if more == 1:
        return f"{text}; one more problem is below."
    return f"{text}; {more:,} more problems are below." if more else f"{text}."
