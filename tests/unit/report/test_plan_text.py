"""The plan in the report is a plan: read again, it is the same."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from runbook.plan.plan import (
    Command,
    Health,
    Maintenance,
    Migration,
    Monitor,
    Organizations,
    Plan,
    Resource,
    Triggers,
    Unowned,
    Users,
    Window,
)
from runbook.plan.read import parse_plan
from runbook.report.plan_text import plan_text

names = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\x7f"), min_size=1
).filter(str.strip)


@given(names, names, names, st.none() | names)
def test_any_names_arrive_as_they_are(
    table: str, key: str, owner: str, updated: str | None
) -> None:
    plan = Plan(users=Users(table, key), resources=(Resource(f"{table}s", owner, updated),))
    assert parse_plan(plan_text(plan)) == plan


def test_every_setting_arrives_as_it_is() -> None:
    plan = Plan(
        migration=Migration("0007_other"),
        users=Users("Users", "user id", "e-mail"),
        resources=(Resource("a", "o"), Resource("b", "o", "u", "epoch seconds")),
        organizations=Organizations("all_users"),
        unowned=Unowned("adopt", '7"\\'),
        triggers=Triggers("fire", ("log", "other log")),
        window=Window(
            quiet_seconds=1.5,
            secrets=("TOKEN",),
            maintenance_on=Command(("ctl", "off"), timeout=7.0),
            maintenance_off=Command(shell="ctl on"),
            maintenance=Maintenance("https://example.org/", text="back soon"),
            health=Health("https://example.org/health", every=1.0),
        ),
        monitor=Monitor(logs=("/var/log/app.log",), pattern="ERROR|\\bOOPS\\b"),
        hazards={"updated_at_future": "note"},
    )
    assert parse_plan(plan_text(plan)) == plan


def test_what_stands_as_by_default_is_left_out() -> None:
    text = plan_text(Plan())
    assert "[users]" in text
    assert "[[resources]]" in text
    for section in ("window", "monitor", "triggers", "proof", "hazards", "unowned"):
        assert f"[{section}]" not in text, section


def test_it_is_in_the_report(tmp_path: Path) -> None:
    from tests.support import report_factory as factory
    from tests.support.report_page import page_of

    shown = page_of(factory.passed(tmp_path / "run")).text
    assert 'owner = "owner_id"' in shown
    assert 'policy = "suspend"' in shown
