"""Matrices of which `make test` takes a part, and `make faults` or `make test-d1` the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def brief(
    values: Iterable[Any],
    kept: Callable[[Any], bool],
    mark: pytest.MarkDecorator = pytest.mark.long,
) -> list[Any]:
    """The parameters; those that are not kept get the mark by which `make test` leaves them out."""
    return [value if kept(value) else pytest.param(*_words(value), marks=mark) for value in values]


def _words(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
