"""Records as JSON, and back."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, TypeVar

import cattrs

from runbook.cache import Cache
from runbook.errors import RunFolderError
from runbook.files import parse_sealed, read_content

T = TypeVar("T")


@functools.cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    # These unions hold plain JSON values, which need no conversion.
    converter.register_structure_hook(int | float | str, lambda value, _: value)
    return converter


def to_json(record: object) -> dict[str, Any]:
    """A record as plain dictionaries, lists, texts and numbers."""
    data: dict[str, Any] = _converter().unstructure(record)
    return data


def from_json(cls: type[T], data: object) -> T:
    """The record of class `cls` from what `to_json` made.

    Raises:
        RunFolderError: the data is not such a record (damaged, or of another version).
    """
    try:
        return _converter().structure(data, cls)
    except Exception as error:  # cattrs raises exception groups of many kinds
        raise RunFolderError(
            f"A {cls.__name__} in the run folder cannot be read; it is damaged or was written by "
            "another version, so run that stage again or start a new run folder."
        ) from error


_records: Cache[Any] = Cache(64)


def read_record(path: Path, cls: type[T]) -> T:
    """The record of class `cls` in a sealed file, which nobody may change.

    A file is always read. Its text is taken apart and checked once for the same bytes.

    Raises:
        RunFolderError: the file is missing, damaged, or no such record.
    """
    content = read_content(path)
    record: T = _records.get((cls, content), lambda: from_json(cls, parse_sealed(path, content)))
    return record


def read_part(path: Path, cls: type[T], name: str) -> T:
    """The record of class `cls` that is a member of the sealed file `path`, in the same way."""
    content = read_content(path)
    part: T = _records.get(
        (cls, name, content), lambda: from_json(cls, parse_sealed(path, content)[name])
    )
    return part
