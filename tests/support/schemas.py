"""The JSON Schemas in docs/schema, from the dataclasses that the outputs are made of.

    python -m tests.support.schemas      writes them anew

A field's type comes from its annotation; its description from the text below it, from an
`Attributes:` section, or else from docs/schema/fields.toml. A field without one is an error.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import json
import re
import sys
import tomllib
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import fastjsonschema

from runbook.plan.plan import Plan
from runbook.report.checklist import ChecklistLine
from runbook.report.outcome import Code, Proof, Verdict
from runbook.report.stage_status import StageStatus
from runbook.report.view_model import TableComparison
from runbook.run.approvals import Approval
from runbook.run.findings import Hazard, RenderedSample, StepResult, TableDigest
from runbook.run.folder import RunInfo
from runbook.run.identity import Identity, LedgerRow
from runbook.run.records import (
    Backup,
    MigrateRecord,
    PreflightRecord,
    RehearseRecord,
    ReportRecord,
    RollbackRecord,
    SnapshotRecord,
    VerifyRecord,
)
from runbook.run.rules import STAGES
from runbook.run.stage import StageRecord
from runbook.run.window_records import MonitorRecord
from runbook.script.footprint import FootprintLine
from runbook.sqlite.header import Header
from runbook.window.state import WindowState
from tests.support.paths import ROOT

FOLDER = ROOT / "docs" / "schema"
FIELDS = FOLDER / "fields.toml"

RESULTS: dict[str, type] = {
    "preflight": PreflightRecord,
    "rehearse": RehearseRecord,
    "snapshot": SnapshotRecord,
    "migrate": MigrateRecord,
    "verify": VerifyRecord,
    "report": ReportRecord,
    "monitor": MonitorRecord,
    "rollback": RollbackRecord,
}


# -- what the views are made of: they are built as dictionaries, so their shape stands here --------


@dataclasses.dataclass(frozen=True)
class OutcomeJson:
    code: Code
    headline: str
    state: str
    wrong: str
    next_step: str
    command: str
    verdict: Verdict
    word: str


@dataclasses.dataclass(frozen=True)
class RunJson:
    run: str
    created_at: str
    operator: str
    ticket: str
    seconds: float
    locked_seconds: float | None
    values_shown: bool


@dataclasses.dataclass(frozen=True)
class InvariantJson:
    name: str
    holds: bool
    violations: Mapping[str, int]
    gate: int | None
    title: str
    why: str


@dataclasses.dataclass(frozen=True)
class FootprintJson(FootprintLine):
    rows: int | None = None


@dataclasses.dataclass(frozen=True)
class FindingJson:
    witness: Literal["gate", "sqlite", "duckdb", "pandas"]
    table: str
    column: str
    change: str
    rows: int
    message: str
    drift: bool
    samples: tuple[RenderedSample, ...]
    samples_left_out: int


@dataclasses.dataclass(frozen=True)
class HazardJson(Hazard):
    samples: tuple[str, ...]  # type: ignore[assignment]
    samples_left_out: int = 0
    done: str = ""


@dataclasses.dataclass(frozen=True)
class LeftOutJson:
    findings: int
    hazards: int


@dataclasses.dataclass(frozen=True)
class DigestsJson:
    before: tuple[TableDigest, ...]
    after: tuple[TableDigest, ...]


@dataclasses.dataclass(frozen=True)
class HeaderJson(Header):
    sha256: str


@dataclasses.dataclass(frozen=True)
class HeadersJson:
    before: HeaderJson | None
    after: HeaderJson | None


@dataclasses.dataclass(frozen=True)
class ApprovalJson(Approval):
    void: str = ""
    same_account: bool = False


@dataclasses.dataclass(frozen=True)
class ApprovalsJson:
    required: int
    counted: int
    approvals: tuple[ApprovalJson, ...]


@dataclasses.dataclass(frozen=True)
class RollbackJson(RollbackRecord):
    findings: tuple[FindingJson, ...]  # type: ignore[assignment]


@dataclasses.dataclass(frozen=True)
class ScriptJson:
    file: str
    sha256: str
    bytes: int


@dataclasses.dataclass(frozen=True)
class ProvenanceJson:
    backup: Backup | None
    ledger: LedgerRow | None
    sql_files: Mapping[str, str]
    scripts: tuple[ScriptJson, ...]
    plan: Plan | None
    damage: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class StageJson(StageStatus):
    """How far one stage came, and by which way and by whom it was executed."""

    executed: str = ""


@dataclasses.dataclass(frozen=True)
class AuditJson:
    """The report for machines."""

    schema: Literal["runbook/audit/1"]
    verdict: Verdict
    outcome: OutcomeJson
    proofs: tuple[Proof, ...]
    run: RunJson
    identity: Identity
    invariants: tuple[InvariantJson, ...]
    footprint: tuple[FootprintJson, ...]
    findings: tuple[FindingJson, ...]
    hazards: tuple[HazardJson, ...]
    left_out: LeftOutJson
    checklist: tuple[ChecklistLine, ...]
    steps: tuple[StepResult, ...]
    rehearsed_steps: tuple[StepResult, ...]
    timeline: tuple[StageJson, ...]
    tables: tuple[TableComparison, ...]
    digests: DigestsJson
    header: HeadersJson
    views_left_out: tuple[str, ...]
    organization_sizes: Mapping[str, int]
    approvals: ApprovalsJson
    rollback: RollbackJson | None
    provenance: ProvenanceJson
    versions: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class StatusJson:
    """How a run stands: what `runbook status --json` prints."""

    schema: Literal["runbook/status/1"]
    run: str
    folder: str
    created_at: str
    operator: str
    ticket: str
    outcome: OutcomeJson
    checklist: tuple[ChecklistLine, ...]
    approvals: ApprovalsJson
    stages: tuple[StageStatus, ...]
    allowed: tuple[str, ...]
    now: WindowState | None
    now_problem: str


# -- schemas ---------------------------------------------------------------------------------------


class Undocumented(Exception):
    """Fields without a description, each as `module.Class.field`."""


class _Definitions:
    """The definitions of one schema, each dataclass once."""

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {}
        self.undocumented: list[str] = []

    def reference(self, cls: type) -> dict[str, Any]:
        name = qualified(cls)
        if name not in self.schemas:
            self.schemas[name] = {}  # a class may hold itself
            self.schemas[name] = self.table(cls)
        return {"$ref": f"#/definitions/{name}"}

    def table(self, cls: type) -> dict[str, Any]:
        hints = typing.get_type_hints(cls)
        properties: dict[str, Any] = {}
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            text = description(cls, field.name)
            if not text:
                self.undocumented.append(f"{qualified(cls)}.{field.name}")
            schema = self.of(hints[field.name])
            # Beside a reference, draft 07 reads nothing.
            inner = {"allOf": [schema]} if "$ref" in schema else schema
            properties[field.name] = {"description": text} | inner
        summary = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
        return {
            **({} if summary.startswith(cls.__name__ + "(") else {"description": summary}),
            "type": "object",
            "properties": properties,
            "required": sorted(properties),
            "additionalProperties": False,
        }

    def of(self, kind: Any) -> dict[str, Any]:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if dataclasses.is_dataclass(kind):
            return self.reference(typing.cast(type, kind))
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in (types.UnionType, typing.Union):
            return {"anyOf": [self.of(each) for each in arguments]}
        if origin is tuple:
            assert arguments[1:] == (...,), kind
            return {"type": "array", "items": self.of(arguments[0])}
        if origin in (dict, Mapping) or (origin and issubclass(origin, Mapping)):
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        return dict(_SCALARS[kind])


_SCALARS: dict[Any, dict[str, str]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
}


def qualified(cls: type) -> str:
    """`records.Backup` for a dataclass of ours, by which fields.toml names it."""
    return f"{cls.__module__.rsplit('.', 1)[-1]}.{cls.__name__}"


@functools.cache
def _attribute_texts(cls: type) -> dict[str, str]:
    """The texts below the class's attributes, and those in its section `Attributes:`."""
    texts: dict[str, str] = {}
    body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    for field, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            texts[field.target.id] = inspect.cleandoc(str(after.value.value)).replace("\n", " ")
    section = (inspect.getdoc(cls) or "").partition("Attributes:")[2]
    for name, text in re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", section, re.MULTILINE):
        texts[name] = re.sub(r"\s+", " ", text)
    return texts


