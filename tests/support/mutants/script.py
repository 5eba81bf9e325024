"""Mutants of the script: statements removed, run twice, or with another text."""

from __future__ import annotations

import random
import re

from tests.support.mutants.original import Mutant, Original

_TOKEN = re.compile(
    r"--[^\n]*|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\[[^\]]*\]|\d+|\w+|<>|\|\||\s+|[^\w\s]"
)
_CLAUSES = (
    " NOT NULL",
    " UNIQUE",
    " PRIMARY KEY",
    " ON DELETE CASCADE",
    " ON DELETE SET NULL",
    " DEFAULT 'personal'",
    " DEFAULT '{}'",
    " DEFAULT (datetime('now'))",
    " REFERENCES organizations(id)",
    " COLLATE BINARY",
    "ORDER BY o.rowid",
)
_SWAPS = {
    "=": ("<>", "<", "IS NOT", "IS", ">="),
    "<": (">=", "<=", "="),
    "IS": ("IS NOT",),
    "AND": ("OR",),
    "OR": ("AND",),
    "IN": ("NOT IN",),
    "THEN": ("THEN NULL ||", "THEN '' ||"),
    "ELSE": ("ELSE NULL ||", "ELSE '' ||"),
    "lower": ("upper", "", "quote"),
    "hex": ("quote", "lower", ""),
    "instr": ("length", "max", "min"),
    "substr": ("replace", "max", "ltrim"),
    "typeof": ("quote", ""),
    "count": ("total", "min"),
    "TEXT": ("BLOB", "INTEGER", "text", "ANY"),
    "INSERT": ("INSERT OR REPLACE", "INSERT OR IGNORE", "REPLACE"),
    "ADD": ("ADD COLUMN extra, ADD",),
    "CREATE": ("CREATE TEMP",),
    "SELECT": ("SELECT DISTINCT",),
    "INDEX": ("UNIQUE INDEX",),
    "EXISTS": ("NOT EXISTS",),
}


def spoil_script(original: Original, moments: int) -> Mutant | None:
    """One statement of the script removed, doubled, or with another text."""
    draw = original.draw
    step = draw.choice([*range(moments), *range(4, 7), 6])
    statements = original.script.steps[step].statements
    if not statements:
        return None
    number = draw.randrange(len(statements))
    text = statements[number]
    operation = draw.choice([_remove, _double, *[_token] * 8, _clause, _clause, *[_condition] * 3])
    changed = operation(draw, text)
    if changed is None or changed == (text,):
        return None
    name = operation.__name__.strip("_")
    title = {
        "remove": "a statement removed",
        "double": "a statement run twice",
        "token": "a word, literal or operator",
        "clause": "a clause left out",
        "condition": "a condition or limit added",
    }[name]
    return Mutant("SQL", title, step, changed, (step, number))


def _remove(draw: random.Random, text: str) -> tuple[str, ...]:
    return ()


def _double(draw: random.Random, text: str) -> tuple[str, ...]:
    return text, text


def _clause(draw: random.Random, text: str) -> tuple[str, ...] | None:
    present = [c for c in _CLAUSES if c in text]
    if not present:
        return None
    clause = draw.choice(present)
    at = draw.choice([m.start() for m in re.finditer(re.escape(clause), text)])
    return (text[:at] + text[at + len(clause) :],)


def _condition(draw: random.Random, text: str) -> tuple[str, ...] | None:
    """Rows left out of an INSERT ... SELECT or an UPDATE, or a value overwritten."""
    body = text.rstrip("; \n")
    if body.startswith("UPDATE"):
        more = draw.choice(
            [
                " AND random() IS NULL",
                f" AND (SELECT count(*) FROM organizations) > {draw.randrange(6)}",
                " AND organization_id IS NOT NULL",
                f" OR length(organization_id) > {draw.randrange(9)}",
            ]
        )
        return (f"{body}{more};",)
    if "SELECT" in body and body.startswith("INSERT"):
        limit = draw.choice([0, 1, 2, 3, 100])
        return (f"{body} LIMIT {limit};",)
    return None


def _token(draw: random.Random, text: str) -> tuple[str, ...] | None:
    tokens = _TOKEN.findall(text)
    places = [i for i, t in enumerate(tokens) if not t.isspace() and not t.startswith("--")]
    at = draw.choice(places)
    token = tokens[at]
    if token.startswith("'"):
        new = draw.choice(
            [
                "''",
                "'x'",
                "NULL",
                token[:-1] + " '",
                token.upper(),
                "'" + token[2:] if len(token) > 2 else "' '",
            ]
        )
    elif token.isdigit():
        new = str(draw.choice([int(token) + 1, max(int(token) - 1, 0), 0]))
    elif token in _SWAPS:
        new = draw.choice(_SWAPS[token])
    elif re.fullmatch(r"\w+|\".*\"|\[.*\]", token):
        same = [t for t in tokens if re.fullmatch(r"[a-z_]\w*|\".*\"", t) and t != token]
        new = draw.choice(same) if same else ""
    else:
        return None
    tokens[at] = new
    return ("".join(tokens),)
