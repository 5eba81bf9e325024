"""The commands that need no run: the SQL, a sample database, the notebooks."""

from __future__ import annotations

from pathlib import Path

import click

from runbook.cli.d1_options import d1_options
from runbook.cli.group import main
from runbook.cli.output import print_text
from runbook.wording import counted


@main.command()
@click.option("--plan", default="", help="Path of the plan; default: the specification's schema.")
@click.option("--database", default="", help="Read types and formats from it.")
@click.option(
    "--target",
    type=click.Choice(["sqlite", "d1"]),
    default="sqlite",
    help="The engine; d1 prints a file for wrangler.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="For D1: write all files to this folder."
)
@d1_options
def render(
    plan: str,
    database: str,
    target: str,
    out: Path | None,
    options: dict[str, str],
) -> None:
    """Prints the SQL that would run, or writes it as files for wrangler."""
    from runbook.migration.render import assumed, rendered
    from runbook.plan.read import read_plan

    if not database:
        click.echo(assumed(read_plan(Path(plan) if plan else None)), err=True)
    for_d1 = target == "d1"
    print_text(rendered(plan, database, options=options, for_d1=for_d1, out=out), nl=False)


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--users", default=200, help="Number of users.")
@click.option("--projects", default=1000, help="Number of projects.")
@click.option("--seed", default=1, help="Seed of the random rows.")
@click.option("--messy", is_flag=True, help="Add the hard cases.")
def sample(path: Path, users: int, projects: int, seed: int, messy: bool) -> None:
    """Creates a sample database."""
    from runbook.sample.make import make_sample

    written = make_sample(path, users=users, projects=projects, seed=seed, messy=messy)
    print_text(
        f"{written.path}: {counted(written.users, 'user')}, {counted(written.projects, 'project')}"
    )
    for what, count in written.planted:
        print_text(f"  planted: {what} ({count})")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def notebooks(folder: Path) -> None:
    """Copies the notebooks to FOLDER, for JupyterLab."""
    from runbook.resources import copy_notebooks

    copies = copy_notebooks(folder)
    print_text(
        f"{folder}: {counted(len(copies), 'notebook')}, from {copies[0].name} to {copies[-1].name}"
    )
