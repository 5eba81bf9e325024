"""Calls of ORMs and query builders that go by the owner: one finding for each chain of calls."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from runbook.scan.context import Context, creates
from runbook.scan.edits import applied, edit_of
from runbook.scan.files import Source
from runbook.scan.names import Words, word_set
from runbook.scan.owners import Owner, call_of, calls_around, owners
from runbook.scan.result import Edit, Finding, Kind
from runbook.scan.statements import has_alias
from runbook.scan.syntax import Node, Program, bare, chain_end, links
from runbook.scan.users import reached
from runbook.scan.vocabulary import DELETES, INSERTS, RAWS, UPDATES, WHERES

_MAX_SHOWN = 300
_MAX_AROUND = 20
_MAX_READ = 20_000
_REACHED = "these rows are reached through their user: go through the organization instead"
_PLACE = "compare organization_id here, or give it to the new row, instead of the owner alone"
_PARTS = "the query is put together from pieces: this is where it goes by the owner"
_VALIDATED = frozenset({"model_validate", "model_construct", "from_orm", "parse_obj", "from_dict"})
_GATHERS = word_set("Eq Q And Or append push and or dict merge array_merge assign except compact")
_MERGES = word_set("merge array_merge assign dict reverse_merge")
_SAVES = INSERTS | word_set("""
    add add_all persist store save flush Store Add push save! insertOne persistAndFlush update
""")
_MESSAGES = re.compile(
    r"(?:[Ee]rror|[Ee]xception|[Pp]rintln|[Ww]arn|[Ii]nfo|[Dd]ebug|[Ff]atal|^log|^raise|^abort|[Pp]anic"
    r"|^[Pp]rintf?$|^puts$|^Wrap)f?$"
)
_STORE = re.compile(r"(?:[Rr]epo|[Rr]epository|[Dd]ao|DAO|[Ss]tore|[Mm]odel)$")
_SAVING = re.compile(r"(?:[Cc]reate|[Ii]nsert|[Aa]dd|[Ss]ave|store)(?:[A-Z_]\w*)?$")
_MAKERS = word_set("""
    new build make dispense create init find_or_initialize_by xdispense