@functools.cache
def written_fields() -> dict[str, dict[str, str]]:
    """What fields.toml says, by class; `any` holds what a name means in every class."""
    return tomllib.loads(FIELDS.read_text(encoding="utf-8"))


def description(cls: type, field: str) -> str:
    """What the field means; empty where nobody says it."""
    for owner in cls.__mro__[:-1]:
        if field in (texts := _attribute_texts(owner)):
            return texts[field]
        if field in (texts := written_fields().get(qualified(owner), {})):
            return texts[field]
    return written_fields()["any"].get(field, "")


def _document(name: str, root: Callable[[_Definitions], dict[str, Any]]) -> dict[str, Any]:
    definitions = _Definitions()
    body = root(definitions)
    if definitions.undocumented:
        raise Undocumented(", ".join(definitions.undocumented))
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": f"urn:runbook:schema:{name}",
        **body,
        "definitions": dict(sorted(definitions.schemas.items())),
    }


def _sealed(table: dict[str, Any]) -> dict[str, Any]:
    """With the checksum that such a file ends with."""
    seal = {
        "description": "SHA-256 of the file's text with 64 zeros in the place of this value.",
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
    }
    table["properties"]["sha256"] = seal
    table["required"].append("sha256")
    return table


def _stage(definitions: _Definitions) -> dict[str, Any]:
    table = _sealed(definitions.table(StageRecord))
    table["allOf"] = [
        {
            "if": {"properties": {"stage": {"const": stage}}},
            "then": {
                "properties": {"result": {"anyOf": [{"type": "null"}, definitions.reference(cls)]}}
            },
        }
        for stage, cls in RESULTS.items()
    ]
    table["properties"]["stage"]["enum"] = list(STAGES)
    return table


