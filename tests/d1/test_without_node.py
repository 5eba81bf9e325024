"""Where Node cannot be had, the tests of D1 are skipped and say why."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from runbook.targets.d1.install import OVERRIDE
from tests.support.paths import ROOT


def test_the_tests_of_d1_are_skipped_with_the_reason(tmp_path: Path) -> None:
    words = ["-q", "-p", "no:cacheprovider", "--deselect", "tests/d1/test_without_node.py"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/d1", *words],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path), OVERRIDE: ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout
    assert "D1 cannot be tested here: Node 20.3 or newer is needed" in ended.stdout
    found = re.search(r"(?:(\d+) passed, )?(\d+) skipped", ended.stdout.splitlines()[-1])
    assert found is not None
    assert int(found[1] or 0) < 10 < 50 < int(found[2])
