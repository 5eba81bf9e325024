"""The fleet's report as a page for people and as JUnit XML for machines."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from xml.etree import ElementTree

import jinja2

from runbook.fleet.records import FAILURES
from runbook.fleet.store import Member
from runbook.fleet.view import FleetView
from runbook.report.environment import environment, styles
from runbook.wording import visible

MOST_ROWS = 1_000
"""Databases in the page's whole list; `fleet.json` has all of them."""

_TONES = {"pass": "pass", "fail": "fail"}


def as_html(view: FleetView) -> bytes:
    """The view as one page in UTF-8 that needs nothing but itself; rows link to the runs beside."""
    here = Path(__file__).parent / "template"
    jinja = environment().overlay(loader=jinja2.FileSystemLoader(here))
    most = max((count for *_, count in view.durations), default=1)
    return (
        jinja.get_template("fleet.html.j2")
        .render(
            view=view,
            tone=_TONES.get(view.verdict, "open"),
            style=styles("report.css"),
            link=_link,
            visible=visible,
            most_rows=MOST_ROWS,
            most=most,
            failures=FAILURES,
        )
        .encode("utf-8", "backslashreplace")
    )


def _link(member: Member) -> str:
    """The run's report, from the fleet folder; empty where there is none."""
    return urllib.parse.quote(f"{member.run}/report.html") if member.digest else ""


def as_junit(view: FleetView) -> bytes:
    """The view as JUnit XML in UTF-8: one test case for each database."""
    failures = sum(view.counts.get(state, 0) for state in FAILURES)
    skipped = sum(view.counts.get(state, 0) for state in ("untouched", "running", "ready"))
    totals = {
        "tests": str(len(view.members)),
        "failures": str(failures),
        "errors": "0",
        "skipped": str(skipped),
    }
    root = ElementTree.Element("testsuites", name=visible(f"runbook fleet {view.about.name}"))
    suite = ElementTree.SubElement(root, "testsuite", {"name": "databases", **totals})
    for key, value in totals.items():
        root.set(key, value)
    for member in view.members:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            name=visible(member.name),
            classname="runbook.fleet",
            time=f"{member.seconds:.3f}",
        )
        if member.state in FAILURES:
            about = visible(f"{member.state}: {member.error}")
            ElementTree.SubElement(case, "failure", message=about)
        elif member.state not in ("after", "taken back"):
            ElementTree.SubElement(case, "skipped", message=member.state)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text
