"""Another person agrees to what was rehearsed, by name and, if they like, with an SSH key."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from runbook.archive.signature import principal_of, read_key, sign, signature_path
from runbook.errors import BadInput, NotAllowedNow
from runbook.files import write_durably
from runbook.run.approvals import (
    FOLDER,
    Approval,
    Basis,
    basis_of,
    bound_now,
    check_approver,
    judge_approvals,
    read_approvals,
    same_name,
    statement,
    statement_path,
    write_approval,
)
from runbook.run.command_line import command_line
from runbook.run.folder import Run, now
from runbook.run.versions import account


def approve(run: Run, by: str, sign_with: Path | None = None) -> Approval:
    """Records that `by` agrees to what stands in the run; who has agreed to it already, has.

    Args:
        run: a run whose rehearsal is finished, and which has not migrated.
        by: the person's name.
        sign_with: an SSH key that signs the statement.

    Raises:
        BadInput: `by` is empty, or names who began the run; or the key cannot be used here.
        NotAllowedNow: there is nothing to agree to yet, or not any more.
    """
    with run.locked("stage"):
        if run.finished("migrate") or run.unsettled("migrate"):
            raise NotAllowedNow(
                f"The migration of {run.folder} was begun already, so it can no longer be "
                f"approved; see it with `{command_line(run, 'status')}`."
            )
        basis = basis_of(run)
        if basis.rehearse is None or not basis.rehearse.script:
            raise NotAllowedNow(
                f"There is nothing to approve in {run.folder} before its rehearsal; rehearse with "
                f"`{command_line(run, 'run', '--until=rehearse')}`."
            )
        check_approver(basis, by)
        for judged in judge_approvals(basis).approvals:
            known = judged.approval
            if not judged.void and same_name(by) in known.people:
                return known
        number = len(read_approvals(run.folder)) + 1
        approval = Approval(number, by.strip(), account(), now(), bound_now(basis))
        approval = _stated(basis, approval, sign_with)
        write_approval(run.folder, approval)
    run.log("approval", "approved", by=approval.by, number=number)
    return approval


def _stated(basis: Basis, approval: Approval, sign_with: Path | None) -> Approval:
    """The approval with its statement written, and signed; nothing is left of a refused one."""
    allowed = basis.allowed_signers
    if allowed is not None and sign_with is None:
        raise BadInput(
            f"The plan accepts only approvals signed by a key in {allowed}; pass the key with "
            "--sign-with."
        )
    folder = basis.folder / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = statement_path(basis.folder, approval.number)
    write_durably(path, statement(approval, basis.run))
    try:
        return _signed(basis, approval, sign_with) if sign_with is not None else approval
    except BaseException:
        signature_path(path).unlink(missing_ok=True)
        path.unlink()
        raise


def _signed(basis: Basis, approval: Approval, sign_with: Path) -> Approval:
    """The approval with the key that signed it, which must be its person's own."""
    path = statement_path(basis.folder, approval.number)
    signature = signature_path(path)
    write_durably(signature, sign(path, sign_with))
    key, principal = read_key(path, signature), ""
    if allowed := basis.allowed_signers:
        principal = principal_of(path, signature, allowed)
        if not principal:
            raise BadInput(f"{key} is not listed in {allowed}; sign with a key that is.")
        check_approver(basis, principal)
    for judged in judge_approvals(basis).approvals:
        if not judged.void and judged.approval.key == key:
            raise BadInput(
                f"{judged.approval.by} has approved with that key already; another person needs a "
                "key of their own."
            )
    return dataclasses.replace(approval, key=key, principal=principal)
