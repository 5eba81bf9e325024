"""One measurement in a process of its own: `python -m tests.benchmarks.child NAME FOLDER`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.work import WORK

if __name__ == "__main__":
    usage, parts = WORK[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({**asdict(usage), "parts": parts}))
