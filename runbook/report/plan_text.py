"""The plan as the TOML that it could have been read from; what stands as by default is left out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from runbook.plan.plan import Plan


def plan_text(plan: Plan) -> str:
    """The plan as TOML.

    Users and resources are always there, everything else where it differs from the default.
    """
    lines: list[str] = []
    for field in dataclasses.fields(plan):
        value = getattr(plan, field.name)
        if field.name == "resources":
            for resource in value:
                lines += ["", "[[resources]]", *_settings(resource, None)]
        elif field.name in ("migration", "users"):
            lines += ["", f"[{field.name}]", *_settings(value, None)]
        else:
            lines += _section(field.name, value, getattr(Plan(), field.name))
    return "\n".join(lines).strip() + "\n"


def _section(name: str, value: Any, default: Any) -> list[str]:
    """A table with the tables inside it; nothing where all of it is as by default."""
    if value is None or value == default:
        return []
    if isinstance(value, Mapping):
        return ["", f"[{name}]", *(f"{_key(k)} = {_value(v)}" for k, v in value.items())]
    fields = dataclasses.fields(value)
    inner = [f for f in fields if dataclasses.is_dataclass(getattr(value, f.name))]
    own = list(_settings(value, default))
    lines = ["", f"[{name}]", *own] if own or not inner else []
    for field in inner:
        before = getattr(default, field.name, None)
        lines += _section(f"{name}.{field.name}", getattr(value, field.name), before)
    return lines


def _settings(value: Any, default: Any) -> Iterator[str]:
    for field in dataclasses.fields(value):
        own = getattr(value, field.name)
        usual = None if default is None else getattr(default, field.name)
        if own is None or own == usual or dataclasses.is_dataclass(own):
            continue
        yield f"{_key(field.metadata.get('key', field.name))} = {_value(own)}"


def _key(name: str) -> str:
    plain = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if plain else _value(name)


def _value(value: Any) -> str:
    """A value as TOML writes it; JSON's strings, numbers and arrays are TOML's too."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