""")


@dataclass(frozen=True)
class Place:
    """A judged place: the finding is None where it turned out to be right already."""

    start: int
    end: int
    finding: Finding | None


@dataclass(frozen=True)
class Reader:
    """Reads the calls of one file for one resource."""

    program: Program
    source: Source
    words: Words
    relations: frozenset[str]
    knows_organization: bool

    def places(self) -> Iterator[Place]:
        """All judged places of the file."""
        context = Context(self.words, self.source.language)
        chains: dict[tuple[int, int], Place] = {}
        groups: dict[tuple[int, int], tuple[Node, Kind, str, list[tuple[Edit, ...]]]] = {}
        for owner in owners(self.program.nodes, self.words, self.source.language):
            judged = self._judge(owner, context)
            if judged is None:
                continue
            chain, kind, note = judged
            edits = edit_of(owner, kind, self.words, self.program, self.source.language)
            group = groups.setdefault((chain.start, chain.end), (chain, kind, note, []))
            group[3].append(edits)
        for chain, kind, note, all_edits in groups.values():
            # Where one comparison has no edit, the others' would leave half a query.
            edits = tuple(e for edits in all_edits for e in edits) if all(all_edits) else ()
            chains[chain.start, chain.end] = self._finding(chain, kind, edits, note)
        for chain in reached(self.program.nodes, self.words, self.source.language, self.relations):
            if not any(start <= chain.start and chain.end <= end for start, end in chains):
                kind = _kind(chain, context)
                chains[chain.start, chain.end] = self._finding(chain, kind, (), _REACHED)
        yield from chains.values()

    def _judge(self, owner: Owner, context: Context) -> tuple[Node, Kind, str] | None:
        """The chain that an owner's place belongs to, what it does, and a note; None if unknown."""
        if owner.form == "assignment":
            if self._assigned(owner, context):
                return owner.node, "insert", ""
            return self._kept(owner, context)
        if owner.form == "condition" and _is_message(owner):
            return None
        chain = context.chain_around(owner.node)
        if chain is None and owner.named and owner.form in ("compare", "finder"):
            call = call_of(owner.node)
            chain = chain_end(call) if call is not None else owner.node
        if chain is None and owner.named:
            call = call_of(owner.node)
            if call is not None and (
                call.name.removeprefix("new ") in WHERES | RAWS or owner.form != "pair"
            ):
                chain = chain_end(call)
        if chain is None:
            return self._in_pieces(owner, context)
        if owner.prefix and not owner.named and not self._is_alias(owner.prefix, chain):
            return None
        kind = self._kind(owner, chain, context)
        if kind == "select" and chain.name.startswith("new ") and self.source.language == "go":
            chain = chain_end(next(calls_around(chain), chain))  # a struct as a condition
            kind = _kind(chain, context)
        return None if kind is None else (chain, kind, "")

    def _is_alias(self, prefix: str, chain: Node) -> bool:
        """Whether the chain calls the resource's table by this name."""
        table = re.escape(self.words.resource.table)
        alias = re.escape(prefix)
        return re.search(
            rf"{table}[\"`\]]?(?:\s+as)?\s+[\"`\[]?{alias}\b|\w*(?:[bB]uilder|alias|Alias)\w*\((?:.*,)?\s*[\"']{alias}[\"']"
            rf"|\b{alias}\s*:\s*[\"']{table}[\"']",
            self._text(chain), re.IGNORECASE,
        ) is not None  # fmt: skip

    def _kind(self, owner: Owner, chain: Node, context: Context) -> Kind | None:
        """What the chain does with the owner; None if it goes by something else."""
        if owner.form == "setter":
            return "insert" if re.search(r"\.Create\w*\(", self._text(chain)) else None
        if owner.form != "pair":
            return _kind(chain, context)
        inside = [a for a in owner.node.ancestors() if a.kind == "pair" and a.start >= chain.start]
        names = {pair.name for pair in inside}
        # A chain that holds a pair has a call that is given it.
        call = next(c for c in calls_around(owner.node) if c.name not in _MERGES)
        if self._may_hold_more(owner):
            return None
        if call.name.removeprefix("new ") in ("Eq", "Q", "And", "Or"):
            return _kind(chain, context)
        if call.name == "values" and context.called(chain) & UPDATES:
            return None
        if call.name in _VALIDATED:
            return "insert"
        if names & {"where", "filter", "filters", "conditions"}:
            return _kind(chain, context)
        if names & {"connect"} and owner.node.name != "connect":
            return "select"
        if creates(call.name) or (_SAVING.match(call.name) and self._is_store(call)):
            if call.name.startswith("new ") and self.source.language == "go":
                return self._go_literal(call, context)
            if call.name in ("upsert", "updateOrCreate", "update_or_create") and not names:
                return "insert"
            return "insert"
        if context.words.is_model(call.name) and call.name[:1].isupper():
            return "insert"
        if call.name == "save":
            return "insert"
        if call.name in UPDATES and not names & {"where"}:
            # The second object of `update(table, values, conditions)` is a condition.
            objects = [a for a in call.arguments if a.kind == "object"]
            ours = next((a for a in owner.node.ancestors() if a in objects), None)
            by_table = bool(call.arguments) and call.arguments[0].kind == "text"
            by_arguments = ours is not None and (
                call.arguments.index(ours) >= 2 if by_table
                else ours is call.arguments[0] and len(call.arguments) == 2
                and (_is_change(call.arguments[1]) if len(objects) == 1 else
                     not any(part.name == "where" for part in objects[1].parts))
            )  # fmt: skip
            return "update" if by_arguments else None
        if call.name in WHERES | RAWS | DELETES or call.name in ("query", "raw", "selectAll"):
            return _kind(chain, context)
        return None

    def _go_literal(self, literal: Node, context: Context) -> Kind | None:
        """A struct of Go is a row if it is stored, a condition if it is asked for."""
        around = next(calls_around(literal), None)
        if around is not None and around.name in WHERES - INSERTS:
            ours = context.words.is_model(literal.name.removeprefix("new "))
            return "select" if ours or context.is_named(chain_end(around)) else None
        if around is not None and around.name in _SAVES:
            return "insert"
        assigned = next((a for a in literal.ancestors() if a.kind == "assign"), None)
        if assigned is not None and self._is_saved(assigned.parts[0], literal):
            return "insert"
        return None

    def _is_store(self, call: Node) -> bool:
        """Whether a call is one of the model, or a repository: `projectRepo.insertProject(...)`."""
        callee = call.parts[0]
        name = bare(callee.parts[0]).name if callee.parts else ""
        is_class = name[:1].isupper() and self.words.is_model(name)
        return is_class or _STORE.search(name) is not None

    def _is_saved(self, target: Node, node: Node) -> bool:
        """Whether a variable is given to a call that stores rows, or stores itself."""
        if target.kind == "other" and target.parts:
            target = target.parts[0]
        scope = next((a for a in node.ancestors() if a.kind == "function"), self.program.root)
        for call in scope.walk():
            if call.kind != "call" and not (
                call.kind == "member" and call.name in ("save", "save!")
            ):
                continue
            if call.name not in _SAVES and not _SAVING.match(call.name):
                continue
            if any(bare(passed).name == target.name and bare(passed).kind == "name"
                   for passed in call.arguments if call.kind == "call"):  # fmt: skip
                return True
            first = links(call)[0]
            if call.name.startswith(("save", "Save")) and first.name == target.name:
                return True
        return False

    def _may_hold_more(self, owner: Owner) -> bool:
        """Whether something spread out beside the owner may bring the organization along."""
        around = owner.node.parent
        return self.knows_organization and around is not None and any(
            part.kind == "spread" for part in around.parts
        )  # fmt: skip

    def _assigned(self, owner: Owner, context: Context) -> bool:
        """Whether an owner is assigned to a new row of the resource."""
        target = owner.node.parts[0]
        object_ = bare(target.parts[0])
        words = self.words
        if object_.kind == "member" and object_.name in ("instance", "object"):
            return context.is_home(owner.node)
        if object_.kind != "name":
            return False
        if object_.name in ("self", "this"):
            return False
        values = [v for v in context.values(object_) if v.start < owner.node.start]
        built = [value for value in values if _makes(value)]
        if any(self._makes_ours(value, context) for value in built):
            return True
        named = words.is_model(object_.name) or words.is_model(
            re.sub(r"^(?:new|db|my|the)_?(?=[A-Z_a-z])", "", object_.name)
        )
        if not named or target.kind == "call":
            return False
        if any(value.kind == "call" and value.name == "save" for value in values):
            return True  # form.save(commit=False)
        if built:
            return True
        fetched = [v for v in values if v.kind in ("call", "member")]
        return not fetched and self._is_saved(object_, owner.node)

    def _makes_ours(self, value: Node, context: Context) -> bool:
        if value.kind == "call" and self.words.is_model(value.name.removeprefix("new ")):
            return value.name.removeprefix("new ")[:1].isupper()
        return context.is_named(value)

    def _in_pieces(self, owner: Owner, context: Context) -> tuple[Node, Kind, str] | None:
        """A condition that waits in a variable, or in a list, for the query that takes it."""
        node = owner.node
        scope = next((a for a in node.ancestors() if a.kind == "function"), None)
        if owner.form == "condition" and (hits := self._fragment(owner, scope)):
            return hits
        if owner.form == "pair" and any(
            call.name.removeprefix("new ") not in _GATHERS for call in calls_around(node)
            if scope is None or call.start >= scope.start
        ):  # fmt: skip
            return None
        assigned = next((a for a in node.ancestors() if a.kind in ("assign", "function")), None)
        if assigned is None or assigned.kind != "assign":
            return None
        target = assigned.parts[0]
        name = target.parts[0].name if target.kind == "other" and target.parts else target.name
        if not name or self._may_hold_more(owner):
            return None
        for chain in context.uses(name, scope or self.program.root):
            if chain.start <= node.start < chain.end or not context.is_named(chain):
                continue
            if chain.end <= assigned.start:
                continue
            shorthand = any(p.kind == "pair" and p.name == "data" and p.parts[1].name == name
                            for p in chain.walk())  # fmt: skip
            called = context.called(chain)
            inserts = shorthand or called & INSERTS - WHERES
            if shorthand and not called & INSERTS:
                continue
            sets = called & UPDATES and not called & WHERES - UPDATES and owner.form == "pair"
            if sets and "where" not in self._text(chain):
                continue
            return node, "insert" if inserts else _kind(chain, context), _PARTS
        return None

    def _kept(self, owner: Owner, context: Context) -> tuple[Node, Kind, str] | None:
        """`where.userId = id`, `$data['user_id'] = $id`: a part of what a query is given later."""
        target = owner.node.parts[0]
        kept = bare(target.parts[0])
        scope = next((a for a in owner.node.ancestors() if a.kind == "function"), None)
        if kept.kind != "name" or kept.name in ("self", "this") or scope is None:
            return None
        at = bisect_left(self.program.organizations, scope.start)
        if any(position < scope.end for position in self.program.organizations[at : at + 1]):
            return None
        for chain in context.uses(kept.name, scope):
            if chain.start < owner.node.end or not context.is_named(chain):
                continue
            called = context.called(chain)
            if called & INSERTS - WHERES:
                return owner.node, "insert", _PARTS
            if any(pair.kind == "pair" and pair.name == "where" and pair.parts[-1].name == kept.name
                   for pair in chain.walk()):  # fmt: skip
                return owner.node, _kind(chain, context), _PARTS
        return None

    def _fragment(self, owner: Owner, scope: Node | None) -> tuple[Node, Kind, str] | None:
        """SQL's `owner_id = ?` where the same function names the table in another string."""
        if owner.named or has_alias(self.program.data, self.words.resource.table, owner.prefix):
            return owner.node, "select", _PARTS
        if owner.prefix:
            return None  # another table's column
        call = next(calls_around(owner.node), None)
        if scope is None or (call is not None and call.name in WHERES | RAWS):
            return None  # a chain that means something else
        table = re.escape(self.words.resource.table)
        naming = re.compile(
            rf"\b(FROM|UPDATE|JOIN|DELETE\s+FROM)\s+[\"`\[]?{table}\b", re.IGNORECASE
        )
        for node in scope.walk():
            if node.kind == "text" and node is not owner.node and node.builder is not None:
                match = naming.search("".join(node.builder.parts))
                if match:
                    verb = match[1].upper()
                    kind: Kind = "update" if verb == "UPDATE" else (
                        "delete" if verb.startswith("DELETE") else "select")  # fmt: skip
                    return owner.node, kind, _PARTS
        return None

    def _text(self, node: Node) -> str:
        return self.program.source(node.start, min(node.end, node.start + 20 * _MAX_READ))

    def _finding(self, chain: Node, kind: Kind, edits: tuple[Edit, ...], note: str) -> Place:
        whole = self._whole(chain)
        at = bisect_left(self.program.organizations, whole.start)
        end = min(whole.end, whole.start + _MAX_READ)
        if any(position < end for position in self.program.organizations[at : at + 1]):
            return Place(whole.start, whole.end, None)
        text = self.program.source(chain.start, min(chain.end, chain.start + _MAX_READ))
        new = ""
        if edits and chain.end - chain.start <= _MAX_READ:
            new = shown(applied(self.program.data, edits, chain.start, chain.end))
        if edits and len(new) in (0, _MAX_SHOWN):  # too long to show: only what is put in
            new = shown("; ".join(edit.new.strip(", ") for edit in edits))
        line = self.program.line(chain.start)
        finding = Finding(
            file=self.source.file, line=line, language=self.source.language, kind=kind,
            sure="likely", table=self.words.resource.table, query=shown(text), replacement=new,
            note=note or ("" if edits else _PLACE), edits=edits,
        )  # fmt: skip
        return Place(whole.start, whole.end, finding)

    def _whole(self, chain: Node) -> Node:
        """The statement around a chain, as far as it is one expression."""
        node = chain
        for around in itertools.islice(chain.ancestors(), _MAX_AROUND):
            if around.kind not in ("call", "member", "await", "pair", "object", "list", "compare"):
                break
            node = around
        return node


def _is_message(owner: Owner) -> bool:
    """Whether a text is written to a log or an error, and is no SQL."""
    call = next(calls_around(owner.node), None)
    return call is not None and _MESSAGES.search(call.name) is not None


def _is_change(second: Node) -> bool:
    """Whether the second of `update(match, change)` is what to change, and no options."""
    return second.kind == "name" and re.search(r"opt|where|query|cond|filter", second.name,
                                               re.IGNORECASE) is None  # fmt: skip


def _makes(value: Node) -> bool:
    name = value.name
    return value.kind in ("call", "member") and (
        name.startswith("new ") or name[:1].isupper() or name in _MAKERS
    )


def _kind(chain: Node, context: Context) -> Kind:
    called = context.called(chain)
    if called & DELETES:
        return "delete"
    if called & UPDATES:
        return "update"
    last = chain.name
    return "insert" if last in ("create", "build", "new", "create!", "insert", "make") else "select"


def shown(source: str) -> str:
    """Source text on one line, cut where it gets long."""
    line = " ".join(source.split())
    return line if len(line) <= _MAX_SHOWN else line[: _MAX_SHOWN - 1] + "…"
