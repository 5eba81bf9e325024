"""What wrangler's output means, on text such as it prints."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.targets.d1.call import mask
from runbook.targets.d1.wrangler_output import failure_in, results_in, values_in

RESULT = json.dumps([{"results": [{"a": 1}], "success": True, "meta": {}}], indent=2)
SPINNER = (
    "\u250c Checking if file needs uploading\n\u2502\n\u251c \U0001f300 Uploading x.sql\n\u2514\n"
)


def error(**fields: Any) -> str:
    return json.dumps({"error": fields}, indent=2)


@pytest.mark.parametrize("before", ["", SPINNER, "[WARNING] a word\n", "{not json}\n[neither]\n"])
@pytest.mark.parametrize("after", ["", "\nDone [really]!\n", "\n{\n broken"])
def test_results_are_found_among_other_text(before: str, after: str) -> None:
    assert results_in(before + RESULT + after) == [[{"a": 1}]]


@pytest.mark.parametrize(
    "text", ["", "nothing", "[]", error(text="no"), RESULT.replace("true", "false"), RESULT[:-2]]
)
def test_no_results_where_there_are_none(text: str) -> None:
    assert results_in(text) is None


JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=15,
)


@given(
    value=JSON.filter(lambda v: isinstance(v, list | dict) and bool(v)), noise=st.text("ab \n.:")
)
def test_any_value_survives_noise(value: Any, noise: str) -> None:
    assert list(values_in(f"{noise}\n{json.dumps(value, indent=2)}\n{noise}")) == [value]


@pytest.mark.parametrize(
    ("stdout", "stderr", "certainty"),
    [
        (error(text="no such table: t: SQLITE_ERROR"), "", "refused"),
        (
            error(text="x", notes=[{"text": "UNIQUE constraint failed: SQLITE_CONSTRAINT"}]),
            "",
            "refused",
        ),
        (
            "",
            "\u2718 [ERROR] CHECK constraint failed: c: SQLITE_CONSTRAINT (extended: x)\n",
            "refused",
        ),
        (error(text="database is locked: SQLITE_BUSY"), "", "busy"),
        (error(text="Couldn't find a D1 DB with the name or binding 'x'"), "", "unusable"),
        (error(text="A request failed.", notes=[{"text": "no [code: 10000]"}]), "", "unusable"),
        (
            "",
            "uncaught kj::Exception: table _cf_ALARM has 3 columns but 2 values were supplied",
            "unusable",
        ),
        (error(text="fetch failed"), "", "unknown"),
        (
            error(
                text="A request failed.", notes=[{"text": "slow down [code: 10429]"}], status=429
            ),
            "",
            "unknown",
        ),
        (
            error(text="A request failed.", notes=[{"text": "internal error [code: 7500]"}]),
            "",
            "unknown",
        ),
        (error(text="Received a malformed response from the API", status=503), "", "unknown"),
        (
            error(text="D1 DB storage operation exceeded timeout which caused object to be reset."),
            "",
            "unknown",
        ),
        (error(text="disk I/O error: SQLITE_IOERR"), "", "unknown"),
        ("", "The Workers runtime failed to start.", "unknown"),
        ("", "", "unknown"),
    ],
)
def test_only_a_refusal_is_certain(stdout: str, stderr: str, certainty: str) -> None:
    assert failure_in(stdout, stderr, remote=False).certainty == certainty


def test_a_remote_lock_is_not_certain() -> None:
    assert failure_in(error(text="SQLITE_BUSY"), "", remote=True).certainty == "unknown"


def test_the_reason_is_one_short_line_without_the_account() -> None:
    text = "A request to the Cloudflare API (/accounts/0123abcd/d1/database/x/query) failed."
    reason = failure_in(error(text=text, notes=[{"text": "y" * 900}]), "", remote=True).reason
    assert len(reason) <= 300
    assert "\n" not in reason
    short = failure_in(error(text=text, status=500), "", remote=True).reason
    assert "0123abcd" not in short
    assert short.endswith("failed; status 500")


def test_the_token_is_masked() -> None:
    environment = {"CLOUDFLARE_API_TOKEN": "s3cret"}
    assert mask("Bearer s3cret!", environment) == "Bearer (CLOUDFLARE_API_TOKEN)!"
    assert mask("Bearer", {"CLOUDFLARE_API_TOKEN": ""}) == "Bearer"


REQUEST = "\u2718 [ERROR] A request to the Cloudflare API (/accounts/0123/d1/database/x) failed."
BELOW = (
    "\n\n  If you think this is a bug, please open an issue at: https://example.test/issues\n\n\n"
    '\U0001fab5  Logs were written to "/tmp/quiet.log"\n'
)


@pytest.mark.parametrize(
    ("cause", "certainty"),
    [
        ("The database x could not be found [code: 7404]", "unusable"),
        ("D1 DB is overloaded. Requests queued for too long. [code: 7429]", "unknown"),
        ("There was an export error: cannot export databases with Virtual Tables", "unknown"),
        ("Authentication error [code: 10000]", "unusable"),
    ],
)
def test_the_cause_stands_after_a_blank_line(cause: str, certainty: str) -> None:
    failure = failure_in("", f"{REQUEST}\n\n  {cause}{BELOW}", remote=True)
    assert (failure.reason, failure.certainty) == (cause, certainty)


def test_without_a_cause_the_request_is_named() -> None:
    failure = failure_in("", f"{REQUEST}{BELOW}", remote=True)
    assert failure.reason == "A request to the Cloudflare API (/accounts/.../d1/database/x) failed"


def test_each_error_is_kept() -> None:
    text = "\u2718 [ERROR] first\n\n  its cause\n\n\u25b2 [WARNING] no\n\n\u2718 [ERROR] second\n\n"
    assert failure_in("", text, remote=True).reason == "first; its cause; second"
