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

_SEPARATORS = (" ", "T")
_FRACTIONS = ("", ".sss", ".ssssss")
_ZONES = ("", "Z", "+00:00")

FORMATS: tuple[str, ...] = (
    *(
        f"YYYY-MM-DD{separator}HH:MM:SS{fraction}{zone}"
        for separator in _SEPARATORS
        for fraction in _FRACTIONS
        for zone in _ZONES
    ),
    EPOCH_SECONDS,
    EPOCH_MILLISECONDS,
)
"""Every format that can be recognised and written."""

# Plausible instants, 1990 to 2100: whole numbers outside are no timestamps in that unit.
_EPOCH_FROM, _EPOCH_TO = 631152000, 4102444800


def classify_sql(column: str) -> str:
    """SQL expression naming the format of `column` (quoted SQL), NULL where there is no value.

    Anything that is not exactly one of `FORMATS` is called `unknown`.
    """
    date, time = "[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]", "[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
    cases = [
        f"WHEN {column} GLOB '{date}{separator}{time}{digits}{zone}' THEN '{name}'"
        for name, separator, digits, zone in (
            (
                f"YYYY-MM-DD{separator}HH:MM:SS{fraction}{zone}",
                separator,
                fraction.replace("s", "[0-9]"),
                zone,
            )
            for separator in _SEPARATORS
            for fraction in _FRACTIONS
            for zone in _ZONES
        )
    ]
    return f"""CASE typeof({column})
  WHEN 'null' THEN NULL
  WHEN 'text' THEN CASE {" ".join(cases)} ELSE 'unknown' END
  WHEN 'integer' THEN CASE
    WHEN {column} BETWEEN {_EPOCH_FROM} AND {_EPOCH_TO} THEN '{EPOCH_SECONDS}'
    WHEN {column} BETWEEN {_EPOCH_FROM}000 AND {_EPOCH_TO}000 THEN '{EPOCH_MILLISECONDS}'
    ELSE 'unknown' END
  ELSE 'unknown' END"""


def matches_sql(name: str, column: str) -> str:
    """SQL condition: whether `column` (quoted SQL) holds a value of the format `name`.

    It agrees with `classify_sql`, and costs a fraction of it where one format is expected.
    """
    if name == EPOCH_SECONDS:
        return f"typeof({column}) = 'integer' AND {column} BETWEEN {_EPOCH_FROM} AND {_EPOCH_TO}"
    if name == EPOCH_MILLISECONDS:
        return (
            f"typeof({column}) = 'integer' AND {column} BETWEEN {_EPOCH_FROM}000 AND {_EPOCH_TO}000"
        )
    separator, fraction, zone = _parts(name)
    pattern = (
        f"[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]{separator}[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
        f"{fraction.replace('s', '[0-9]')}{zone}"
    )
    return f"typeof({column}) = 'text' AND {column} GLOB '{pattern}'"


def write_sql(name: str, at: str) -> str:
    """SQL expression for the instant `at` (SQL for the ledger's text) in the format `name`."""
    if name == EPOCH_SECONDS:
        return f"CAST(strftime('%s', substr({at}, 1, 19)) AS INTEGER)"
    if name == EPOCH_MILLISECONDS:
        return (
            f"CAST(strftime('%s', substr({at}, 1, 19)) AS INTEGER) * 1000"
            f" + CAST(substr({at}, 21, 3) AS INTEGER)"
        )
    separator, fraction, zone = _parts(name)
    day = f"substr({at}, 1, 10) || 'T' || substr({at}, 12, 8)"
    text = day if separator == "T" else f"substr({at}, 1, 19)"
    tail = {"": "", ".sss": f" || substr({at}, 20, 4)", ".ssssss": f" || substr({at}, 20, 4)"}
    zeros = "000" if fraction == ".ssssss" else ""
    text += tail[fraction]
    return f"{text} || '{zeros}{zone}'" if zeros or zone else text


def write(name: str, at: str) -> str | int:
    """The instant `at` (the ledger's text, UTC) in the format `name`, without SQL."""
    moment = datetime.strptime(at, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    if name == EPOCH_SECONDS:
        return int(moment.replace(microsecond=0).timestamp())
    if name == EPOCH_MILLISECONDS:
        whole = int(moment.replace(microsecond=0).timestamp())
        return whole * 1000 + moment.microsecond // 1000
    separator, fraction, zone = _parts(name)
    digits = {"": "", ".sss": at[19:23], ".ssssss": at[19:23] + "000"}[fraction]
    return f"{at[:10]}{separator}{at[11:19]}{digits}{zone}"


def storage_class(name: str) -> str:
    """SQLite's storage class of the format `name`: `integer` for epochs, else `text`."""
    return "integer" if name in (EPOCH_SECONDS, EPOCH_MILLISECONDS) else "text"


def _parts(name: str) -> tuple[str, str, str]:
    """Separator, fraction and zone of a text format."""
    if name not in FORMATS:
        raise ValueError(f"{name!r} is not a known timestamp format")
    rest = name[len("YYYY-MM-DD?HH:MM:SS") :]
    fraction = rest[: rest.rfind("s") + 1] if "s" in rest else ""
    return name[10], fraction, rest[len(fraction) :]
