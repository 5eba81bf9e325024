"""The `runbook` command: reads options, calls the package, prints what it returns."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from runbook import __version__
from runbook.errors import BadInput, RunbookError
from runbook.terminal import drop_what_cannot_be_printed, open_closed_streams
from runbook.wording import counted, size


class Commands(click.Group):
    """The commands, with our errors as one sentence and their exit codes."""

    def invoke(self, ctx: click.Context) -> object:
        """Runs a command; an error that we raise on purpose has no traceback."""
        open_closed_streams()
        try:
            return super().invoke(ctx)
        except RunbookError as error:
            _complain(str(error))
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            _complain("Interrupted; call the same command again to go on.")
            ctx.exit(1)
        finally:
            drop_what_cannot_be_printed()


def _print(text: str, *, nl: bool = True) -> None:
    """Prints what a command was called for.

    Raises:
        BadInput: it cannot be written.
    """
    try:
        click.echo(text, nl=nl)
    except BrokenPipeError:  # the reader has read enough
        raise click.exceptions.Exit(1) from None
    except OSError as error:
        raise BadInput(
            f"The output cannot be written ({error.strerror}); print it to another place."
        ) from error


def _complain(text: str) -> None:
    """Prints an error, where that can be done; the exit code says the same."""
    with contextlib.suppress(OSError, ValueError):
        click.secho(text, fg="red", err=True)


def _d1_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options for reaching a D1 database; the command gets them as the one `options`."""

    @functools.wraps(command)
    def packed(**values: Any) -> None:
        from runbook.stages.open_run import D1Options

        names = [f.name for f in dataclasses.fields(D1Options)]
        own = {name: value for name in names if (value := values.pop(name, None))}
        command(options=D1Options(**own).packed(), **values)

    for option in (
        click.option(
            "--timeout",
            type=click.FloatRange(0, min_open=True),
            help="For D1: seconds for one call of wrangler; default: 300.",
        ),
        click.option("--persist-to", default="", help="For D1: folder of the local database."),
        click.option(
            "--remote", "where", flag_value="remote", help="For D1: use the database at Cloudflare."
        ),
        click.option(
            "--local", "where", flag_value="local", help="For D1: use the local database."
        ),
        click.option(
            "--env",
            default="",
            help="For D1: environment in wrangler's configuration; default: CLOUDFLARE_ENV.",
        ),
        click.option(
            "--wrangler-config",
            default="",
            help="For D1: wrangler's configuration; default: the one in this folder.",
        ),
    ):
        packed = option(packed)
    return packed


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="runbook")
def main() -> None:
    """Moves user-owned rows to organizations: audited, proven before commit, reversible."""


@main.command()
@click.option("--database", default="", help="Path of the SQLite file, or d1:NAME.")
@click.option("--plan", default="", help="Path of the plan; default: the specification's schema.")
@click.option("--run-dir", default="", help="The run folder; default: a new one below runs/.")
@click.option("--until", default="report", help="The last stage to run.")
@click.option("--yes", is_flag=True, help="Change the database without asking.")
@click.option("--operator", default="", help="Name of the operator; default: the account's name.")
@click.option("--ticket", default="", help="The ticket or reason for the migration.")
@click.option("--show-values", is_flag=True, help="Print personal data in the report.")
@_d1_options
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

    options = Options(until, yes, _asker(), click.echo, show_values, on_failure)
    run_stages(open_run(**about), options)


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
@_d1_options
def render(
    plan: str,
    database: str,
    target: str,
    out: Path | None,
    options: dict[str, str],
) -> None:
    """Prints the SQL that would run, or writes it as files for wrangler."""
    from runbook.migration.render import rendered

    for_d1 = target == "d1"
    _print(rendered(plan, database, options=options, for_d1=for_d1, out=out), nl=False)


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
    _print(
        f"{written.path}: {counted(written.users, 'user')}, {counted(written.projects, 'project')}"
    )
    for what, count in written.planted:
        _print(f"  planted: {what} ({count})")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def notebooks(folder: Path) -> None:
    """Copies the notebooks to FOLDER, for JupyterLab."""
    from runbook.resources import copy_notebooks

    copies = copy_notebooks(folder)
    _print(
        f"{folder}: {counted(len(copies), 'notebook')}, from {copies[0].name} to {copies[-1].name}"
    )


