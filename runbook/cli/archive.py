"""The commands of the archive: sealing a run folder, checking a sealed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runbook.cli.group import main
from runbook.cli.output import complain, print_text
from runbook.wording import counted, size


@main.command()
@click.option("--run-dir", required=True, type=click.Path(path_type=Path), help="The run folder.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Path of the archive; default: next to the run folder.",
)
@click.option("--without-bulky", is_flag=True, help="Leave backup and snapshots out.")
@click.option("--sign-with", type=click.Path(path_type=Path), help="A private SSH key.")
@click.option(
    "--timestamp", metavar="URL", default="", help="A time-stamping authority (RFC 3161)."
)
def archive(
    run_dir: Path, out: Path | None, without_bulky: bool, sign_with: Path | None, timestamp: str
) -> None:
    """Seals the run folder in one file."""
    from runbook.archive.seal import seal
    from runbook.headless.progress_bar import working

    with working("Sealing"):
        sealed = seal(
            run_dir, out, bulky=not without_bulky, sign_with=sign_with, timestamp=timestamp
        )
    print_text(f"{sealed.path}: {counted(sealed.files, 'file')}, {size(sealed.bytes)}")
    print_text(f"SHA-256 {sealed.sha256}")
    for problem in sealed.incomplete:
        complain(f"The run is incomplete: {problem}; the archive holds what is left, and says so.")
    if sealed.signature:
        print_text(f"signature {sealed.signature}")


@main.command()
@click.argument("archive", type=click.Path(path_type=Path))
@click.option(
    "--allowed-signers",
    type=click.Path(path_type=Path),
    help="File of allowed signers, as for ssh-keygen -Y.",
)
@click.option("--identity", help="Identity that must have signed.")
@click.option(
    "--authorities",
    type=click.Path(path_type=Path),
    help="Certificates (PEM) of time-stamping authorities; a stamp by one of them is required.",
)
@click.option("--sha256", default="", help="The SHA-256 that the archive must have.")
@click.option("--root", default="", help="For a fleet folder: the root of its seal, as printed.")
@click.pass_context
def check(ctx: click.Context, /, archive: Path, root: str, **wanted: Any) -> None:
    """Checks an archive, sealed or unpacked, or a fleet folder, and lists what was altered."""
    if (archive / "fleet.db").is_file():
        ctx.exit(_check_fleet(archive, root))
    from runbook.archive.seal import as_text
    from runbook.archive.seal import check as check_archive
    from runbook.headless.progress_bar import working

    with working("Checking"):
        result = check_archive(archive, **wanted)
    print_text(as_text(result))
    ctx.exit(0 if result.ok else 1)


def _check_fleet(folder: Path, root: str) -> int:
    """Prints whose records were altered; the exit code."""
    from runbook.fleet.seal import check_fleet

    result = check_fleet(folder, root)
    for problem in result.problems:
        print_text(problem)
    what = "as they were sealed" if result.ok else "not as they were sealed"
    print_text(f"{folder}: {counted(result.runs, 'run')}, {what}; root {result.root}")
    return 0 if result.ok else 1