def schemas() -> dict[str, dict[str, Any]]:
    """Every schema by the name of its file.

    Raises:
        Undocumented: a field has no description.
    """
    return {
        f"{name}-1": _document(f"{name}:1", root)
        for name, root in {
            "audit": lambda definitions: definitions.table(AuditJson),
            "run": lambda definitions: _sealed(definitions.table(RunInfo)),
            "stage": _stage,
            "status": lambda definitions: definitions.table(StatusJson),
        }.items()
    }


def rendered(schema: Mapping[str, Any]) -> str:
    """The text of a schema's file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.json"


@functools.cache
def validator(name: str) -> Callable[[Any], Any]:
    """Raises where what it is given is not as the published schema says."""
    return fastjsonschema.compile(json.loads(path_of(name).read_text(encoding="utf-8")))


def problems_of(name: str, data: Any) -> Iterator[str]:
    """What is wrong with an output, in one line; nothing where it follows its schema."""
    try:
        validator(name)(data)
    except fastjsonschema.JsonSchemaException as error:
        yield f"{name}: {error.message}"


def unused_fields() -> set[str]:
    """What fields.toml describes and no schema has."""
    used: set[str] = set()
    for schema in schemas().values():
        for name, table in schema["definitions"].items():
            used |= {f"{name}.{field}" for field in table["properties"]}
    roots = {"AuditJson": AuditJson, "StatusJson": StatusJson}
    for cls in (RunInfo, StageRecord, *roots.values()):
        used |= {
            f"{qualified(c)}.{f.name}" for c in cls.__mro__[:-1] for f in dataclasses.fields(cls)
        }  # type: ignore[arg-type]
    inherited = {name.rpartition(".")[2] for name in used}
    named = {
        f"{section}.{field}"
        for section, fields in written_fields().items()
        for field in fields
        if section != "any"
    }
    return (named - used) | {f for f in written_fields()["any"] if f not in inherited}


def write_schemas() -> None:
    """Writes every schema to its file."""
    try:
        for name, schema in schemas().items():
            path_of(name).write_text(rendered(schema), encoding="utf-8")
    except Undocumented as error:
        sys.exit(f"Describe these fields in {FIELDS}: {error}")


if __name__ == "__main__":
    from tests.support import schemas as module  # its classes are named after it

    module.write_schemas()
