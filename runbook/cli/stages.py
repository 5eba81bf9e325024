"""The commands that work on a run: its stages in order, the way back, watching, the checklist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import click

from runbook.cli.d1_options import d1_options
from runbook.cli.group import main
from runbook.cli.output import asker, echo, print_text
from runbook.run.rules import STAGES


@main.command()
@click.option("--database", default="", help="Path of the SQLite file, or d1:NAME.")
@click.option("--plan", default="", help="Path of the plan; default: the specification's schema.")
@click.option("--run-dir", default="", help="The run folder; default: a new one below runs/.")
@click.option(
    "--until", default="report", metavar="|".join(STAGES[:6]), help="The last stage to run."
)
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
    from runbook.headless.echo import lasting
    from runbook.headless.fork_server import warmed_up
    from runbook.headless.options import Options, check_until
    from runbook.stages.open_run import open_run

    check_until(until)  # before a folder is made
    folder = about["run_dir"]
    is_new = folder and about["database"] and not Path(folder, "run.json").exists()
    opened = open_run(**about)
    if is_new and not about["plan"]:
        text = f"{folder} held no run: a new one begins there, by the specification's schema."
        lasting(opened, echo)(text)
    with warmed_up():
        from runbook.headless.run_stages import run_stages

        run_stages(opened, Options(until, yes, asker(), echo, show_values, on_failure))


@main.command()
@click.option("--run-dir", required=True, type=click.Path(path_type=Path), help="The run folder.")
@click.option("--json", "as_json", is_flag=True, help="Print it for machines, as JSON.")
def status(run_dir: Path, as_json: bool) -> None:
    """Prints the checklist as it stands."""
    if as_json:
        from runbook.report.status_json import status as status_json
        from runbook.run.folder import Run

        text = json.dumps(status_json(Run.open(run_dir)), indent=1, ensure_ascii=False)
        print_text(text)
        return
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
@click.option("--operator", default="", help="Who takes it back; default: the run's operator.")
@click.option("--ticket", default="", help="The ticket of it; default: that of the run.")
@click.option("--reason", default="", help="Why; a person at a terminal is asked for it.")
def rollback(run_dir: str, yes: bool, restore_backup: bool, ticket: str, **back: Any) -> None:
    """Rolls the migration back, and keeps what users wrote afterwards."""
    from runbook.headless.fork_server import warmed_up
    from runbook.headless.options import Options, WayBack
    from runbook.run.folder import Run

    opened = Run.open(Path(run_dir)).work_as(back["operator"], ticket)
    with warmed_up():
        from runbook.headless.run_stages import roll_back

        roll_back(
            opened,
            Options(yes=yes, ask=asker(), echo=echo),
            back=WayBack(restore=restore_backup, **back),
        )


@main.command()
@click.option("--run-dir", required=True, help="The run folder.")
@click.option("--for", "duration", default="24h", help="How long to watch: 24h, 90m.")
@click.option("--every", default="5m", help="Time between observations: 5m, 30s.")
@click.option("--once", is_flag=True, help="Observe once and end, for a scheduler.")
@click.option(
    "--exit-on-violation", is_flag=True, help="Exit with 1 at the first violated invariant."
)
@click.option(
    "--prometheus",
    type=click.Path(path_type=Path),
    help="Write each observation to this file too, for node_exporter's textfile collector.",
)
def monitor(run_dir: str, duration: str, every: str, **how: Any) -> None:
    """Watches the database, the logs and the application after the migration."""
    from runbook.headless.watch import watch
    from runbook.run.folder import Run
    from runbook.stages.monitor import Watching
    from runbook.window.durations import read_duration

    watching = Watching(read_duration(duration), read_duration(every), **how)
    watch(Run.open(Path(run_dir)), watching, echo)
