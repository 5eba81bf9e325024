"""Which checksums a run keeps."""

from __future__ import annotations

import hashlib

from runbook import templates
from runbook.run.versions import sql_checksums


def test_every_file_that_a_run_can_read_and_no_other() -> None:
    outside = {"explore", "fleet", "sample"}
    files = {path.relative_to(templates.FOLDER): path for path in templates.FOLDER.rglob("*.sql")}
    assert outside < {name.parts[0] for name in files}
    assert sql_checksums() == {
        str(name): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
        if name.parts[0] not in outside
    }