@main.command()
@click.option("--run-dir", required=True, type=click.Path(path_type=Path), help="The run folder.")
def status(run_dir: Path) -> None:
    """Prints the checklist as it stands."""
    from runbook.report.text_view import as_text
    from runbook.report.view_model import read_view
    from runbook.run.folder import Run
    from runbook.window.state import describe_now

    _print(as_text(read_view(run_dir)))
    _print(describe_now(Run.open(run_dir)), nl=False)


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
def rollback(run_dir: str, yes: bool, discard_organizations: bool, restore_backup: bool) -> None:
    """Rolls the migration back, and keeps what users wrote afterwards."""
    from runbook.headless.run_stages import Options, roll_back
    from runbook.run.folder import Run

    roll_back(
        Run.open(Path(run_dir)),
        Options(yes=yes, ask=_asker(), echo=click.echo),
        discard_organizations=discard_organizations,
        restore=restore_backup,
    )


@main.command()
@click.option("--run-dir", required=True, type=click.Path(path_type=Path), help="The run folder.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Path of the archive; default: next to the run folder.",
)
@click.option("--without-bulky", is_flag=True, help="Leave backup and snapshots out.")
@click.option("--sign-with", type=click.Path(path_type=Path), help="A private SSH key.")
def archive(run_dir: Path, out: Path | None, without_bulky: bool, sign_with: Path | None) -> None:
    """Seals the run folder in one file."""
    from runbook.archive.seal import seal

    sealed = seal(run_dir, out, bulky=not without_bulky, sign_with=sign_with)
    _print(f"{sealed.path}: {counted(sealed.files, 'file')}, {size(sealed.bytes)}")
    _print(f"SHA-256 {sealed.sha256}")
    if sealed.signature:
        _print(f"signature {sealed.signature}")


@main.command()
@click.argument("archive", type=click.Path(path_type=Path))
@click.option(
    "--allowed-signers",
    type=click.Path(path_type=Path),
    help="File of allowed signers, as for ssh-keygen -Y.",
)
@click.option("--identity", help="Identity that must have signed.")
@click.pass_context
def check(
    ctx: click.Context, archive: Path, allowed_signers: Path | None, identity: str | None
) -> None:
    """Checks an archive, sealed or unpacked, and lists what was altered."""
    from runbook.archive.seal import as_text
    from runbook.archive.seal import check as check_archive

    result = check_archive(archive, allowed_signers=allowed_signers, identity=identity)
    _print(as_text(result))
    ctx.exit(0 if result.ok else 1)


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

    switch(Run.open(Path(run_dir)), mode, regardless=regardless, echo=click.echo)


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
        record(opened, line, by, note, click.echo)
        return
    ticked = tick_line(opened, int(line), by, note)
    _print(f"line {ticked.line}: ticked by {ticked.by} at {ticked.at}")


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--plan",
    default="",
    help="Path of the plan; default: the run's, or the specification's schema.",
)
@click.option("--run-dir", default="", help="Enter the count in this run's checklist.")
@click.option("--exclude", multiple=True, help="Leave out, as in a .gitignore; may be repeated.")
@click.option("--json", "view", flag_value="json", help="Print everything as JSON.")
@click.option("--sarif", "view", flag_value="sarif", help="Print SARIF 2.1.0.")
@click.option("--github", "view", flag_value="github", help="Print annotations for GitHub.")
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

    text, result = scan_source(paths, ScanOptions(**options), progress=_scan_progress())
    _print(text, nl=False)
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


def _asker() -> Callable[[str], str] | None:
    """Asks the person at the terminal; None where there is none."""
    return (lambda text: str(input(text))) if sys.stdin.isatty() else None
