"""The fleet's report: DuckDB reads all records once; HTML, JSON and JUnit are views of that."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from runbook.audit.duckdb_session import open_duckdb
from runbook.errors import RunFolderError
from runbook.files import sha256, write_durably
from runbook.fleet.pages import MOST_ROWS, as_html, as_junit
from runbook.fleet.records import FAILURES, Outcome
from runbook.fleet.seal import Leaf, write_seal
from runbook.fleet.store import Fleet, Member
from runbook.fleet.view import FleetView, Kind
from runbook.templates import sql_file

NAMES_SHOWN = 20
"""Databases that are named for each kind of hazard or finding; the JSON has no more either."""

TOP = 10
"""How many of the slowest and largest databases are shown."""


FILES_AT_ONCE = 2_000
"""Records that one query reads; DuckDB keeps some kilobytes for each until it ends."""


@dataclass(frozen=True)
class Written:
    """What was written: the page, and the root of the seal over so many runs.

    `altered` are the databases whose record is not as it was when their run ended.
    """

    page: Path
    root: str
    leaves: int
    verdict: str
    altered: tuple[str, ...]


def write_fleet_report(fleet: Fleet, *, anew: bool = False) -> Written:
    """Writes `report.html`, `fleet.json`, `junit.xml` and the seal into the fleet folder.

    Args:
        fleet: the fleet; no database is asked.
        anew: the records are sealed as they are now, also where they are others than when their
            runs ended; otherwise these are named in the report.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    members = list(fleet.members())
    altered = _altered(fleet, members)
    if anew and altered:
        fleet.settle([_digest_now(fleet, member) for member in altered])
        members, altered = list(fleet.members()), []
    sealed = [Leaf(m.name, m.run, m.digest) for m in members if m.digest]
    seal = write_seal(fleet.folder, sealed)
    view = read_fleet_view(fleet, members, altered, seal.root)
    page = fleet.folder / "report.html"
    # With indents, a hundred thousand databases would take 300 MB on the way into the file.
    indent = 1 if len(members) <= MOST_ROWS else None
    text = json.dumps(_as_json(view), indent=indent, ensure_ascii=False) + "\n"
    try:
        write_durably(fleet.folder / "fleet.json", text.encode("utf-8", "backslashreplace"))
        write_durably(fleet.folder / "junit.xml", as_junit(view))
        write_durably(page, as_html(view))
    except OSError as error:
        raise RunFolderError(
            f"The report cannot be written to {fleet.folder} ({error.strerror}); make room, and "
            "call `runbook fleet report` again."
        ) from error
    return Written(page, seal.root, len(sealed), view.verdict, view.altered)


def _altered(fleet: Fleet, members: list[Member]) -> list[Member]:
    """The databases whose record is not as it was when their run ended."""
    return [m for m in members if m.digest and _digest(fleet, m) != m.digest]


def _digest(fleet: Fleet, member: Member) -> str:
    try:
        return sha256(fleet.folder / member.run / "audit.json")
    except OSError:
        return ""


def _digest_now(fleet: Fleet, member: Member) -> Outcome:
    return Outcome(
        member.number, member.state, member.stage, member.error, digest=_digest(fleet, member)
    )


def read_fleet_view(
    fleet: Fleet, members: list[Member], altered: list[Member], root: str
) -> FleetView:
    """All that the report shows; an altered record is named, and not read."""
    with open_duckdb(fleet.folder) as duckdb:
        _load(duckdb, fleet, members, unread={member.number for member in altered})
        shown = {"shown": NAMES_SHOWN}
        hazards = tuple(
            Kind(f"{level}: {title}", code, count, tuple(names))
            for level, code, title, count, names in _run(duckdb, "hazards", **shown).fetchall()
        )
        findings = tuple(
            Kind(message, f"{table}: {change}", count, tuple(names))
            for table, change, message, count, names in _run(duckdb, "findings", **shown).fetchall()
        )
        durations = tuple(_run(duckdb, "durations").fetchall())
        middle = _run(duckdb, "middle")
        names = [column[0] for column in middle.description]
        sums = dict(zip(names, middle.fetchone(), strict=True))
    return FleetView(
        about=fleet.about,
        verdict="fail" if altered else _verdict(members),
        counts=fleet.counts(),
        sums=sums,
        members=tuple(members),
        failures=tuple(m for m in members if m.state in FAILURES or m.error),
        slowest=tuple(sorted(members, key=lambda m: -m.seconds)[:TOP]),
        largest=tuple(sorted(members, key=lambda m: (-m.rows, -m.bytes))[:TOP]),
        hazards=hazards,
        findings=findings,
        durations=durations,
        altered=tuple(m.name for m in altered),
        root=root,
    )


def _load(duckdb: Any, fleet: Fleet, members: list[Member], unread: set[int]) -> None:
    """Makes the tables `members` and `records`; the second has one row for each record read."""
    files = {
        m.number: str(fleet.folder / m.run / "audit.json")
        for m in members
        if m.digest and m.number not in unread
    }
    rows = {
        "number": [m.number for m in members],
        "name": [m.name.encode("utf-8", "backslashreplace").decode() for m in members],
        "run": [m.run for m in members],
        "seconds": [m.seconds for m in members],
        "cpu": [m.cpu for m in members],
        "rows": [m.rows for m in members],
        "bytes": [m.bytes for m in members],
        "file": [files.get(m.number, "") for m in members],
    }
    duckdb.execute("SET memory_limit = '400MB'")
    duckdb.register("members", pa.table(rows))
    _run(duckdb, "records_table")
    every = list(files.values())
    for start in range(0, len(every), FILES_AT_ONCE):
        _run(duckdb, "records", files=every[start : start + FILES_AT_ONCE])


def _run(duckdb: Any, name: str, **values: object) -> Any:
    return duckdb.execute(sql_file(f"fleet/{name}").body, values or None)


def _verdict(members: list[Member]) -> str:
    """`pass` where every database passed, `fail` where one failed, `open` in between."""
    states = {member.state for member in members}
    if states & set(FAILURES):
        return "fail"
    if states == {"taken back"}:
        return "taken back"
    return "pass" if states == {"after"} else "open"


def _as_json(view: FleetView) -> dict[str, Any]:
    """The view as plain JSON values, with every database."""
    return {
        "verdict": view.verdict,
        "fleet": asdict(view.about),
        "root": view.root,
        "counts": view.counts,
        "sums": view.sums,
        "hazards": [asdict(kind) for kind in view.hazards],
        "findings": [asdict(kind) for kind in view.findings],
        "durations": [
            {"from_seconds": low, "to_seconds": high, "databases": count}
            for low, high, count in view.durations
        ],
        "altered": list(view.altered),
        "slowest": [m.name for m in view.slowest],
        "largest": [m.name for m in view.largest],
        "databases": [asdict(m) for m in view.members],
    }
