"""Who else agreed to the migration, to what exactly, and whether that still counts.

An approval is bound to what its person could see: the outcome of the rehearsal, the plan, the SQL,
and the snapshot where there was one. Without one, the first snapshot that follows belongs to it,
for a live application goes on writing until it is shut. Whatever is another afterwards voids it.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from runbook.archive.signature import read_key, signature_path
from runbook.errors import BadInput, NotAllowedNow
from runbook.files import read_sealed, write_sealed
from runbook.plan.plan import Plan
from runbook.run.command_line import command_line
from runbook.run.json_form import from_json, to_json
from runbook.run.records import RehearseRecord, SnapshotRecord
from runbook.script.migration import render
from runbook.wording import counted, listed

if TYPE_CHECKING:
    from runbook.run.folder import Run

T = TypeVar("T")

FOLDER = "approvals"


@dataclass(frozen=True)
class Bound:
    """What an approval is about, as SHA-256 of each; `snapshot` is empty where none was taken."""

    rehearsal: str
    plan: str
    script: str
    snapshot: str = ""


@dataclass(frozen=True)
class Approval:
    """One person's agreement: the file `approvals/<number>.json`.

    Attributes:
        number: counts the approvals of the run, from 1.
        by: who agreed, as given.
        account: the account that it was given from.
        at: when.
        bound: what it is about.
        snapshot: digest of the first snapshot that followed, where none was there yet.
        key: type and fingerprint of the SSH key that signed it; empty where none did.
        principal: whose key that is, by the plan's file of allowed signers.
    """

    number: int
    by: str
    account: str
    at: str
    bound: Bound
    snapshot: str = ""
    key: str = ""
    principal: str = ""

    @property
    def people(self) -> frozenset[str]:
        """The names of this person, in the form in which names are compared."""
        return frozenset(filter(None, (same_name(self.by), same_name(self.principal))))


@dataclass(frozen=True)
class JudgedApproval:
    """An approval, and why it does not count; `void` is empty where it does."""

    approval: Approval
    void: str
    same_account: bool
    """Whether it came from the account that began the run, which only a signature outweighs."""


@dataclass(frozen=True)
class Standing:
    """How many other people must agree, and who did."""

    required: int
    approvals: tuple[JudgedApproval, ...] = ()

    @property
    def counted(self) -> int:
        """How many people agreed to what stands now."""
        return sum(not judged.void for judged in self.approvals)

    @property
    def missing(self) -> int:
        """How many more must."""
        return max(self.required - self.counted, 0)


@dataclass(frozen=True)
class Basis:
    """What approvals are judged by: who began the run and confirms, and what is to be done."""

    folder: Path
    run: str
    plan: Plan
    operator: str
    account: str
    rehearse: RehearseRecord | None
    snapshot: SnapshotRecord | None
    allowed_signers: Path | None = None
    """The plan's file of allowed signers; a relative path begins at the plan's own folder."""


def basis_of(run: Run) -> Basis:
    """What the approvals of a run are judged by.

    Raises:
        RunFolderError: a record is damaged.
    """
    info, signers = run.info, run.info.plan.approval.allowed_signers
    return Basis(
        folder=run.folder,
        run=info.run,
        plan=info.plan,
        operator=info.operator,
        account=info.account,
        rehearse=_result(run, "rehearse", RehearseRecord),
        snapshot=_result(run, "snapshot", SnapshotRecord),
        allowed_signers=Path(info.plan_file).parent / signers if signers else None,
    )


def _result(run: Run, stage: str, cls: type[T]) -> T | None:
    record = run.record(stage)
    return from_json(cls, record.result) if record and record.status == "finished" else None


def standing(run: Run, *, confirmed_by: str = "") -> Standing:
    """Who agreed to what stands in the run now; whoever confirms does not count as another person.

    Raises:
        RunFolderError: a record is damaged.
    """
    if not (run.folder / FOLDER).is_dir():
        return Standing(run.info.plan.approval.required)
    return judge_approvals(basis_of(run), confirmed_by=confirmed_by)


def judge_approvals(basis: Basis, *, confirmed_by: str = "") -> Standing:
    """As `standing`, from what was read already.

    Raises:
        RunFolderError: the record of an approval is damaged.
    """
    approvals: list[JudgedApproval] = []
    own = {same_name(basis.operator), same_name(basis.account), same_name(confirmed_by)}
    people: set[str] = own - {""}
    keys: set[str] = set()
    for approval in read_approvals(basis.folder):
        void = _void(approval, basis)
        if not void and approval.people & own:
            void = f"{approval.by} began or confirmed the run and so cannot approve it"
        elif not void and (approval.people & people or approval.key in keys - {""}):
            void = "that person has approved already"
        if not void:
            people |= approval.people
            keys.add(approval.key)
        same = approval.account == basis.account
        approvals.append(JudgedApproval(approval, void, same))
    return Standing(basis.plan.approval.required, tuple(approvals))


def approval_problem(run: Run, *, confirmed_by: str = "") -> str:
    """Why the migration must wait for other people, with what they type; empty where it need not.

    Raises:
        RunFolderError: a record is damaged.
    """
    if not run.info.plan.approval.required:
        return ""
    now = standing(run, confirmed_by=confirmed_by)
    if not now.missing:
        return ""
    void = [
        f"that of {judged.approval.by} is void, because {judged.void}"
        for judged in now.approvals
        if judged.void
    ]
    asked = counted(now.required, "approval")
    some = f"only {now.counted:,}" if now.counted else "none"
    command = f"{command_line(run, 'approve')} --by NAME"
    return (
        f"the plan asks for {asked} by other people than {run.info.operator or 'the operator'} and "
        f"has {some}"
        f"{f' ({listed(void)})' if void else ''}; another person approves with `{command}`"
    )


def check_approved(run: Run) -> None:
    """Raises before users are shut out in vain, where other people must agree first.

    Raises:
        NotAllowedNow: the plan asks for more approvals than count.
    """
    if run.unsettled("migrate") or run.finished("migrate"):
        return  # it was begun, so it was approved
    if problem := approval_problem(run):
        run.log("approval", "waits", note=problem)
        raise NotAllowedNow(f"The database was not changed: {problem}.")


def check_approver(basis: Basis, by: str) -> None:
    """Raises BadInput where no name is given, or whoever began the run would approve it."""
    name = same_name(by)
    if not name:
        raise BadInput("An approval needs the name of the person who agrees; pass it with --by.")
    if name in (same_name(basis.operator), same_name(basis.account)):
        raise BadInput(
            f"{by.strip()} began this run (operator {basis.operator}, account {basis.account}), "
            "and so cannot approve it; let another person approve it."
        )


def bound_now(basis: Basis) -> Bound:
    """The digests of what stands now; the rehearsal must be finished."""
    assert basis.rehearse is not None
    return Bound(
        rehearsal_digest(basis.rehearse),
        _digest(to_json(basis.plan)),
        _script_of(basis),
        snapshot_digest(basis.snapshot) if basis.snapshot else "",
    )


def bind_snapshot(run: Run) -> None:
    """Joins the run's snapshot to the approvals that were given before there was one."""
    snapshot = basis_of(run).snapshot
    if snapshot is None:
        return
    for approval in read_approvals(run.folder):
        if not (approval.bound.snapshot or approval.snapshot):
            write_approval(run.folder, replace(approval, snapshot=snapshot_digest(snapshot)))


