"""The parts of the plan that speak of the maintenance window and of the monitoring."""

from __future__ import annotations

import pytest

from runbook.errors import PlanError
from runbook.plan.plan import Command, Plan
from runbook.plan.read import parse_plan
from runbook.run.json_form import from_json, to_json

WHOLE = r"""
[window]
quiet_seconds = 2
[window.maintenance_on]
command = ["page", "on"]
[window.maintenance_off]
shell = "page off"
timeout = 5
[window.health]
url = "https://app.example/health"
[monitor]
logs = ["app.log"]
pattern = "\\bERROR\\b"
"""


def test_a_window_survives_the_run_folder() -> None:
    plan = parse_plan(WHOLE)
    assert plan.window.maintenance_on == Command(("page", "on"))
    assert plan.window.maintenance_off == Command(shell="page off", timeout=5)
    assert plan.window.deploy is None
    assert from_json(Plan, to_json(plan)) == plan


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[window.deploy]\ntimeout = 5", "needs either command"),
        ('[window.deploy]\ncommand = ["a"]\nshell = "a"', "and not both"),
        ('[window.deploy]\ncommand = "a b"', "must be a list"),
        ('[window.deploy]\ncommand = ["a"]\ntimeout = 0', "more than 0"),
        ('[window.deploy]\ncommand = ["a"]\ntimeout = nan', "more than 0"),
        ('[window.maintenance_on]\ncommand = ["a"]', "nothing opens it"),
        ('[window.health]\nurl = "app.example"', "is not a valid URL"),
        ("[window.health]\nstatus = 200", 'lacks "url"'),
        ("[window]\nquiet_seconds = -1", "from 0 to 3600"),
        ('[window]\nmaintenence = "x"', 'did you mean "maintenance"'),
        ('[monitor]\npattern = "("', "must be a regular expression"),
        ("[monitor]\nblocking_seconds = inf", "more than 0"),
    ],
)
def test_what_no_window_can_say_is_refused(text: str, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        parse_plan(text)
