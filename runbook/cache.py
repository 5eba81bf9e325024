"""A cache of a process: answers, each under everything that it was made from.

A worker migrates thousands of databases by one plan, most of them with one schema, and reads each
record of a run many times. What depends on nothing but texts that are compared whole (a plan, the
rows of a schema, the bytes of a file) is then made once. Nothing is kept by a name, a path or a
time, so that what was changed meets no answer to what it was before.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_caches: list[Cache[Any]] = []


class Cache(Generic[T]):
    """The answers that were asked for last, at most so many; nobody may change one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()
        _caches.append(self)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The answer under `key`, made now if it is not kept; what `make` raises is not kept.

        `key` must hold all that `make` depends on. Keys are the same where they are equal, so
        what is equal and yet not the same (1 and True) must not stand in one at the same place.
        """
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return self._answers[key]
        answer = make()
        with self._lock:
            self._answers[key] = answer
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return answer

    def clear(self) -> None:
        """Drops every answer."""
        with self._lock:
            self._answers.clear()


def clear_caches() -> None:
    """Drops every answer of this process, for whoever has changed the code that makes them."""
    for each in _caches:
        each.clear()
