"""The group of all commands, with our errors as one sentence and their exit codes."""

from __future__ import annotations

import click

from runbook import __version__
from runbook.cli.output import complain
from runbook.errors import RunbookError
from runbook.terminal import drop_what_cannot_be_printed, open_closed_streams


class Commands(click.Group):
    """The commands, with our errors as one sentence and their exit codes."""

    def invoke(self, ctx: click.Context) -> object:
        """Runs a command; an error that we raise on purpose has no traceback."""
        open_closed_streams()
        try:
            return super().invoke(ctx)
        except RunbookError as error:
            complain(str(error))
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            complain("Interrupted; call the same command again to go on.")
            ctx.exit(1)
        finally:
            drop_what_cannot_be_printed()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="runbook")
def main() -> None:
    """Moves user-owned rows to organizations: audited, proven before commit, reversible."""
