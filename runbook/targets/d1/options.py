"""How a D1 database is named, and the options that it takes."""

from __future__ import annotations

from collections.abc import Mapping

from runbook.errors import BadInput

D1_PREFIX = "d1:"

OPTIONS = (
    "wrangler_config",
    "where",
    "persist_to",
    "environment",
    "timeout",
    "chunk_rows",
    "export",
    "migration_file",
    "backup",
)


def check_options(database: str, options: Mapping[str, str]) -> None:
    """Refuses what the constructor of a D1 target cannot use.

    Args:
        database: `d1:` and the database's name, for the error.
        options: the options by name, as `runbook run` and run.json have them.

    Raises:
        BadInput: an option is unknown, or `where` is neither `local` nor `remote`.
    """
    unknown = sorted(options.keys() - set(OPTIONS))
    if unknown:
        raise BadInput(f"D1 knows no option {unknown[0]!r}; it takes {', '.join(OPTIONS)}.")
    if options.get("where") not in ("local", "remote"):
        raise BadInput(
            f"Pass --local or --remote for {database} to `runbook run`; a notebook then goes on "
            "with the run_dir of that run."
        )
