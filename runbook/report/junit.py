"""The report for CI servers: JUnit XML, one test case for everything that could have failed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from runbook.report.bounds import Shown, bounded
from runbook.report.view_model import ReportView
from runbook.run.findings import Finding, Hazard, RenderedSample, render_sample, sample_line
from runbook.script.footprint import FootprintLine
from runbook.wording import more, visible


@dataclass(frozen=True)
class _Case:
    """One test case; `failure` is empty where it passed, `skipped` where it was made."""

    name: str
    failure: str = ""
    details: str = ""
    skipped: str = ""


def junit(view: ReportView) -> bytes:
    """The view as JUnit XML in UTF-8, well-formed whatever characters the database holds."""
    findings = bounded(view.contents.findings, render_sample)
    hazards = bounded([h.hazard for h in view.hazards], sample_line)
    suites = {
        "verdict": list(_verdict(view)),
        "invariants": [
            _Case(i.name, "" if i.holds else f"violated: {_counts(i.violations)}", i.title)
            for i in view.contents.invariants
        ],
        "footprint": [_line(line) for line in view.footprint],
        "findings": [
            *map(_finding, findings.items),
            *_more(findings.left_out, "findings", fails=True),
        ],
        "hazards": [
            *(
                _hazard(shown.item, treated.done)
                for shown, treated in zip(hazards.items, view.hazards, strict=False)
            ),
            *_more(hazards.left_out, "hazards", fails=False),
        ],
    }
    root = ElementTree.Element("testsuites", name=_xml(f"runbook {view.contents.run}"))
    for name, cases in suites.items():
        _suite(root, name, cases, view)
    totals = [case for cases in suites.values() for case in cases]
    _count(root, totals)
    root.set("time", f"{view.seconds:.3f}")
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _suite(root: ElementTree.Element, name: str, cases: list[_Case], view: ReportView) -> None:
    suite = ElementTree.SubElement(root, "testsuite", name=name)
    if view.contents.created_at:
        suite.set("timestamp", _xml(view.contents.created_at[:19]))
    _count(suite, cases)
    for case, case_name in zip(cases, _distinct(_xml(case.name) for case in cases), strict=True):
        element = ElementTree.SubElement(
            suite, "testcase", classname=f"runbook.{name}", name=case_name, time="0"
        )
        if case.failure:
            failure = ElementTree.SubElement(element, "failure", message=_xml(case.failure))
            failure.text = _xml(case.details)
        elif case.skipped:
            ElementTree.SubElement(element, "skipped", message=_xml(case.skipped))
        elif case.details:
            ElementTree.SubElement(element, "system-out").text = _xml(case.details)


def _distinct(names: Iterable[str]) -> list[str]:
    """The names, those that came before with a number: servers know a case by nothing else."""
    distinct: dict[str, None] = {}
    for name in names:
        numbered = (f"{name} ({number})" for number in itertools.count(2))
        distinct[next(n for n in itertools.chain((name,), numbered) if n not in distinct)] = None
    return list(distinct)


def _count(element: ElementTree.Element, cases: list[_Case]) -> None:
    element.set("tests", str(len(cases)))
    element.set("failures", str(sum(bool(c.failure) for c in cases)))
    element.set("errors", "0")
    element.set("skipped", str(sum(bool(c.skipped) and not c.failure for c in cases)))


def _verdict(view: ReportView) -> Iterable[_Case]:
    """The verdict itself, so that a run which checked nothing can never look green."""
    outcome = view.outcome
    failure = "" if outcome.verdict == "pass" else f"{outcome.headline} {outcome.wrong}"
    yield _Case("verdict", failure, f"State of the database: {outcome.state}")
    for proof in view.proofs:
        yield _Case(
            proof.name,
            proof.sentence if proof.holds is False else "",
            proof.sentence,
            proof.sentence if proof.holds is None else "",
        )


def _line(line: FootprintLine) -> _Case:
    name = f"{line.table}: {line.change}" + (f" {line.column}" if line.column else "")
    numbers = [] if line.predicted is None else [f"predicted {line.predicted}"]
    numbers += [f"counted {_counts(line.counts)}"] if line.counts else []
    details = f"{line.rule}; {', '.join(numbers)}" if numbers else line.rule
    if not line.allowed:
        return _Case(name, f"not allowed: {_counts(line.counts)}", details)
    if len(set(line.counts.values())) > 1:
        return _Case(name, f"the witnesses disagree: {_counts(line.counts)}", details)
    return _Case(name, details=details)


def _hazard(hazard: Hazard, done: str) -> _Case:
    return _Case(
        f"{hazard.code}: {hazard.subject}",
        hazard.title if hazard.level == "block" else "",
        f"{hazard.level}: {hazard.title}\n{hazard.meaning}\n{hazard.remedy}\n{done}",
    )


def _finding(shown: Shown[Finding, RenderedSample]) -> _Case:
    finding = shown.item
    place = f"{finding.table}.{finding.column}" if finding.column else finding.table
    samples = [
        f"{s.key} {s.column}: {s.before} -> {s.after}".replace(" : ", ": ") for s in shown.samples
    ]
    if shown.left_out:
        samples.append(f"{more(shown.left_out)}, left out")
    name = f"{finding.witness}: {finding.change} {place}".strip()
    return _Case(name, finding.message, "\n".join(samples))


def _more(left_out: int, what: str, *, fails: bool) -> Iterable[_Case]:
    """One case that says how many there was no room for."""
    if left_out:
        note = f"{left_out:,} more {what} are not shown one by one"
        yield _Case(f"{left_out:,} more {what}", note if fails else "", note)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{who} {rows}" for who, rows in counts.items()) or "nothing"


def _xml(text: str) -> str:
    """The text without any character that XML forbids."""
    return visible(text)
