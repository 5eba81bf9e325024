"""Writes `docs/hazards.md` from the catalogue: `python -m runbook.hazards.docs`."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from runbook.hazards.catalogue import CATALOGUE, Group

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hazards.md"

_HEAD = """\
# Hazards

What preflight checks before anything is changed. This page is generated from
`runbook/hazards/catalogue.toml` (`python -m runbook.hazards.docs`).

- **block** stops the run with exit code 1; the cause has to be removed.
- **warn** is shown in the report and has to be accepted: by `--yes`, or by the person asked.
- **note** is for information only.

The level given here is the strictest; where the plan has answered the question already (rows
without an owner are adopted, triggers are suspended) it is milder. Each hazard in the report
comes with a count, samples, and the exact SQL statement or setting that removes it, or with the
query for the rows about which a person has to decide. A test carries every remedy out on a database
that has the hazard; none loses a row that the application made.

A plan may raise the level of any hazard, and lower one that warns, never one that blocks:

```toml
[hazards]
emails_missing = "warn"
updated_at_future = "note"
```
"""

_TITLES: dict[Group, str] = {
    "data": "In the data",
    "schema": "In the schema",
    "database": "In the file, the folder and the disk",
    "activity": "In what others do meanwhile",
    "d1": "In a Cloudflare D1 database",
}


def page() -> str:
    """The page as Markdown."""
    parts = [_HEAD]
    for group in get_args(Group):
        parts.append(f"## {_TITLES[group]}\n")
        parts.extend(
            f"### `{d.code}` ({d.level})\n\n**{d.title}.** {d.meaning}\n\nWhat to do: {d.remedy}"
            f"{f' {d.why}' if d.followed == 'decision' else ''}\n"
            for d in CATALOGUE.values()
            if d.group == group
        )
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
