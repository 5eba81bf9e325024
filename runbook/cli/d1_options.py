"""The options for reaching a D1 database, shared by several commands."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import click


def d1_options(command: Callable[..., None]) -> Callable[..., None]:
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
