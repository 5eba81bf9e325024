"""Numbers, times and texts as people read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

T = TypeVar("T")

# Control characters except tab and newline, lone surrogates, non-characters, and the marks that
# turn the direction of writing or hide themselves: what a reader would not see, or see wrongly.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ufdd0-\ufdef\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The text with every character that cannot be seen, or not be stored, spelled out."""
    if text.isascii() and text.isprintable():  # most are
        return text
    return _INVISIBLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def map_text(value: T, change: Callable[[str], str], *, names: bool = True) -> T:
    """The same structure of dataclasses, tuples, lists and mappings, each text in it changed.

    `names` False leaves the names in mappings as they are.
    """
    return _map(value, change, names)  # type: ignore[no-any-return]


def _map(value: Any, change: Callable[[str], str], names: bool) -> Any:
    if isinstance(value, str):
        return change(value)
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, tuple | list):
        return type(value)([_map(v, change, names) for v in value])
    if isinstance(value, Mapping):
        return {(change(k) if names else k): _map(v, change, names) for k, v in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: _map(getattr(value, f.name), change, names) for f in fields(value)}
        return type(value)(**changed)
    return value


def clip(text: str, length: int) -> str:
    """The text, cut after `length` characters; a cut one says how long it was."""
    if len(text) <= length:
        return text
    return f"{text[:length]}\N{HORIZONTAL ELLIPSIS} ({len(text):,} characters)"


def number(value: int) -> str:
    """A whole number in groups of three: `1,234,567`."""
    return f"{value:,}"


def counted(value: int, one: str, many: str = "") -> str:
    """A number and its noun: `1 row`, `2,000 rows`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def more(count: int, noun: str = "") -> str:
    """What ends a list that was cut: `and 2 more rows`, `and 1 more`."""
    return f"and {counted(count, f'more {noun}') if noun else f'{count:,} more'}"


def and_more(count: int, noun: str = "") -> str:
    """What follows the first of several: ` (and 2 more findings)`; empty where `count` is 0."""
    return f" ({more(count, noun)})" if count > 0 else ""


def duration(seconds: float) -> str:
    """A duration in two units at most: `< 0.001 s`, `0.41 s`, `2 min 05 s`, `24 h`."""
    if 0 < seconds < 0.0005:
        return "< 0.001 s"
    if seconds < 0.0995:
        return f"{seconds:.3f} s"
    if seconds < 9.95:
        return f"{seconds:.2f} s"
    if seconds < 99.5:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    if hours:
        return f"{hours} h {rest // 60:02d} min" if rest // 60 else f"{hours} h"
    return f"{rest // 60} min {rest % 60:02d} s" if rest % 60 else f"{rest // 60} min"


def per_second(rate: float) -> str:
    """How many in a second, to three digits: `0.412`, `41.2`, `25,000`."""
    if rate >= 99.95:
        digits = max(len(str(int(rate))) - 3, 0)
        return f"{round(rate, -digits):,.0f}"
    return f"{rate:.1f}" if rate >= 9.95 else f"{rate:.2f}" if rate >= 0.995 else f"{rate:.3f}"


def size(count: int) -> str:
    """A number of bytes: `512 bytes`, `4.2 kB`, `1.35 GB` (powers of ten)."""
    if count < 1000:
        return counted(count, "byte")
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.2f} {unit}" if value < 9.995 else f"{value:.1f} {unit}"


def moment(text: str) -> datetime | None:
    """An instant from a record (ISO 8601; UTC where no zone is named); None where it is none."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def when(text: str) -> str:
    """An instant for people: `22 November 2026, 17:17:00 UTC`; other texts as they are."""
    at = moment(text)
    return f"{at.day} {at:%B %Y, %H:%M:%S} UTC" if at else text


def clock(text: str) -> str:
    """The time of day of an instant, in UTC: `17:17:00`."""
    at = moment(text)
    return f"{at:%H:%M:%S}" if at else text


def listed(words: list[str] | tuple[str, ...], most: int = 6) -> str:
    """Words as English: `a, b and c`; of very many the first, and how many more."""
    shown = list(words[:most])
    if len(words) > most:
        return f"{', '.join(shown)} and {len(words) - most:,} more"
    return (
        shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""
    )
