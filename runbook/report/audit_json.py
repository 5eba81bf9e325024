"""The report for machines: `audit.json`."""

from __future__ import annotations

import dataclasses
from typing import Any

from runbook.report.bounded import Shown, bounded
from runbook.report.view_model import ReportView
from runbook.run.findings import InvariantResult, render_sample, sample_line
from runbook.run.json_form import to_json
from runbook.script.footprint import FootprintLine


def audit(view: ReportView) -> dict[str, Any]:
    """The view as plain JSON values; the keys of earlier versions stay as they are."""
    facts = view.facts
    findings = bounded(facts.findings, lambda sample: dataclasses.asdict(render_sample(sample)))
    hazards = bounded([h.hazard for h in view.hazards], sample_line)
    return {
        "verdict": view.outcome.verdict,
        "outcome": dataclasses.asdict(view.outcome),
        "proofs": [dataclasses.asdict(p) for p in view.proofs],
        "run": {
            "run": facts.run,
            "created_at": facts.created_at,
            "operator": facts.operator,
            "ticket": facts.ticket,
            "seconds": round(view.seconds, 3),
            "locked_seconds": facts.migrate.locked_seconds if facts.migrate else None,
            "values_shown": facts.values_shown,
        },
        "identity": to_json(facts.identity),
        "invariants": [_invariant(i) for i in facts.invariants],
        "footprint": [_line(line) for line in view.footprint],
        "findings": [_with_samples(shown) for shown in findings.items],
        "hazards": [
            _with_samples(shown) | {"done": treated.done}
            for shown, treated in zip(hazards.items, view.hazards, strict=False)
        ],
        "left_out": {"findings": findings.left_out, "hazards": hazards.left_out},
        "checklist": [dataclasses.asdict(line) for line in view.checklist],
        "steps": [to_json(s) for s in facts.steps],
        "rehearsed_steps": [to_json(s) for s in facts.rehearse.steps] if facts.rehearse else [],
        "timeline": [dataclasses.asdict(s) for s in facts.stages.values() if s.started_at],
        "tables": [dataclasses.asdict(t) for t in view.tables],
        "digests": {
            "before": [to_json(d) for d in facts.snapshot.digests] if facts.snapshot else [],
            "after": [to_json(d) for d in facts.verify.digests] if facts.verify else [],
        },
        "organization_sizes": dict(facts.verify.organization_sizes) if facts.verify else {},
        "rollback": to_json(facts.rollback) if facts.rollback else None,
        "provenance": {
            "backup": to_json(facts.snapshot.backup) if facts.snapshot else None,
            "ledger": to_json(facts.migrate.ledger)
            if facts.migrate and facts.migrate.ledger
            else None,
            "sql_files": dict(facts.sql),
            "executed": [
                {"file": e.name, "sha256": e.sha256, "bytes": e.bytes} for e in facts.executed
            ],
            "plan": to_json(facts.plan) if facts.plan else None,
            "damage": list(facts.damage),
        },
        "versions": dict(facts.versions),
    }


def _with_samples(shown: Shown[Any, Any]) -> dict[str, Any]:
    """A finding or hazard with its samples as text, as many as there was room for."""
    return to_json(shown.item) | {
        "samples": list(shown.samples),
        "samples_left_out": shown.left_out,
    }


def _invariant(invariant: InvariantResult) -> dict[str, Any]:
    """Violations by the witnesses after the commit; what the gate saw stands beside them."""
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
    """One line of the footprint; `rows` is what the last witnesses saw, the most where they differ.

    The most, because a difference that only one of them saw must not disappear from a sum.
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
        "seen": dict(line.counts),
    }
