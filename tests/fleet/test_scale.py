"""A simulation: what the coordinator alone costs, with a recorded result in the place of each migration.

No database is migrated here. A worker's answer is replaced by one that a real run gave, and its
record by a shortened copy, so that only listing, planning, `fleet.db`, report and seal are measured.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import time
from pathlib import Path

import pytest

from runbook.files import sha256
from runbook.fleet.call import Wanted, run_fleet
from runbook.fleet.databases import Entry
from runbook.fleet.pool import Here
from runbook.fleet.records import Order, Outcome
from runbook.fleet.seal import check_fleet
from tests.support.faults.harness import FULL
from tests.support.fleets import choices, make_tenants, members, migrate_fleet, states


def recorded(folder: Path) -> tuple[Outcome, str]:
    """What a real run of one database gave, and its record without what the fleet does not read.

    It is the quicker one of two: the first imports what the other needs.
    """
    make_tenants(folder / "tenants", 2)
    migrate_fleet(folder / "tenants", folder / "two", canaries=0)
    member = min(members(folder / "two"), key=lambda m: m.cpu)
    record = json.loads((folder / "two" / member.run / "audit.json").read_text())
    kept = {k: record[k] for k in ("verdict", "outcome", "run", "hazards", "findings", "steps")}
    outcome = Outcome(1, "after", seconds=member.seconds, cpu=member.cpu, rows=member.rows)
    return outcome, json.dumps(kept, indent=1)


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.long), 100_000])
def test_the_coordinator_alone(count: int, tmp_path: Path) -> None:
    if count > 10_000 and not FULL:
        pytest.skip("RUNBOOK_FAULTS=full simulates a hundred thousand")
    outcome, record = recorded(tmp_path)
    fleet = tmp_path / "fleet"

    def replay(order: Order) -> Outcome:
        if order.until == "preflight":
            return Outcome(order.number, "ready")
        folder = Path(order.run_dir)
        folder.mkdir()
        (folder / "audit.json").write_text(record.replace('"operator"', f'"{order.number}"', 1))
        digest = sha256(folder / "audit.json")
        return dataclasses.replace(outcome, number=order.number, digest=digest)

    entries = [Entry(f"tenants/t{n}.db", f"/srv/tenants/t{n}.db") for n in range(count)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()

    class Wide(Here):
        def __init__(self) -> None:
            super().__init__(replay, depth=12)

    import contextlib

    run_fleet(
        Wanted(entries, fleet_dir=str(fleet)),
        choices(canaries=0),
        lambda echo: contextlib.nullcontext(Wide()),
    )
    seconds = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) // 1024
    print(f"{count:,} databases: {seconds:.1f} s of the processor, {grown} MB more")
    print(f"a migration: {outcome.cpu} s of the processor")
    assert states(fleet) == ["after"] * count
    assert json.loads((fleet / "fleet.json").read_text())["sums"]["databases"] == count
    assert check_fleet(fleet).runs == count
    # Half of the time here is the replay's own: writing records, which workers do. The measure is
    # what the migration took in this process, so that a slow machine has its own.
    assert seconds < 0.05 * count * outcome.cpu
    assert grown < 500
