"""Tokens of Ruby: quotes, %q and %Q, heredocs, symbols and labels."""

from __future__ import annotations

import re

from runbook.scan.lexing import C_ESCAPE, Lines, TextBuilder, Token, decode_c_escape, plain_text

_CODE = re.compile(
    r"""
    (?P<newline>\n)
  | (?P<space>[^\S\n]+|\\\n)
  | (?P<comment>\#[^\n]*)
  | (?P<heredoc><<[~-]?(?P<mark>["'`]?)(?P<label>[A-Z_a-z]\w*)(?P=mark))
  | (?P<name>[@$]{0,2}[A-Za-z_\u0080-\uffff]\w*(?:[?!](?!=))?)
  | (?P<number>\d[\w.]*)
  | (?P<single>'(?:[^'\\]|\\.)*+')
  | (?P<double>["`])
  | (?P<percent>%[qQwWiIr]?(?=[(\[{<|!/]))
  | (?P<slash>/)
  | (?P<punct>::|&\.|=>|<<|\*\*|\+=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_COMMENT = re.compile(r"=begin\b.*?(?:^=end\b[^\n]*|\Z)", re.DOTALL | re.MULTILINE)
_REGEX = re.compile(r"/(?:[^/\\\n]|\\[^\n])++/[a-z]*")
_SPECIAL = re.compile(r"[\\#]")
_IN_HOLE = re.compile(r"[^'\"{}]++|'(?:[^'\\\n]|\\.)*+'|.", re.DOTALL)
_IN_HOLE_STRING = re.compile(r"[^\"#\\]++|#\{|\\.|.", re.DOTALL)
_MAX_UNCLOSED = 20
_PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}
_SINGLE_ESCAPE = re.compile(r"\\['\\]")


def tokens(source: str) -> list[Token]:
    """All tokens; never raises, whatever the text."""
    return _Lexer(source).run()


class _Lexer:
    def __init__(self, source: str) -> None:
        self.source = source
        self.lines = Lines(source)
        self.found: list[Token] = []
        self.resume = 0  # behind the bodies of the heredocs opened on the present line
        # What never closes is not looked for again, or a hostile file would take for ever.
        self.unclosed = 0
        self.missing_labels: set[str] = set()

    def run(self) -> list[Token]:
        position = 0
        while position < len(self.source):
            position = self._step(position)
        return self.found

    def _step(self, start: int) -> int:
        source = self.source
        at_line_start = start == 0 or source[start - 1] == "\n"
        if at_line_start and (block := _BLOCK_COMMENT.match(source, start)):
            return block.end()
        if at_line_start and re.compile(r"__END__(?:\n|\Z)").match(source, start):
            return len(source)
        match = _CODE.match(source, start)
        if match is None:
            return len(source)
        kind, value, stop = match.lastgroup, match.group(), match.end()
        if match.group("heredoc"):
            kind = "heredoc"
        if kind == "newline":
            return max(stop, self.resume)
        if kind in ("space", "comment"):
            return stop
        if kind == "single":
            line = self.lines.at(start)
            text = plain_text(value[1:-1], line, _SINGLE_ESCAPE, lambda escape: escape[1])
            self.found.append(Token("text", text.value, line, start, stop, text))
            return stop
        if kind == "double":
            return self._quoted(start, start + 1, None, value, interpolated=True)
        if kind == "percent" and (value != "%" or self._value_may_start(start, stop)):
            opening = source[stop]
            return self._quoted(
                start,
                stop + 1,
                opening if opening in _PAIRS else None,
                _PAIRS.get(opening, opening),
                interpolated=value not in ("%q", "%w", "%i"),
                is_text=value in ("%", "%q", "%Q"),
            )
        if kind == "heredoc" and (end := self._heredoc(match)):
            return end
        if kind == "slash" and self._value_may_start(start, stop):
            regex = _REGEX.match(source, start)
            if regex:
                return self._simple("number", start, regex.end())
        if kind == "heredoc":
            return self._simple("punct", start, start + 2)
        if kind in ("name", "number"):
            # A question mark may belong to `condition ? a : b`, but then a space is before it.
            return self._simple("name" if kind == "name" else "number", start, stop)
        return self._simple("punct", start, stop)

    def _simple(self, kind: str, start: int, stop: int) -> int:
        value = self.source[start:stop]
        line = self.lines.at(start)
        if kind == "name":
            self.found.append(Token("name", value, line, start, stop))
        elif kind == "number":
            self.found.append(Token("number", value, line, start, stop))
        else:
            self.found.append(Token("punct", value, line, start, stop))
        return stop

    def _value_may_start(self, start: int, stop: int) -> bool:
        """Whether a slash or percent sign opens a literal here, and is not an operator."""
        if not self.found:
            return True
        last = self.found[-1]
        if last.kind == "name":
            spaced = start > 0 and self.source[start - 1].isspace()
            return spaced and not self.source[stop : stop + 1].isspace()
        return last.kind == "punct" and last.value not in (")", "]", "}")

    def _quoted(
        self,
        start: int,
        position: int,
        opening: str | None,
        closing: str,
        *,
        interpolated: bool,
        is_text: bool = True,
    ) -> int:
        """Read a literal whose body starts at `position`; an open one is a mark of its own."""
        if self.unclosed > _MAX_UNCLOSED:
            return self._simple("punct", start, start + 1)
        source = self.source
        builder = TextBuilder()
        builder.raw("", self.lines.at(position))
        special = re.compile(
            "|".join(re.escape(c) for c in {opening or closing, closing, "\\", "#"})
        )
        depth = 0
        while match := special.search(source, position):
            if match.start() > position:
                builder.raw(source[position : match.start()], self.lines.at(position))
            position = match.start()
            line = self.lines.at(position)
            if match.group() == closing:
                if depth == 0:
                    if is_text:
                        text = builder.done()
                        self.found.append(
                            Token(
                                "text", text.value, self.lines.at(start), start, position + 1, text
                            )
                        )
                    else:
                        self._simple("number", start, position + 1)
                    return position + 1
                depth -= 1
                builder.raw(closing, line)
                position += 1
            elif match.group() == opening:
                depth += 1
                builder.raw(opening, line)
                position += 1
            else:
                position = self._special(position, builder, interpolated=interpolated)
        self.unclosed += 1
        return self._simple("punct", start, start + 1)

    def _special(self, position: int, builder: TextBuilder, *, interpolated: bool) -> int:
        """Add the escape or interpolation at `position`, or that one character."""
        source, line = self.source, self.lines.at(position)
        if interpolated and source.startswith("#{", position):
            end = min(_hole_end(source, position + 2) + 1, len(source))
            builder.hole(source[position:end], line)
            return end
        if source[position] == "\\" and (escape := C_ESCAPE.match(source, position)):
            if interpolated:
                builder.decoded(decode_c_escape(escape.group()), line)
                return escape.end()
            builder.decoded(source[position + 1], line)
            return position + 2
        builder.raw(source[position], line)
        return position + 1

    def _heredoc(self, opening: re.Match[str]) -> int | None:
        """Read the heredoc opened here; returns where the opening line goes on."""
        source = self.source
        newline = source.find("\n", opening.end())
        if newline < 0 or opening["label"] in self.missing_labels:
            return None
        body_start = max(newline + 1, self.resume)
        close = re.compile(rf"^[ \t]*{opening['label']}[ \t]*$", re.MULTILINE)
        end = close.search(source, body_start)
        if end is None:
            self.missing_labels.add(opening["label"])
            return None
        builder = TextBuilder()
        builder.raw("", self.lines.at(body_start))
        position = body_start
        while position < end.start():
            special = _SPECIAL.search(source, position, end.start())
            if special is None or opening["mark"] == "'":
                builder.raw(source[position : end.start()], self.lines.at(position))
                break
            builder.raw(source[position : special.start()], self.lines.at(position))
            position = self._special(special.start(), builder, interpolated=True)
        text = builder.done()
        line = self.lines.at(opening.start())
        self.found.append(Token("text", text.value, line, opening.start(), opening.end(), text))
        self.resume = end.end()
        return opening.end()


def _hole_end(source: str, position: int) -> int:
    """Where the brace that closes an interpolation stands; the end of the text if none does."""
    open_ = ["{"]
    while match := (_IN_HOLE_STRING if open_[-1] == '"' else _IN_HOLE).match(source, position):
        piece = match.group()
        if open_[-1] == '"':
            if piece == '"':
                open_.pop()
            elif piece == "#{":
                open_.append("{")
        elif piece in ("{", '"'):
            open_.append(piece)
        elif piece == "}":
            open_.pop()
            if not open_:
                return match.start()
        position = match.end()
    return len(source)
