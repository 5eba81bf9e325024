"""Finds the strings of a program: literals, and literals that are joined where they stand."""

from __future__ import annotations

from runbook.scan import golang, javascript, php, ruby
from runbook.scan.lexing import Text, TextBuilder, Token

LEXERS = {
    "typescript": javascript.tokens,
    "javascript": javascript.tokens,
    "go": golang.tokens,
    "ruby": ruby.tokens,
    "php": php.tokens,
}
_JOINS = {"typescript": "+", "javascript": "+", "go": "+", "ruby": "+", "php": "."}
_ACCESS = frozenset({".", "?.", "->", "?->", "::", "&."})
_CLOSING = {"(": ")", "[": "]"}


def texts(tokens: list[Token], language: str, source: str) -> list[Text]:
    """The values of all strings, with `"a" + x + "b"` as one string with an interpolation."""
    found: list[Text] = []
    join = _JOINS[language]
    index = 0
    while index < len(tokens):
        token = tokens[index]
        index += 1
        if token.text is None:
            continue
        builder = TextBuilder()
        builder.append(token.text)
        while index < len(tokens):
            if language == "ruby" and (beside := tokens[index].text) is not None:
                builder.append(beside)  # "a" "b" is one string
                index += 1
                continue
            if not _is(tokens, index, join):
                break
            index += 1
            operand = tokens[index].text if index < len(tokens) else None
            if operand is not None:
                builder.append(operand)
                index += 1
                continue
            end = _operand_end(tokens, index)
            if end == index:
                builder.hole("{...}", token.line)
                break
            part = source[tokens[index].start : tokens[end - 1].end]
            builder.hole("{" + " ".join(part.split()) + "}", tokens[index].line)
            # Strings within the operand, such as a condition's branches, are read on their own.
            found.extend(inner.text for inner in tokens[index:end] if inner.text is not None)
            index = end
        found.append(builder.done())
    return found


def _is(tokens: list[Token], index: int, value: str) -> bool:
    return index < len(tokens) and tokens[index].kind == "punct" and tokens[index].value == value


def _operand_end(tokens: list[Token], index: int) -> int:
    """Behind the name, number, call or bracketed expression at `index`, or `index` itself."""
    if index >= len(tokens):
        return index
    if tokens[index].kind in ("name", "number"):
        index += 1
    elif tokens[index].value not in _CLOSING:
        return index
    while index < len(tokens) and tokens[index].kind == "punct":
        token = tokens[index]
        if token.value in _CLOSING:
            index = _group_end(tokens, index)
        elif (
            token.value in _ACCESS
            and index + 1 < len(tokens)
            and tokens[index + 1].kind == "name"
            # In PHP a dot joins strings, so what follows it is the next operand.
            and not (token.value == "." and tokens[index + 1].value.startswith("$"))
        ):
            index += 2
        else:
            break
    return index


def _group_end(tokens: list[Token], index: int) -> int:
    depth = 0
    while index < len(tokens):
        if tokens[index].kind == "punct":
            if tokens[index].value in "([{":
                depth += 1
            elif tokens[index].value in ")]}":
                depth -= 1
                if depth == 0:
                    return index + 1
        index += 1
    return index
