"""Personal data of a whole run masked; who acted, where and with what stays readable."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

from runbook.report.masking import (
    mask_assessment,
    mask_emails,
    mask_finding,
    mask_hazard,
    mask_observation,
    mask_plan,
)

if TYPE_CHECKING:
    from runbook.report.contents import Contents

T = TypeVar("T")


def mask_contents(contents: Contents) -> Contents:
    """The contents with personal data masked; who acted, where and with what stays readable."""
    plan = contents.plan

    def with_masked_findings(record: T) -> T:
        kept = tuple(mask_finding(f, plan) for f in record.findings)  # type: ignore[attr-defined]
        return dataclasses.replace(mask_emails(record), findings=kept)  # type: ignore[type-var]

    migrate = contents.migrate and dataclasses.replace(
        with_masked_findings(contents.migrate), confirmation=contents.migrate.confirmation
    )
    rollback = contents.rollback and with_masked_findings(contents.rollback)
    if rollback and rollback.assessment:
        assessment = mask_assessment(rollback.assessment, plan)
        rollback = dataclasses.replace(rollback, assessment=assessment)
    if rollback and contents.rollback:
        rollback = dataclasses.replace(rollback, confirmation=contents.rollback.confirmation)
    preflight = contents.preflight and dataclasses.replace(
        mask_emails(contents.preflight),
        hazards=tuple(mask_hazard(h, plan) for h in contents.preflight.hazards),
    )
    return dataclasses.replace(
        contents,
        plan=plan and mask_plan(plan),
        stages={
            name: dataclasses.replace(
                mask_emails(stage), operator=stage.operator, ticket=stage.ticket
            )
            for name, stage in contents.stages.items()
        },
        attempts=mask_emails(contents.attempts),
        preflight=preflight,
        rehearse=mask_emails(contents.rehearse),
        snapshot=mask_emails(contents.snapshot),
        migrate=migrate,
        verify=contents.verify and with_masked_findings(contents.verify),
        rollback=rollback,
        monitor=mask_emails(dict(contents.monitor)),
        observations=tuple(mask_observation(each, plan) for each in contents.observations),
        window={
            name: dataclasses.replace(mask_emails(step), by=step.by)
            for name, step in contents.window.items()
        },
        scripts=tuple(dataclasses.replace(e, text=mask_emails(e.text)) for e in contents.scripts),
    )
