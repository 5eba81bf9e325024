"""The command by which another person agrees, after the rehearsal."""

from __future__ import annotations

from pathlib import Path

import click

from runbook.cli.group import main
from runbook.cli.output import print_text
from runbook.wording import counted, when


@main.command()
@click.option("--run-dir", required=True, type=click.Path(path_type=Path), help="The run folder.")
@click.option("--by", required=True, help="Name of the person who agrees; not who began the run.")
@click.option("--sign-with", type=click.Path(path_type=Path), help="Their private SSH key.")
def approve(run_dir: Path, by: str, sign_with: Path | None) -> None:
    """Agrees by name to the migration as it was rehearsed, so that it may be made."""
    from runbook.run.approvals import standing
    from runbook.run.folder import Run
    from runbook.stages.approve import approve as approve_run

    run = Run.open(run_dir)
    approval = approve_run(run, by, sign_with)
    signed = f", signed by {approval.key}" if approval.key else ""
    print_text(f"approved by {approval.by}, {when(approval.at)}{signed}")
    now = standing(run)
    if now.missing:
        print_text(f"{counted(now.missing, 'more approval')} by other people needed")
    elif now.required:
        print_text(f"{now.counted} of {counted(now.required, 'approval')}: it may be migrated")
    else:
        print_text("the plan asks for no approval; this one is kept in the records")
