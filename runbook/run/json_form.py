"""Records as JSON, and back."""

from __future__ import annotations

import functools
from typing import Any, TypeVar

import cattrs

from runbook.errors import RunFolderError

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
