"""The command that asks the snapshots of a run."""

from __future__ import annotations

from pathlib import Path

import click

from runbook.cli.group import main
from runbook.cli.output import print_text


@main.command()
@click.option("--run-dir", required=True, type=click.Path(path_type=Path), help="The run folder.")
@click.option("--csv", "form", flag_value="csv", help="Print comma-separated values, all rows.")
@click.option("--json", "form", flag_value="json", help="Print a JSON object for each row.")
@click.option("--show-values", is_flag=True, help="Print personal data, which is masked otherwise.")
@click.argument("query")
def sql(run_dir: Path, form: str | None, show_values: bool, query: str) -> None:
    """Asks the snapshots: the schemas before, after and changes, decoded and typed."""
    from runbook.notebook.explore_run import rows
    from runbook.notebook.explore_text import rendered
    from runbook.run.folder import Run

    answer = rows(Run.open(run_dir), query, show_values=show_values)
    print_text(rendered(answer, form or "table"), nl=False)
