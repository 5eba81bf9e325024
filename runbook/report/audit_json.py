"""The report for machines: `audit.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from runbook.report.bounds import Bounded, Shown, bounded
from runbook.report.contents import Contents
from runbook.report.outcome import Outcome
from runbook.report.stage_status import StageStatus
from runbook.report.view_model import ReportView, execution
from runbook.run.approvals import Standing
from runbook.run.findings import Finding, InvariantResult, render_sample, sample_line
from runbook.run.json_form import to_json
from runbook.run.records import RollbackRecord
from runbook.script.footprint import FootprintLine
from runbook.sqlite.header import Header


def audit(view: ReportView) -> dict[str, Any]:
    """The view as plain JSON values; `docs/schema/audit-1.json` describes the keys."""
    contents = view.contents
    findings = _findings(contents.findings)
    hazards = bounded([h.hazard for h in view.hazards], sample_line)
    return {
        "schema": "runbook/audit/1",
        "verdict": view.outcome.verdict,
        "outcome": outcome_json(view.outcome),
        "proofs": [dataclasses.asdict(p) for p in view.proofs],
        "run": {
            "run": contents.run,
            "created_at": contents.created_at,
            "operator": contents.operator,
            "ticket": contents.ticket,
            "seconds": round(view.seconds, 3),
            "locked_seconds": contents.migrate.locked_seconds if contents.migrate else None,
            "values_shown": contents.values_shown,
        },
        "identity": to_json(contents.identity),
        "invariants": [_invariant(i) for i in contents.invariants],
        "footprint": [_line(line) for line in view.footprint],
        "findings": [_with_samples(shown) for shown in findings.items],
        "hazards": [
            _with_samples(shown) | {"done": treated.done}
            for shown, treated in zip(hazards.items, view.hazards, strict=False)
        ],
        "left_out": {"findings": findings.left_out, "hazards": hazards.left_out},
        "checklist": [dataclasses.asdict(line) for line in view.checklist],
        "steps": [to_json(s) for s in contents.steps],
        "rehearsed_steps": [to_json(s) for s in contents.rehearse.steps]
        if contents.rehearse
        else [],
        "timeline": [_stage(contents, s) for s in contents.stages.values() if s.started_at],
        "tables": [dataclasses.asdict(t) for t in view.tables],
        "digests": {
            "before": [to_json(d) for d in contents.snapshot.digests] if contents.snapshot else [],
            "after": [to_json(d) for d in contents.verify.digests] if contents.verify else [],
        },
        "header": {
            "before": _header(contents.snapshot.header if contents.snapshot else None),
            "after": _header(contents.verify.header if contents.verify else None),
        },
        "views_left_out": list(contents.migrate.views_left_out) if contents.migrate else [],
        "organization_sizes": dict(contents.verify.organization_sizes) if contents.verify else {},
        "approvals": approvals_json(contents.approvals),
        "rollback": _rollback(contents.rollback) if contents.rollback else None,
        "provenance": _provenance(contents),
        "versions": dict(contents.versions),
    }


def _stage(contents: Contents, stage: StageStatus) -> dict[str, Any]:
    return dataclasses.asdict(stage) | {"executed": execution(contents, stage)}


def _provenance(contents: Contents) -> dict[str, Any]:
    """Where everything came from, with the checksums of what was executed."""
    snapshot, migrate = contents.snapshot, contents.migrate
    return {
        "backup": to_json(snapshot.backup) if snapshot else None,
        "ledger": to_json(migrate.ledger) if migrate and migrate.ledger else None,
        "sql_files": dict(contents.sql),
        "scripts": [
            {"file": e.name, "sha256": e.sha256, "bytes": e.bytes} for e in contents.scripts
        ],
        "plan": to_json(contents.plan) if contents.plan else None,
        "damage": list(contents.damage),
    }


def approvals_json(standing: Standing) -> dict[str, Any]:
    """How many other people had to agree, and each who did, with what it was about."""
    return {
        "required": standing.required,
        "counted": standing.counted,
        "approvals": [
            to_json(judged.approval) | {"void": judged.void, "same_account": judged.same_account}
            for judged in standing.approvals
        ],
    }


def _header(header: Header | None) -> dict[str, Any] | None:
    """The settings in the header of the file, and one digest of them all."""
    return None if header is None else {**to_json(header), "sha256": header.digest}


def _rollback(record: RollbackRecord) -> dict[str, Any]:
    """The record of the rollback; its findings stand among all others."""
    findings = _findings(record.findings)
    return to_json(dataclasses.replace(record, findings=())) | {
        "findings": [_with_samples(shown) for shown in findings.items]
    }


def _findings(findings: Sequence[Finding]) -> Bounded[Finding, dict[str, Any]]:
    return bounded(findings, lambda sample: dataclasses.asdict(render_sample(sample)))


def _with_samples(shown: Shown[Any, Any]) -> dict[str, Any]:
    """A finding or hazard with its samples as text, as many as there was room for."""
    return to_json(shown.item) | {
        "samples": list(shown.samples),
        "samples_left_out": shown.left_out,
    }


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome, with its verdict and its word."""
    derived = {"verdict": outcome.verdict, "word": outcome.word}
    return dataclasses.asdict(outcome) | derived


def _invariant(invariant: InvariantResult) -> dict[str, Any]:
    """Violations by the witnesses after the commit; what the gate counted has its own key."""
    after = {who: rows for who, rows in invariant.violations.items() if who != "gate"}
    return {
        "name": invariant.name,
        "holds": invariant.holds,
        "violations": after,
        "gate": invariant.violations.get("gate"),
        "title": invariant.title,
        "why": invariant.why,
    }


def _line(line: FootprintLine) -> dict[str, Any]:
    """One line of the footprint; `rows` is what the last witnesses counted.

    The most where they differ, because a difference that only one of them counted must not
    disappear from a sum.
    """
    after = {who: rows for who, rows in line.counts.items() if who != "gate"} or line.counts
    return {
        "table": line.table,
        "change": line.change,
        "column": line.column,
        "rows": max(after.values(), default=None),
        "allowed": line.allowed,
        "rule": line.rule,
        "predicted": line.predicted,
        "counts": dict(line.counts),
    }
