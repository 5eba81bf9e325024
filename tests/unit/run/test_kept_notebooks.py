"""Executed notebooks in the run folder: none replaces another's, links lead from where they lie."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from runbook.run.notebooks import (
    altered_notebooks,
    described,
    has_notebook,
    keep_notebook,
    kept_notebooks,
)

NAME = "04_migrate.ipynb"


def notebook(way: str, text: str = "") -> bytes:
    about = {"runbook": {"way": way}} if way else {}
    return json.dumps({"cells": [], "metadata": about, "text": text}).encode()


def kept(folder: Path) -> dict[str, str]:
    files = (folder / "notebooks").glob("*.ipynb")
    return {path.name: json.loads(path.read_bytes())["text"] for path in sorted(files)}


def test_each_way_has_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    assert keep_notebook(tmp_path, NAME, notebook("", "headless")) == NAME
    assert keep_notebook(tmp_path, NAME, notebook("JupyterLab", "a person")) == "04_migrate-2.ipynb"
    assert keep_notebook(tmp_path, NAME, notebook("Papermill", "cron")) == "04_migrate-3.ipynb"
    keep_notebook(tmp_path, NAME, notebook("JupyterLab", "again"))
    keep_notebook(tmp_path, NAME, notebook("headless", "again, too"))
    assert kept(tmp_path) == {
        NAME: "again, too",
        "04_migrate-2.ipynb": "again",
        "04_migrate-3.ipynb": "cron",
    }
    ways = {name: about.get("way") for name, about in kept_notebooks(tmp_path, NAME)}
    assert list(ways) == [NAME, "04_migrate-2.ipynb", "04_migrate-3.ipynb"]
    assert list(ways.values()) == ["headless", "JupyterLab", "Papermill"]
    assert has_notebook(tmp_path, NAME)
    check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=tmp_path / "notebooks").returncode == 0


def test_what_was_damaged_is_what_is_executed_anew(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    keep_notebook(tmp_path, NAME, notebook("headless"))
    name = keep_notebook(tmp_path, NAME, notebook("JupyterLab"))
    (tmp_path / "notebooks" / name).write_text("torn")
    assert not has_notebook(tmp_path, NAME)
    assert len(altered_notebooks(tmp_path)) == 1
    assert [name for name, _ in kept_notebooks(tmp_path, NAME)] == [NAME]
    assert keep_notebook(tmp_path, NAME, notebook("headless")) == name
    assert has_notebook(tmp_path, NAME)
    assert altered_notebooks(tmp_path) == ()
    assert not has_notebook(tmp_path, "03_snapshot.ipynb")


def test_links_lead_from_the_archived_place(tmp_path: Path) -> None:
    run = tmp_path / "a run"
    markdown = {
        "text/markdown": f"Read [it]({tmp_path}/a%20run/report.html), [next](05_verify.ipynb)"
    }
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "markdown",
            "source": [f"[x]({run}/x.html)".replace(" ", "%20"), " [y](http://y/z)"],
        },
        {"cell_type": "code", "source": "", "outputs": [{"data": markdown}, {"text": ["a"]}]},
    ]
    content = json.dumps({"cells": cells, "metadata": {}}).encode()
    changed = json.loads(described(content, run, {"way": "headless"}))
    assert changed["metadata"]["runbook"] == {"way": "headless"}
    assert changed["cells"][0]["source"] == "[x](../x.html) [y](http://y/z)"
    text = changed["cells"][1]["outputs"][0]["data"]["text/markdown"]
    assert text == "Read [it](../report.html), [next](05_verify.ipynb)"


def test_what_is_no_notebook_stays_as_it_is(tmp_path: Path) -> None:
    for content in (b"{}x", b"[]", b'{"cells": [1]}'):
        assert described(content, tmp_path, {}) == content
