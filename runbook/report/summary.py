"""The run in a sentence or two, made from its records: what moved, and whether it can go back."""

from __future__ import annotations

from runbook.report.contents import Contents
from runbook.run.findings import WITNESS_NAMES
from runbook.run.records import Confirmation
from runbook.script.footprint import FootprintLine
from runbook.sqlite.quoting import fold_name
from runbook.window.series import watched_seconds
from runbook.wording import clip, counted, duration, listed, when

_TIMES = {1: "once", 2: "twice"}


def summary(contents: Contents) -> str:
    """What an auditor reads first: what changed, can it be undone, was it watched."""
    if contents.rollback is not None and contents.rollback.done:
        return f"{_moved(contents)} {_taken_back(contents)}".strip()
    if contents.migrate is None or not contents.migrate.committed:
        return _nothing_moved(contents)
    return f"{_moved(contents)} {reversible(contents)} {watched(contents)}"


def _moved(contents: Contents) -> str:
    """How many rows went to how many organizations, and what of everything else."""
    if contents.migrate is None or not contents.migrate.committed:
        return ""
    rows = [
        (line.table, _count(line))
        for line in contents.footprint
        if (line.change, fold_name(line.column)) == ("changed", "organization_id")
    ]
    created = [
        _count(line)
        for line in contents.footprint
        if (fold_name(line.table), line.change) == ("organizations", "added")
    ]
    what = listed([f"{count:,} {_name(table)}" for table, count in rows if count is not None])
    organizations = created[0] if created and created[0] is not None else None
    if not what or organizations is None:
        return "The migration is committed; how many rows it moved is not on record."
    users = counted(organizations, "user")
    return f"{what} of {users} moved to {counted(organizations, 'organization')}{_else(contents)}."


def _else(contents: Contents) -> str:
    """What the witnesses say of all that should not change."""
    if contents.verify is None:
        return "; no witness has compared the rest after the commit"
    same = contents.verify.verdict == "pass" and not contents.findings
    if not same:
        return "; other things changed as well, or not all is as it must be"
    taken = contents.snapshot
    return f"; nothing else in {counted(taken.rows, 'row')} changed" if taken else ""


def _count(line: FootprintLine) -> int | None:
    """The rows that the witnesses counted, the latest first; the prediction where none did."""
    for who in (*WITNESS_NAMES, "gate"):
        if who in line.counts:
            return line.counts[who]
    return line.predicted


def _name(table: str) -> str:
    """A table's name as a noun, where it reads like one; otherwise the rows of it."""
    plain = table.isidentifier() and table.isascii() and table == table.lower() and len(table) < 30
    return table.replace("_", " ") if plain else f"rows of \u201c{clip(table, 40)}\u201d"


def _nothing_moved(contents: Contents) -> str:
    rows = contents.snapshot.rows if contents.snapshot else None
    where = f" in {counted(rows, 'row')}" if rows is not None else ""
    expected = next(
        (
            line.predicted
            for line in contents.footprint
            if (fold_name(line.table), line.change) == ("organizations", "added")
        ),
        None,
    )
    created = counted(expected or 0, "organization")
    ahead = f" {created} would have been made." if expected is not None else ""
    return f"Nothing{where} was changed.{ahead}"


def _taken_back(contents: Contents) -> str:
    record = contents.rollback
    assert record is not None
    kept = (
        f"{counted(record.kept, 'later write')} of the application kept"
        if record.how == "rollback"
        else "every later write given up with the file"
    )
    at = when(contents.stages["rollback"].finished_at)
    back = f"{counted(record.restored, 'row')} restored, {kept}"
    return f"Taken back on {at}: {back}."


def reversible(contents: Contents) -> str:
    """Whether the migration can be taken back, and how often that was rehearsed."""
    if contents.rollback is not None and contents.rollback.done:
        return "It was taken back."
    if contents.migrate is None or not contents.migrate.committed:
        return "There is nothing to take back."
    if contents.snapshot is None:
        return "Not reversible: there is no record of a backup."
    if contents.backup_gone:
        return f"Not reversible: {contents.backup_gone}."
    times = sum(
        a.stage.name == "rehearse" and a.stage.status == "finished" for a in contents.attempts
    )
    times += contents.rehearse is not None and contents.rehearse.rolled_back_equal
    if not times:
        return "Reversible by its backup; the way back was not rehearsed."
    return f"Reversible, rehearsed {_TIMES.get(times, f'{times:,} times')}."


def watched(contents: Contents) -> str:
    """For how long the database was watched afterwards, and with what result."""
    series = contents.observations
    if not series and (contents.migrate is None or not contents.migrate.committed):
        return "There is nothing to watch yet."
    if not series:
        return "Not yet monitored."
    wrong = sum(not each.ok for each in series)
    looks = counted(len(series), "observation")
    time = duration(watched_seconds(series)) if len(series) > 1 else ""
    over = f"for {time}, {looks}" if time else f"by {looks}"
    return f"Monitored {over}: {counted(wrong, 'problem') if wrong else 'no problem'}."


def agreed(confirmation: Confirmation | None) -> str:
    """Who agreed to a change of the database, how, and when."""
    if confirmation is None:
        return "no confirmation is on record"
    how = {
        "terminal": "typed the name in a terminal",
        "notebook": "typed the name in the notebook",
        "parameter": "gave the name as a parameter",
        "--yes": "passed --yes",
    }.get(confirmation.how, confirmation.how)
    return f"{confirmation.by or 'an unnamed person'} {how}, {when(confirmation.at)}"
