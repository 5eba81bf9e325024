"""An Arrow array of cells as numbers: where each cell begins, and the bytes of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Offsets = npt.NDArray[np.signedinteger[Any]]


def buffers(array: Any) -> tuple[Offsets, Any]:
    """Offsets from 0 (one more than there are cells) and bytes of a large_binary array."""
    _, offsets, data = array.buffers()
    if offsets is None or not len(array):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    octets = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return ends - ends[0], octets[ends[0] : ends[-1]]
