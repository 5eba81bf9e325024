"""The commands that work on a run: its stages in order, the way back, watching, the checklist."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from runbook.cli.d1_options import d1_options
from runbook.cli.group import main
from runbook.cli.output import asker, print_text


@main.command()
@click.option("--database", default="", help="Path of the SQLite file, or d1:NAME.")
@click.option("--plan", default="", help="Path of the plan; default: the specification's schema.")
@click.option("--run-dir", default="", help="The run folder; default: a new one below runs/.")
@click.option("--until", default="report", help="The last stage to run.")
@click.option("--yes", is_flag=True, help="Change the database without asking.")
@click.option("--operator", default="", help="Name of the operator; default: the account's name.")
@click.option("--ticket", default="", help="The ticket or reason for the migration.")
@click.option("--show-values", is_flag=True, help="Print personal data in the report.")
@d1_options
@click.option(
    "--chunk-rows",
    type=click.IntRange(0),
    default=0,
    help="For D1: migrate in chunks of this many rows (not atomic; for very large databases).",
)
@click.option(
    "--without-export",
    is_flag=True,
    help="For D1: leave wrangler's own export out of the snapshot.",
)
@click.option(
    "--on-failure",
    type=click.Choice(["stop", "rollback"]),
    default="stop",
    help="After a failure: stop and print the state, or roll back and open the application again.",
)
def run(
    until: str,
    yes: bool,
    show_values: bool,
    on_failure: Literal["stop", "rollback"],
    **about: Any,
) -> None:
    """Runs the stages in order, and goes on where an earlier call stopped."""
    from runbook.headless.run_stages import Options, run_stages
    from runbook.stages.open_run import open_run

    options = Options(until, yes, asker(), click.echo, show_values, on_failure)
    run_stages(open_run(**about), options)


@main.command()
@click.option("--run-dir", required=True, type=click.Path(path_type=Path), help="The run folder.")
def status(run_dir: Path) -> None:
    """Prints the checklist as it stands."""
    from runbook.report.text_view import as_text
    from runbook.report.view_model import read_view
    from runbook.run.folder import Run
    from runbook.window.state import describe_now

    print_text(as_text(read_view(run_dir)))
    print_text(describe_now(Run.open(run_dir)), nl=False)


@main.command()
@click.option("--run-dir", required=True, help="The run folder.")
@click.option("--yes", is_flag=True, help="Change the database without asking.")
@click.option(
    "--discard-organizations",
    is_flag=True,
    help="Go on although organizations or memberships were added later; they are exported first.",
)
@click.option(
    "--restore-backup",
    is_flag=True,
    help="Restore the whole backup instead, and lose every later write.",
)
@click.option("--operator", default="", help="Name of the operator; default: who began the run.")
@click.option("--ticket", default="", help="The ticket or reason; default: that of the run.")
def rollback(
    run_dir: str, yes: bool, discard_organizations: bool, restore_backup: bool, **session: str
) -> None:
    """Rolls the migration back, and keeps what users wrote afterwards."""
    from runbook.headless.run_stages import Options, roll_back
    from runbook.run.folder import Run

    roll_back(
        Run.open(Path(run_dir)).work_as(session["operator"], session["ticket"]),
        Options(yes=yes, ask=asker(), echo=click.echo),
        discard_organizations=discard_organizations,
        restore=restore_backup,
    )


@main.command()
@click.option("--run-dir", required=True, help="The run folder.")
@click.option("--for", "duration", default="24h", help="How long to watch: 24h, 90m.")
@click.option("--every", default="5m", help="Time between observations: 5m, 30s.")
@click.option("--once", is_flag=True, help="Observe once and end, for a scheduler.")
@click.option(
    "--exit-on-violation", is_flag=True, help="Exit with 1 at the first violated invariant."
)
def monitor(run_dir: str, duration: str, every: str, once: bool, exit_on_violation: bool) -> None:
    """Watches the database, the logs and the application after the migration."""
    from runbook.headless.watch import watch
    from runbook.run.folder import Run
    from runbook.stages.monitor import Watching
    from runbook.window.durations import read_duration

    watching = Watching(read_duration(duration), read_duration(every), once, exit_on_violation)
    watch(Run.open(Path(run_dir)), watching, click.echo)
