"""Brings the probes of an SQLite file together: its place, its pages, its disk, its other users."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runbook.hazards.activity import Watch, lock_held, probe_lock, probe_openers
from runbook.hazards.corruption import method_of, probe_soundness
from runbook.hazards.file import hot_journal, probe_content, probe_disk, probe_place
from runbook.hazards.inspect import Advice, inspect_database
from runbook.hazards.other_names import JOURNAL, probe_other_names
from runbook.hazards.sighting import Sighting, as_hazards, check_levels, worst_first
from runbook.plan.plan import Plan
from runbook.progress import Progress, no_progress
from runbook.run.findings import Hazard
from runbook.sqlite.connect import CutOff, Locked, open_readonly


def file_hazards(path: Path, plan: Plan, run_dir: Path | None) -> tuple[Hazard, ...]:
    """Hazards of the file and of what others do with it; its bytes are left as they are.

    A hot journal, or a lock that keeps readers out, ends the list early: what the file holds
    cannot be read then.

    Raises:
        TargetError: the file is no database that can be read.
        PlanError: `[hazards]` names an unknown hazard, or makes a blocking one milder.
    """
    check_levels(plan)
    return as_hazards(_probe(path, plan, run_dir), plan)


def inspect_file(
    path: Path,
    plan: Plan,
    run_dir: Path | None,
    *,
    samples: int = 10,
    progress: Progress = no_progress,
) -> tuple[tuple[Hazard, ...], Advice]:
    """Everything about an SQLite file: hazards of all groups, and the advice.

    Raises:
        TargetError: the file is no database that can be read.
        PlanError: as for `file_hazards`.
    """
    check_levels(plan)
    elsewhere = list(probe_other_names(path))
    if any(sighting.code == JOURNAL for sighting in elsewhere):
        # What the file holds is not the truth, and nobody may open it by this name until then.
        return as_hazards([*probe_place(path), *elsewhere], plan), {}
    with ThreadPoolExecutor(1) as pool:  # SQLite works outside Python's lock
        of_file = pool.submit(file_hazards, path, plan, run_dir)
        try:
            connection = open_readonly(path)
        except (CutOff, Locked):
            return of_file.result(), {}
        try:
            inside, advice = inspect_database(connection, plan, samples=samples, progress=progress)
        finally:
            connection.close()
        progress("Checking every page of the file")
        hazards = (*inside, *of_file.result())
    if any(h.code == "integrity_errors" for h in of_file.result()):
        # The check of all pages has the fuller account of what single probes stumbled over.
        hazards = tuple(h for h in hazards if h.code != "integrity_errors" or h.subject != "main")
    return worst_first(hazards), {**advice, "file_checked_by": method_of(path)}


def _probe(path: Path, plan: Plan, run_dir: Path | None) -> Iterator[Sighting]:
    try:
        connection = open_readonly(path)
    except CutOff:
        yield from probe_place(path)
        yield hot_journal(path)
        yield from probe_openers(path)
        return
    except Locked:
        yield from probe_place(path)
        yield lock_held(path)
        return
    try:
        watch = Watch(connection)
        yield from probe_place(path)
        yield from probe_other_names(path)
        yield from probe_content(connection, path)
        yield from probe_soundness(connection, path, plan)
        yield from probe_disk(connection, path, plan, run_dir)
        yield from probe_lock(path)
        yield from probe_openers(path)
        yield from watch.probe(path)
    finally:
        connection.close()
