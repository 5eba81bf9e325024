"""What the process that drives notebooks imports: not what only their kernels need."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from runbook.headless.lazy_imports import without

HEAVY = (
    "adbc_driver_sqlite",
    "duckdb",
    "matplotlib",
    "numpy",
    "pandas",
    "pyarrow",
    "rfc3987_syntax",
)

DRIVER = f"""
import sys
import runbook.cli.stages, runbook.headless.run_stages, runbook.stages.open_run
from runbook.headless import papermill
import runbook.headless.kernels
papermill.import_papermill()
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""


def test_a_driver_imports_nothing_that_only_kernels_need() -> None:
    command = [sys.executable, "-c", DRIVER]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


def test_a_module_is_missing_within_and_there_afterwards() -> None:
    name = "wave"  # of the standard library, and imported by nobody
    sys.modules.pop(name, None)
    with without(name), pytest.raises(ImportError):
        importlib.import_module(name)
    module = importlib.import_module(name)
    with without(name):  # what is there already stays
        assert importlib.import_module(name) is module
    assert sys.modules.pop(name) is module
