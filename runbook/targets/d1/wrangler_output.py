"""What wrangler's output means: its JSON among other text, and its failures sorted by certainty.

Pure functions. A failure is *definite* only where the answer proves that the statements were
refused and rolled back, or never sent; everything else leaves the outcome unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from runbook.files import parse_json

Certainty = Literal["refused", "unusable", "busy", "unknown"]
"""refused: by the database, which rolled back; unusable: never sent (configuration, rights);
busy: the local file was locked, nothing happened; unknown: it may have happened."""

_DECODER = json.JSONDecoder()
# wrangler prints its JSON with indentation, so a value begins with a bracket that ends a line.
_BEGINNING = re.compile(r"[\[{](?=\r?\n|[\]}])")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# The engine's own verdict on a statement: its transaction has been rolled back.
_REFUSED = re.compile(
    r"SQLITE_(ERROR|CONSTRAINT\w*|AUTH|MISMATCH|TOOBIG|RANGE|MISUSE|READONLY\w*)\b"
    r"|To execute a transaction, please use"
    r"|contains several transactions"
)
_BUSY = re.compile(r"SQLITE_(BUSY|LOCKED)\w*|database is locked")
_UNUSABLE = re.compile(
    r"Couldn't find a D1 DB|Couldn't find DB with name|missing a database_id|Unknown argument"
    r"|No migrations (present|folder)|Unable to read SQL text file|Not logged in"
    r"|In a non-interactive environment, it's necessary to set a CLOUDFLARE_API_TOKEN"
    r"|Authentication (error|failed)|Invalid (API token|access token|format for Authorization)"
    r"|No environment found in configuration|\[code: (10000|9109|7403|7404|6003|1000[01])\]"
)
_REPLICA = re.compile(r'"served_by_primary"\s*:\s*false')
# What wrangler says of every failed request; the cause stands after a blank line.
_GENERAL = re.compile(r"A request to the Cloudflare API \(\S*\) failed\.?$")
_AFTERWARDS = re.compile(
    r"If you think this is a bug|\U0001fab5|Logs were written to|To learn more about this error"
)
# Shown by workerd when it opens local state that a newer workerd has written.
_NEWER_STATE = re.compile(r"_cf_\w+ has \d+ columns but \d+ values were supplied")


@dataclass(frozen=True)
class Failure:
    """Why a call failed, in a few words without a final full stop, and how certain that is."""

    certainty: Certainty
    reason: str


def results_in(text: str) -> list[list[dict[str, Any]]] | None:
    """The rows of each statement, from the JSON that `d1 execute --json` prints; None if absent."""
    for value in values_in(text):
        if (
            isinstance(value, list)
            and value
            and all(isinstance(v, dict) and "results" in v and v.get("success") for v in value)
        ):
            return [v["results"] for v in value]
    return None


def is_from_replica(text: str) -> bool:
    """Whether an answer says that a read replica gave it, which may be behind the primary."""
    if not _REPLICA.search(text):
        return False
    for value in values_in(text):
        for each in value if isinstance(value, list) else []:
            meta = each.get("meta") if isinstance(each, dict) else None
            if isinstance(meta, dict) and meta.get("served_by_primary") is False:
                return True
    return False


def values_in(text: str) -> Iterator[Any]:
    """Each outermost JSON value in `text`, whatever is printed before, between and after."""
    try:
        yield parse_json(text)
    except ValueError:
        pass
    else:
        return
    position = 0
    while match := _BEGINNING.search(text, position):
        try:
            value, position = _DECODER.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            position = match.end()
        else:
            yield value


def failure_in(stdout: str, stderr: str, remote: bool) -> Failure:
    """Why a call that did not succeed failed."""
    report = _report(stdout, stderr)
    joined = " ".join(report)
    reason = _shortened(report)
    if _NEWER_STATE.search(joined):
        return Failure(
            "unusable",
            "the local state was written by a newer wrangler than this one; let RUNBOOK_WRANGLER "
            "name the application's own",
        )
    if _BUSY.search(joined):
        return Failure("unknown" if remote else "busy", reason)
    if _REFUSED.search(joined):
        return Failure("refused", reason)
    if _UNUSABLE.search(joined):
        return Failure("unusable", reason)
    return Failure("unknown", reason)


def _report(stdout: str, stderr: str) -> list[str]:
    """The pieces of an error report: from JSON where there is some, else the lines marked so."""
    for value in values_in(stdout):
        if isinstance(value, dict) and isinstance(value.get("error"), dict):
            error = value["error"]
            notes = [n.get("text", "") for n in error.get("notes", []) if isinstance(n, dict)]
            status = error.get("status")
            parts = [*map(str, notes), str(error.get("text", ""))]
            return [p for p in [*parts, f"status {status}" if status else ""] if p]
    text = _COLOURS.sub("", stderr + "\n" + stdout)
    fatal = [line.strip() for line in text.splitlines() if "uncaught kj::Exception" in line]
    marked = re.findall(r"\[ERROR\](.*?)(?=(?:\S )?\[(?:ERROR|WARNING)\]|\Z)", text, re.DOTALL)
    pieces = [" ".join(p.split()) for m in marked for p in re.split(r"\n\s*\n", _own_words(m))]
    causes = [p for p in pieces if p and not _GENERAL.match(p)]
    report = [*fatal, *(causes or filter(None, pieces))]
    return report or [line.strip() for line in text.splitlines() if line.strip()][-3:]


def _own_words(text: str) -> str:
    """An error without what wrangler prints below every one of them."""
    return _AFTERWARDS.split(text, maxsplit=1)[0]


def _shortened(report: list[str]) -> str:
    text = "; ".join(" ".join(piece.split()).rstrip(".") for piece in report) or "it said nothing"
    text = re.sub(r"/accounts/[^/\s)]+", "/accounts/...", text)
    return text if len(text) <= 300 else text[:297] + "..."
