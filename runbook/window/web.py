"""Polls a URL until it answers as it should, or for the time allowed."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runbook.plan.plan import Health, Maintenance
from runbook.plan.secrets import hide_in_addresses
from runbook.run.window_records import Answer

if TYPE_CHECKING:
    import httpx

MOST_BYTES = 1_000_000
"""Bytes of an answer that are read: the expected text is searched for in them."""

ONE_ANSWER = 10.0
"""Seconds after which a single question counts as not answered."""

DRAIN = 1.0
"""Seconds that a body is read on for politeness, when it is known what the answer is."""

LEAST = 1.0
"""Seconds that the last question has, however little of the time allowed is left."""

_KEPT = 60


@dataclass(frozen=True)
class Answers:
    """A series of answers; `problem` is what was wrong with the last, "" for nothing."""

    series: tuple[Answer, ...]
    problem: str = ""


@functools.cache
def _client() -> httpx.Client:
    """One client, because making one takes a tenth of a second; each question connects anew."""
    import httpx

    return httpx.Client(
        follow_redirects=False,
        limits=httpx.Limits(max_keepalive_connections=0),
        headers={"User-Agent": "runbook"},
    )


def ask(page: Maintenance | Health, at: float = 0.0, limit: float = ONE_ANSWER) -> Answer:
    """Asks once; `at` is only noted, `limit` is in seconds for the whole answer."""
    import httpx

    client = _client()
    until = time.monotonic() + limit
    body, text, status = b"", page.text.encode(), 0

    def answer() -> Answer | None:
        """The answer, once no more of the body can change it."""
        if status and status != page.status:
            return Answer(at, status, False, f"{status} instead of {page.status}")
        return Answer(at, status, True) if status and text in body else None

    try:
        with client.stream("GET", page.url, timeout=limit) as response:
            status = response.status_code
            # Also what decides nothing any more: a server that is hung up on logs an error.
            for piece in response.iter_bytes():
                body += piece
                if len(body) >= MOST_BYTES:
                    break
                if time.monotonic() > (until if answer() is None else until - limit + DRAIN):
                    late = Answer(at, status, False, f"not complete within {limit:.3g} s")
                    return answer() or late
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return answer() or Answer(at, 0, False, _why(error, limit))
    return answer() or Answer(at, status, False, "without the expected text")


def ask_until_expected(page: Maintenance | Health) -> Answers:
    """Asks every `page.every` seconds until the answer is as expected, at most `page.timeout`."""
    return _ask_until(page, lambda answer: answer, "did not answer as expected")


def ask_until_gone(page: Maintenance) -> Answers:
    """Asks until the address answers without an error and not as in maintenance any more."""

    def judge(answer: Answer) -> Answer:
        if answer.ok:
            return dataclasses.replace(answer, ok=False, note="still in maintenance")
        gone = 0 < answer.status < 500
        return dataclasses.replace(answer, ok=gone, note="" if gone else answer.note)

    return _ask_until(page, judge, "did not come back")


def _ask_until(
    page: Maintenance | Health, judge: Callable[[Answer], Answer], otherwise: str
) -> Answers:
    from tenacity import Retrying, retry_if_result, stop_before_delay

    began = time.monotonic()
    series: list[Answer] = []

    def question() -> Answer:
        at = time.monotonic() - began
        limit = max(min(ONE_ANSWER, page.timeout - at), LEAST)
        series.append(judge(ask(page, round(at, 3), limit)))
        return series[-1]

    last = Retrying(
        retry=retry_if_result(lambda answer: not answer.ok),
        stop=stop_before_delay(page.timeout),
        wait=lambda _: max(page.every - (time.monotonic() - began - series[-1].at), 0),
        retry_error_callback=lambda _: series[-1],
    )(question)
    problem = f"{show_address(page.url)} {otherwise} within {page.timeout:g} s (last: {last.note})"
    return Answers(_thinned(series), "" if last.ok else problem)


def expected(page: Maintenance | Health) -> str:
    """What the address should answer, in words."""
    text = f' with "{page.text}"' if page.text else ""
    return f"{page.status}{text}"


def show_address(url: str) -> str:
    """The site alone: paths and queries of addresses may hold anything."""
    parts = urlsplit(url)
    more = "/..." if parts.path.strip("/") or parts.query else "/"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{more}"


def _thinned(series: list[Answer]) -> tuple[Answer, ...]:
    """At most some sixty answers: the last one, and every n-th before it."""
    step = -(-len(series) // _KEPT)
    return (*series[:-1:step], series[-1])


def _why(error: Exception, limit: float) -> str:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {limit:.3g} s"
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    if isinstance(error, httpx.NetworkError):
        return hide_in_addresses(f"{type(error).__name__}: {error}")[:200]
    # Its text may quote what was answered, which may be anything.
    return f"no valid answer ({type(error).__name__})"
