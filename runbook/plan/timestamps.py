"""The formats of `updated_at`, how each is recognised and how each is written.

A format is named by what it looks like, so that a plan can say
`updated_at_format = "YYYY-MM-DDTHH:MM:SS.sssZ"`. The run's one timestamp is kept in the ledger as
text in UTC with milliseconds (`2026-11-22 16:49:00.123`); every other form is derived from that
text by cutting and joining, so that all writers and all witnesses arrive at the same value.
"""

from __future__ import annotations

from datetime import UTC, datetime

SPECIFIED = "YYYY-MM-DD HH:MM:SS"
"""The format that SQLite's `datetime('now')` writes, which the specification uses."""

EPOCH_SECONDS = "epoch seconds"
EPOCH_MILLISECONDS = "epoch milliseconds"
REAL_SECONDS = "epoch seconds (real)"
REAL_MILLISECONDS = "epoch milliseconds (real)"
GO = "YYYY-MM-DD HH:MM:SS.sssssssss +0000 UTC"
"""How Go prints a time; zeros at the end of the fraction are left out."""

_SEPARATORS = (" ", "T")
_FRACTIONS = ("", ".sss", ".ssssss")
_ZONES = ("", "Z", "+00:00")
_NANOSECONDS = ".sssssssss"
_ANY_OFFSET = "±HH:MM"
"""The zone of a format whose rows may have any offset; what is written is in UTC."""

_EPOCHS = {
    EPOCH_SECONDS: ("integer", 1),
    EPOCH_MILLISECONDS: ("integer", 1000),
    REAL_SECONDS: ("real", 1),
    REAL_MILLISECONDS: ("real", 1000),
}

FORMATS: tuple[str, ...] = (
    *(
        f"YYYY-MM-DD{separator}HH:MM:SS{fraction}{zone}"
        for separator in _SEPARATORS
        for fraction in _FRACTIONS
        for zone in _ZONES
    ),
    *(
        f"YYYY-MM-DD{separator}HH:MM:SS{_NANOSECONDS}{zone}"
        for separator in _SEPARATORS
        for zone in ("", "Z", _ANY_OFFSET)
    ),
    GO,
    *_EPOCHS,
)
"""Every format that can be recognised and written."""

# Plausible instants, 1990 to 2100: numbers outside are no timestamps in that unit.
_EPOCH_FROM, _EPOCH_TO = 631152000, 4102444800
_DATE, _TIME = "[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]", "[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"


def classify_sql(column: str) -> str:
    """SQL expression naming the format of `column` (quoted SQL), NULL where there is no value.

    Anything that is not exactly one of `FORMATS` is called `unknown`.
    """
    texts = [name for name in FORMATS if name not in _EPOCHS]
    cases = [f"WHEN {_text_condition(name, column)} THEN '{name}'" for name in texts]
    numbers = [f"WHEN {matches_sql(name, column)} THEN '{name}'" for name in _EPOCHS]
    return f"""CASE typeof({column})
  WHEN 'null' THEN NULL
  WHEN 'text' THEN CASE {" ".join(cases)} ELSE 'unknown' END
  ELSE CASE {" ".join(numbers)} ELSE 'unknown' END END"""


def matches_sql(name: str, column: str) -> str:
    """SQL condition: whether `column` (quoted SQL) holds a value of the format `name`.

    It agrees with `classify_sql`, and costs a fraction of it where one format is expected.
    """
    if name in _EPOCHS:
        kind, unit = _EPOCHS[name]
        return (
            f"typeof({column}) = '{kind}'"
            f" AND {column} BETWEEN {_EPOCH_FROM * unit} AND {_EPOCH_TO * unit}"
        )
    return f"typeof({column}) = 'text' AND {_text_condition(name, column)}"


def _text_condition(name: str, column: str) -> str:
    """SQL condition for a text; formats exclude each other."""
    separator, fraction, zone = _parts(name)
    day = f"{_DATE}{separator}{_TIME}"
    if fraction != _NANOSECONDS:
        return f"{column} GLOB '{day}{fraction.replace('s', '[0-9]')}{zone}'"
    # One to nine digits (none as well for Go); three and six have formats of their own.
    signs = {_ANY_OFFSET: "[+-][0-9][0-9]:[0-9][0-9]"}.get(zone, zone)
    length = {_ANY_OFFSET: 6}.get(zone, len(zone))
    digits = f"substr({column}, 21, length({column}) - {20 + length})"
    condition = (
        f"{column} GLOB '{day}.[0-9]*{signs}' AND length({column}) <= {29 + length}"
        f" AND {digits} NOT GLOB '*[^0-9]*'"
    )
    if name == GO:
        return f"({condition} OR {column} GLOB '{day}{zone}')"
    if zone == _ANY_OFFSET:
        return f"({condition} AND NOT (length({digits}) IN (3, 6) AND {column} GLOB '*+00:00'))"
    return f"({condition} AND length({digits}) NOT IN (3, 6))"


def write_sql(name: str, at: str) -> str:
    """SQL expression for the instant `at` (SQL for the ledger's text) in the format `name`."""
    if name in _EPOCHS:
        seconds = f"CAST(strftime('%s', substr({at}, 1, 19)) AS INTEGER)"
        if name == EPOCH_SECONDS:
            return seconds
        milliseconds = f"{seconds} * 1000 + CAST(substr({at}, 21, 3) AS INTEGER)"
        if name == EPOCH_MILLISECONDS:
            return milliseconds
        real = f"CAST({milliseconds} AS REAL)"
        return real if name == REAL_MILLISECONDS else f"{real} / 1000.0"
    separator, fraction, zone = _parts(name)
    day = f"substr({at}, 1, 10) || 'T' || substr({at}, 12, 8)"
    text = day if separator == "T" else f"substr({at}, 1, 19)"
    text += f" || substr({at}, 20, 4)" if fraction else ""
    rest = _zeros(fraction) + _written_zone(zone)
    return f"{text} || '{rest}'" if rest else text


def write(name: str, at: str) -> str | int | float:
    """The instant `at` (the ledger's text, UTC) in the format `name`, without SQL."""
    if name in _EPOCHS:
        moment = datetime.strptime(at, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
        seconds = int(moment.replace(microsecond=0).timestamp())
        milliseconds = seconds * 1000 + moment.microsecond // 1000
        return {
            EPOCH_SECONDS: seconds,
            EPOCH_MILLISECONDS: milliseconds,
            REAL_SECONDS: milliseconds / 1000.0,
            REAL_MILLISECONDS: float(milliseconds),
        }[name]
    separator, fraction, zone = _parts(name)
    digits = at[19:23] if fraction else ""
    return f"{at[:10]}{separator}{at[11:19]}{digits}{_zeros(fraction)}{_written_zone(zone)}"


def storage_class(name: str) -> str:
    """SQLite's storage class of the format `name`: `integer` or `real` for epochs, else `text`."""
    return _EPOCHS[name][0] if name in _EPOCHS else "text"


def _zeros(fraction: str) -> str:
    """What follows the ledger's three digits."""
    return "0" * max(0, len(fraction) - len(".sss"))


def _written_zone(zone: str) -> str:
    return "+00:00" if zone == _ANY_OFFSET else zone


def _parts(name: str) -> tuple[str, str, str]:
    """Separator, fraction and zone of a text format."""
    if name not in FORMATS:
        raise ValueError(f"{name!r} is not a known timestamp format")
    rest = name[len("YYYY-MM-DD?HH:MM:SS") :]
    fraction = rest[: rest.rfind("s") + 1] if "s" in rest else ""
    return name[10], fraction, rest[len(fraction) :]
