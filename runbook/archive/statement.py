"""What an archive states of itself: an in-toto statement, which can be signed and time-stamped.

It names the run, what the database was and what it became, the plan, the script and the verdict,
and binds all that to the files by the SHA-256 of the manifest. The statement is a tag file of the
bag; a signature of it lies beside it, and a time stamp of the signature (or else of the statement).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook.archive import bag
from runbook.archive.members import Problem, What
from runbook.archive.signature import Signature, sign, verify
from runbook.archive.timestamp import Timestamp, check_timestamp, request_timestamp
from runbook.files import parse_json

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:runbook:migration:1"


@dataclass(frozen=True)
class Attested:
    """What a check found about the statement: problems, and both outcomes for people."""

    problems: tuple[Problem, ...] = ()
    signature: str = "none"
    timestamp: str = "none"


def attest(run: Mapping[str, Any], audit: Mapping[str, Any], manifest: Mapping[str, str]) -> bytes:
    """The statement about the run whose `run.json`, `audit.json` and manifest these are.

    What a damaged or missing record does not say is null.
    """
    digests, provenance = _table(audit.get("digests")), _table(audit.get("provenance"))
    named = ("data/audit.json", "data/backup/backup.db", "data/sql/migrate.sql")
    subjects = {bag.MANIFEST: hashlib.sha256(bag.manifest(manifest)).hexdigest()}
    subjects |= {name: manifest[name] for name in named if name in manifest}
    statement = {
        "_type": TYPE,
        "subject": [{"name": n, "digest": {"sha256": d}} for n, d in subjects.items()],
        "predicateType": PREDICATE,
        "predicate": {
            "run": run.get("run"),
            "created_at": run.get("created_at"),
            "operator": run.get("operator"),
            "ticket": run.get("ticket"),
            "database": {k: _table(run.get("identity")).get(k) for k in ("kind", "name", "place")},
            "before": {
                "backup": _table(provenance.get("backup")).get("sha256"),
                "tables": _digests(digests.get("before")),
            },
            "after": {"tables": _digests(digests.get("after"))},
            "plan": {"sha256": _plan_digest(run.get("plan"))},
            "script": {"sha256": _table(provenance.get("ledger")).get("checksum")},
            "verdict": audit.get("verdict") if audit.get("verdict") in ("pass", "fail") else None,
        },
    }
    text = json.dumps(statement, indent=1, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def endorse(statement: bytes, sign_with: Path | None, timestamp: str) -> dict[str, bytes]:
    """The statement with its signature and time stamp, as far as they are wanted, by file name.

    Raises BadInput if key or authority cannot be used.
    """
    files = {bag.STATEMENT: statement}
    if sign_with is not None:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, bag.STATEMENT)
            path.write_bytes(statement)
            files[bag.STATEMENT_SIGNATURE] = sign(path, sign_with)
    if timestamp:
        last, content = list(files.items())[-1]
        files[f"{last}.tsr"] = request_timestamp(content, timestamp)
    return files


def check_statement(
    tags: Mapping[str, bytes],
    *,
    allowed_signers: Path | None,
    identity: str | None,
    authorities: Path | None,
) -> Attested:
    """Checks the statement in a bag against the manifest, with its signature and time stamp.

    Raises BadInput as `verify` and `check_timestamp` do.
    """
    if bag.STATEMENT not in tags:
        missing = (Problem(bag.STATEMENT, "missing", "a time stamp was asked for"),)
        return Attested(missing if authorities else ())
    problems = [
        Problem(bag.STATEMENT, "altered", detail)
        for detail in _contradictions(tags[bag.STATEMENT], tags[bag.MANIFEST])
    ]
    signed = _signature(tags, allowed_signers, identity)
    if signed.state in ("bad", "refused"):
        what: What = "altered" if signed.state == "bad" else "refused"
        problems.append(Problem(bag.STATEMENT_SIGNATURE, what, signed.text))
    name, stamp = _timestamp(tags, authorities)
    if stamp is not None and stamp.state == "bad":
        problems.append(Problem(name, "altered", stamp.text))
    elif stamp is None and authorities is not None:
        stamp_file = f"{bag.STATEMENT}.tsr"
        problems.append(Problem(stamp_file, "missing", "a time stamp was asked for"))
    return Attested(tuple(problems), signed.text, stamp.text if stamp else "none")


def _signature(
    tags: Mapping[str, bytes], allowed_signers: Path | None, identity: str | None
) -> Signature:
    with tempfile.TemporaryDirectory() as scratch:
        path, signature = (Path(scratch, n) for n in (bag.STATEMENT, bag.STATEMENT_SIGNATURE))
        path.write_bytes(tags[bag.STATEMENT])
        if bag.STATEMENT_SIGNATURE in tags:
            signature.write_bytes(tags[bag.STATEMENT_SIGNATURE])
        return verify(path, signature, allowed_signers=allowed_signers, identity=identity)


def _timestamp(tags: Mapping[str, bytes], authorities: Path | None) -> tuple[str, Timestamp | None]:
    """The first time stamp, by the name of its file."""
    for name in (bag.STATEMENT_SIGNATURE, bag.STATEMENT):
        if (stamp := tags.get(f"{name}.tsr")) is not None:
            if name not in tags:
                return f"{name}.tsr", Timestamp("bad", f"bad: {name}, which it is of, is missing")
            return f"{name}.tsr", check_timestamp(tags[name], stamp, authorities)
    return "", None


def _contradictions(statement: bytes, manifest: bytes) -> Iterator[str]:
    """What the statement says otherwise than the files are."""
    try:
        data = parse_json(statement.decode("utf-8"))
        subjects = {str(s["name"]): str(s["digest"]["sha256"]) for s in data["subject"]}
    except (ValueError, KeyError, TypeError):
        yield "it is no in-toto statement"
        return
    actual = bag.parse_manifest(manifest).digests
    actual[bag.MANIFEST] = hashlib.sha256(manifest).hexdigest()
    if bag.MANIFEST not in subjects:
        yield f"it does not name {bag.MANIFEST}"
    for name, digest in subjects.items():
        if actual.get(name) != digest:
            yield f"it states another SHA-256 of {name}"


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _digests(tables: object) -> dict[str, str] | None:
    """SHA-256 of each table, whole."""
    rows = tables if isinstance(tables, list) else []
    named = {str(t["table"]): str(t["all_columns"]) for t in map(_table, rows) if "table" in t}
    return named or None


def _plan_digest(plan: object) -> str | None:
    """As approvals have it: of the plan as JSON with sorted keys and no spaces."""
    if plan is None:
        return None
    text = json.dumps(plan, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
