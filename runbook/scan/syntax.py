"""One small tree for all languages: names, calls, texts, pairs, comparisons and their places.

Every grammar is turned into these nodes, so that a rule about ORMs is written once. Positions are
bytes of the source in UTF-8.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from runbook.scan.literal import Text, TextBuilder
from runbook.scan.names import ABOUT_ORGANIZATIONS

Kind = Literal[
    "name", "member", "call", "text", "object", "list", "pair", "spread", "compare", "not", "null",
    "await", "assign", "function", "class", "type", "other",
]  # fmt: skip


_DEEPEST = 300
_ABOUT_ORGANIZATIONS = re.compile(ABOUT_ORGANIZATIONS.encode())


@dataclass(slots=True, eq=False)
class Node:
    """A piece of a program.

    `name` is the identifier, member, called name, key, operator or class. `parts` are: of a member
    its object; of a call the callee, then the arguments; of a pair and an assignment both sides;
    else whatever stands inside. `at` is where `name` itself stands.
    """

    kind: Kind
    start: int
    end: int
    name: str = ""
    parts: list[Node] = field(default_factory=list)
    at: tuple[int, int] = (0, 0)
    builder: TextBuilder | None = None
    parent: Node | None = None
    chain: Node | None = None  # what `chain_end` found

    @property
    def arguments(self) -> list[Node]:
        """What a call is given."""
        return self.parts[1:]

    @property
    def value(self) -> str | None:
        """The value of a text without interpolation; None for anything else."""
        if self.kind != "text" or self.builder is None or self.builder.holes:
            return None
        return "".join(self.builder.parts)

    def walk(self) -> Iterator[Node]:
        """This node and everything below it, in the order of the source, without recursion."""
        pending = [self]
        while pending:
            node = pending.pop()
            yield node
            pending.extend(reversed(node.parts))

    def ancestors(self) -> Iterator[Node]:
        """What stands around this node, from the inside out.

        Of a chain of calls only the link that holds the node is one, so that chains of any length
        are left in one step; what is nested deeper than any program is not looked out of.
        """
        node = self.parent
        for _ in range(_DEEPEST):
            if node is None:
                return
            yield node
            node = chain_end(node).parent


@dataclass(frozen=True)
class Program:
    """The tree of one file, its bytes, and its nodes in the order of the source."""

    root: Node
    data: bytes
    line_starts: list[int]
    nodes: list[Node]

    @functools.cached_property
    def organizations(self) -> list[int]:
        """Where the source speaks of organizations, in order."""
        return [match.start() for match in _ABOUT_ORGANIZATIONS.finditer(self.data)]

    def source(self, start: int, end: int) -> str:
        """The source text between two positions."""
        return self.data[start:end].decode(errors="replace")

    def line(self, position: int) -> int:
        """The line, from 1, on which a position stands."""
        return bisect_right(self.line_starts, position)

    def texts(self) -> Iterator[tuple[Node, Text]]:
        """Each string that the program uses as a value, with the node that holds it."""
        for node in self.nodes:
            if node.kind == "text" and node.builder is not None:
                yield node, node.builder.done()


def line_starts(data: bytes) -> list[int]:
    """The position at which each line starts."""
    starts, at = [0], data.find(b"\n")
    while at >= 0:
        starts.append(at + 1)
        at = data.find(b"\n", at + 1)
    return starts


def adopt(root: Node) -> list[Node]:
    """Tell every node which one it stands in; returns them all, in the order of the source."""
    nodes = list(root.walk())
    for node in nodes:
        for part in node.parts:
            part.parent = node
    return nodes


def chain_end(node: Node) -> Node:
    """The whole chain that a call or member is part of; any other node is its own."""
    path = []
    while node.chain is None:
        path.append(node)
        parent = node.parent
        if parent is None or node.kind not in ("call", "member", "await", "name"):
            break
        goes_on = parent.kind in ("call", "member") and parent.parts[0] is node
        waits = parent.kind == "await" and (
            parent.parent is not None
            and parent.parent.kind in ("call", "member")
            and parent.parent.parts[0] is parent
        )
        if not goes_on and not waits:
            break
        node = parent
    end = node.chain or node
    for link in path:
        link.chain = end
    return end


def bare(node: Node) -> Node:
    """The node without an `await` around it."""
    while node.kind == "await" and node.parts:
        node = node.parts[0]
    return node


def links(node: Node) -> list[Node]:
    """The members and calls of a chain such as `a.b(c).d`, from its first name to its end."""
    hits: list[Node] = []
    current: Node | None = node
    while current is not None:
        current = bare(current)
        hits.append(current)
        current = current.parts[0] if current.kind in ("member", "call") else None
    return hits[::-1]
