"""The commands of the maintenance window: shutting, opening, vouching for what was done by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from runbook.cli.group import main
from runbook.cli.output import echo, print_text


@main.command()
@click.argument("mode", type=click.Choice(["on", "off"]))
@click.option("--run-dir", required=True, help="The run folder.")
@click.option(
    "--regardless", is_flag=True, help="Open although database and code do not fit together."
)
def maintenance(mode: Literal["on", "off"], run_dir: str, regardless: bool) -> None:
    """Shuts the application or opens it, and proves it."""
    from runbook.headless.switch import switch
    from runbook.run.folder import Run

    switch(Run.open(Path(run_dir)), mode, regardless=regardless, echo=echo)


@main.command()
@click.argument("line")
@click.option("--run-dir", required=True, help="The run folder.")
@click.option("--by", required=True, help="Name of the person who vouches for it.")
@click.option("--note", default="", help="What was done or observed.")
def tick(line: str, run_dir: str, by: str, note: str) -> None:
    """Vouches by name for LINE of the checklist, or for a step that was done by hand.

    LINE is a number, or `maintenance_on`, `deploy`, `undeploy`, `maintenance_off`.
    """
    from runbook.headless.switch import record
    from runbook.run.folder import Run
    from runbook.window.store import tick as tick_line

    opened = Run.open(Path(run_dir))
    if not line.isdecimal():
        record(opened, line, by, note, echo)
        return
    ticked = tick_line(opened, int(line), by, note)
    print_text(f"line {ticked.line}: ticked by {ticked.by} at {ticked.at}")
