"""Imports that go without a package which somebody else would import along, and nobody here needs.

Papermill tries pyarrow for files on Hadoop (half a second), and does without where it is not
installed, which is how it looks to it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without(*modules: str) -> Iterator[None]:
    """Within, a module of these names that is not imported yet cannot be; afterwards it can."""
    missing = [name for name in modules if name not in sys.modules]
    for name in missing:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]
