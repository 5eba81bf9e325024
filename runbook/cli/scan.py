"""The command that reads an application's source."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from runbook.cli.group import main
from runbook.cli.output import print_text
from runbook.errors import BadInput

VIEWS = ("json", "sarif", "github")


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--plan",
    default="",
    help="Path of the plan; default: the run's, or the specification's schema.",
)
@click.option("--run-dir", default="", help="Enter the count in this run's checklist.")
@click.option("--exclude", multiple=True, help="Leave out, as in a .gitignore; may be repeated.")
@click.option("--json", "json", is_flag=True, help="Print everything as JSON.")
@click.option("--sarif", "sarif", is_flag=True, help="Print SARIF 2.1.0.")
@click.option("--github", "github", is_flag=True, help="Print annotations for GitHub.")
@click.option(
    "--fail-on",
    type=click.Choice(["certain", "likely"]),
    help="Exit with 1 if a finding is at least this sure.",
)
@click.option("--baseline", type=click.Path(path_type=Path), help="Known findings, kept silent.")
@click.option(
    "--write-baseline", type=click.Path(path_type=Path), help="Write what is found to this file."
)
@click.pass_context
def scan(
    ctx: click.Context, /, paths: tuple[Path, ...], fail_on: str | None, **options: Any
) -> None:
    """Finds queries in an application's source that still go by the owner."""
    from runbook.window.source_scan import ScanOptions, scan_source

    views = [view for view in VIEWS if options.pop(view)]
    if len(views) > 1:
        raise BadInput(f"{' and '.join(f'--{v}' for v in views)} were given: choose one of them.")
    options["view"] = views[0] if views else None
    text, result = scan_source(paths, ScanOptions(**options), progress=_scan_progress())
    print_text(text, nl=False)
    fails = fail_on and (result.count("certain") or (fail_on == "likely" and result.findings))
    ctx.exit(1 if fails else 0)


def _scan_progress() -> Callable[[int, int], None] | None:
    """A bar for a person at a terminal, from a few hundred files on."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        if total >= 300 and (done % 50 == 0 or done == total):
            end = "\n" if done == total else ""
            click.echo(f"\r{done:,} of {total:,} files{end}", nl=False, err=True)

    return show