def read_approvals(folder: Path) -> tuple[Approval, ...]:
    """Every approval in the run folder, in their order.

    Raises:
        RunFolderError: one is damaged.
    """
    files = sorted((folder / FOLDER).glob("*.json"), key=lambda path: (len(path.name), path.name))
    return tuple(from_json(Approval, read_sealed(path)) for path in files)


def write_approval(folder: Path, approval: Approval) -> None:
    """Writes the record of an approval, durably."""
    write_sealed(folder / FOLDER / f"{approval.number}.json", to_json(approval))


def statement_path(folder: Path, number: int) -> Path:
    """The text that an approval states, which its signature covers; that is beside it, `.sig`."""
    return folder / FOLDER / f"{number}.txt"


def statement(approval: Approval, run: str) -> bytes:
    """What the person states, in words that `ssh-keygen -Y verify` can be asked about."""
    bound = approval.bound
    snapshot = bound.snapshot or "the first one after this approval"
    return (
        f"I agree that this migration is made.\nrun: {run}\nby: {approval.by}\nat: {approval.at}\n"
        f"rehearsal: {bound.rehearsal}\nplan: {bound.plan}\nscript: {bound.script}\n"
        f"snapshot: {snapshot}\n"
    ).encode()


def same_name(name: str) -> str:
    """A name as names are compared: without case, spaces, punctuation, accents and invisible signs.

    Rather two people are taken for one than one for two.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return "".join(c for c in plain if c.isalnum())


def rehearsal_digest(rehearse: RehearseRecord) -> str:
    """What a rehearsal showed: everything but how long it took and at what time it ran."""
    return _digest(
        {
            "steps": [[s.name, s.rows] for s in rehearse.steps],
            "footprint": to_json(rehearse.footprint),
            "digests": sorted(
                [d.table, str(d.rows), d.timeless or d.outside] for d in rehearse.digests
            ),
            "rolled_back_equal": rehearse.rolled_back_equal,
            "kept_writes": dict(rehearse.kept_writes),
            "script": rehearse.script,
        }
    )


def snapshot_digest(snapshot: SnapshotRecord) -> str:
    """The content of a snapshot: every table, whole."""
    return _digest(sorted([d.table, d.all_columns] for d in snapshot.digests))


def _script_of(basis: Basis) -> str:
    """Checksum of the SQL that would run: on the snapshot's schema, or else as it was rehearsed."""
    if basis.snapshot is not None and basis.snapshot.shape is not None:
        return render(basis.plan, basis.snapshot.shape, basis.run).checksum
    return basis.rehearse.script if basis.rehearse else ""


def _void(approval: Approval, basis: Basis) -> str:
    """Why an approval is not about what stands now, as half a sentence; empty where it is."""
    if altered := _altered(approval, basis):
        return altered
    if basis.rehearse is None:
        return "the rehearsal that it is about is not there any more"
    was, now = approval.bound, bound_now(basis)
    snapshot = was.snapshot or approval.snapshot
    if was.plan != now.plan:
        return "the plan is another one now"
    if was.script != now.script:
        return "the SQL that would run is another one now"
    if was.rehearsal != now.rehearsal:
        return "a new rehearsal had another outcome"
    if snapshot and now.snapshot and snapshot != now.snapshot:
        return "a new snapshot holds other rows"
    return ""


def _altered(approval: Approval, basis: Basis) -> str:
    """Why the record is not what its person stated and signed."""
    path = statement_path(basis.folder, approval.number)
    signature = signature_path(path)
    try:
        if path.read_bytes() != statement(approval, basis.run):
            return f"{path.name} does not state what its record says"
    except OSError:
        return f"its statement {path.name} cannot be read"
    if approval.key or signature.exists():
        try:
            key = read_key(path, signature)
        except BadInput as error:
            return str(error)
        if key != approval.key:
            return f"it is signed with another key ({key})"
    return ""


def _digest(data: object) -> str:
    text = json.dumps(data, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
