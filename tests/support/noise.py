"""Bytes that do not compress, and are the same in every run."""

from __future__ import annotations

import random


def noise(count: int, seed: int = 1) -> bytes:
    """So many bytes, of a generator with this seed."""
    return random.Random(seed).randbytes(count)
