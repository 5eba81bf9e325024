"""The commands on many databases: there, back, how they stand, the report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from runbook.cli.d1_options import d1_options
from runbook.cli.group import main
from runbook.cli.output import asker, echo, print_text


@main.group()
def fleet() -> None:
    """Migrates many databases by one plan, on Dask: canaries, waves, one verdict."""


_DIRECTORY = click.option(
    "--fleet-dir", required=True, type=click.Path(path_type=Path), help="The fleet folder."
)


def _place_options(command: Callable[..., None]) -> Callable[..., None]:
    """Where the work is done: the options of Dask, shared by there and back."""
    for option in (
        click.option("--tls-key", default="", help="Key for an encrypted connection (PEM)."),
        click.option("--tls-cert", default="", help="This client's certificate (PEM)."),
        click.option("--tls-ca-file", default="", help="The authority's certificate (PEM)."),
        click.option(
            "--dashboard",
            default="",
            help="Show Dask's dashboard at HOST:PORT; it has no password. Default: none.",
        ),
        click.option(
            "--listen",
            default="127.0.0.1",
            help="Address that the local cluster's ports listen on; default: this machine alone.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(1),
            default=None,
            help="Processes of the local cluster; default: one for each processor.",
        ),
        click.option(
            "--scheduler",
            default="",
            help="A Dask scheduler, tcp://HOST:PORT; default: this machine.",
        ),
    ):
        command = option(command)
    return command


@fleet.command()
@click.option(
    "--databases", multiple=True, help="A pattern such as 'tenants/*.db', a path, or d1:NAME."
)
@click.option(
    "--list",
    "lists",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file with a path or d1:NAME on each line.",
)
@click.option("--plan", default="", help="Path of the plan; default: the specification's schema.")
@click.option("--fleet-dir", default="", help="The fleet folder; default: a new one below fleets/.")
@click.option("--canary", type=click.IntRange(0), default=1, help="Databases to migrate first.")
@click.option("--waves", default="100%", help="How far each wave goes: 1,10,100%.")
@click.option("--max-failures", default="0", help="How many may fail: N or N%; default: none.")
@click.option("--until", default="report", help="The last stage: preflight, rehearse, snapshot.")
@click.option(
    "--rehearse",
    type=click.Choice(["canaries", "all"]),
    default="canaries",
    help="Which databases are rehearsed on a copy first.",
)
@click.option("--yes", is_flag=True, help="Change the databases without asking.")
@click.option("--operator", default="", help="Name of the operator; default: the account's name.")
@click.option("--ticket", default="", help="The ticket or reason for the migration.")
@_place_options
@d1_options
def run(
    databases: tuple[str, ...],
    lists: tuple[Path, ...],
    plan: str,
    fleet_dir: str,
    # Many parameters because they are the options of the command, under their names.
    **about: Any,
) -> None:
    """Migrates every database, and goes on where an earlier call stopped."""
    from runbook.fleet.call import Wanted, run_fleet
    from runbook.fleet.coordinate import Choices
    from runbook.fleet.databases import list_databases
    from runbook.fleet.shares import read_share, read_waves

    open_pool = _pool(about)
    wanted = Wanted(
        list_databases(databases, lists) if databases or lists else (),
        plan,
        fleet_dir,
        about["operator"],
        about["ticket"],
        about["options"],
    )
    choices = Choices(
        canaries=about["canary"],
        waves=read_waves(about["waves"]),
        most_failures=read_share(about["max_failures"], "--max-failures"),
        until=about["until"],
        rehearse_all=about["rehearse"] == "all",
        yes=about["yes"],
        ask=asker(),
        echo=echo,
    )
    run_fleet(wanted, choices, open_pool)


@fleet.command()
@_DIRECTORY
def status(fleet_dir: Path) -> None:
    """Prints where every database is, as it was last known."""
    from runbook.fleet.coordinate import Ended, describe
    from runbook.fleet.store import Fleet

    with contextlib.closing(Fleet.open(fleet_dir)) as opened:
        print_text("\n".join([f"Fleet {fleet_dir}", *describe(opened, Ended())]))


@fleet.command()
@_DIRECTORY
@click.option(
    "--only",
    type=click.Path(path_type=Path),
    help="A file with the databases to take back, one a line; default: all.",
)
@click.option(
    "--discard-organizations",
    is_flag=True,
    help="Go on although organizations or memberships were added later; they are exported first.",
)
@click.option("--yes", is_flag=True, help="Change the databases without asking.")
@_place_options
def rollback(
    fleet_dir: Path, only: Path | None, discard_organizations: bool, yes: bool, **about: Any
) -> None:
    """Takes the migration of every database back, each proven against its own backup."""
    from runbook.fleet.call import roll_back_fleet
    from runbook.fleet.coordinate import Choices
    from runbook.fleet.databases import read_names

    roll_back_fleet(
        fleet_dir,
        Choices(yes=yes, ask=asker(), echo=echo),
        _pool(about),
        only=None if only is None else read_names(only),
        discard_organizations=discard_organizations,
    )


@fleet.command()
@_DIRECTORY
def report(fleet_dir: Path) -> None:
    """Writes the report anew from the records of the runs, and seals them as they are now."""
    from runbook.fleet.report import write_fleet_report
    from runbook.fleet.store import Fleet

    with contextlib.closing(Fleet.open(fleet_dir)) as opened, opened.locked():
        written = write_fleet_report(opened, anew=True)
    print_text(f"verdict {written.verdict}: {written.page}")
    print_text(f"seal {written.root} over {written.leaves:,} runs")


def _pool(about: dict[str, Any]) -> Any:
    """What opens the workers that the options name."""
    import os

    from runbook.fleet.cluster import Place, check_installed, open_cluster

    check_installed()
    place = Place(
        scheduler=about["scheduler"],
        workers=about["workers"] or os.cpu_count() or 1,
        listen=about["listen"],
        dashboard=about["dashboard"],
        tls_ca=about["tls_ca_file"],
        tls_cert=about["tls_cert"],
        tls_key=about["tls_key"],
    )
    return lambda echo: open_cluster(place, echo)
