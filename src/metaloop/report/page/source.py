"""Programs and their differences as coloured text; colour never says what signs do not."""

from __future__ import annotations

import io
import keyword
import tokenize
from collections.abc import Iterator, Sequence

from metaloop.report.page.markup import Html, element, join

_LITERALS = frozenset((tokenize.NUMBER, tokenize.STRING))
_LONGEST_SOURCE = 20_000  # characters


def source(program: str) -> Html:
    """Returns Python source in colours; what is no Python is shown as it is."""
    program = program[:_LONGEST_SOURCE].replace("\r\n", "\n").strip("\n")
    return element("pre", element("code", *_coloured(program)), tabindex=0)


def difference(lines: Sequence[str]) -> Html:
    """Returns a unified diff, a line of its own for each line."""
    return element("pre", *(_diff_line(line) for line in lines), class_="diff", tabindex=0)


def _diff_line(line: str) -> Html:
    kinds = {"+": "plus", "-": "minus", "@": "place"}
    return element("span", line or " ", class_=kinds.get(line[:1]))


def _coloured(program: str) -> Iterator[Html]:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(program).readline))
    except (tokenize.TokenError, SyntaxError, ValueError):  # null bytes, open brackets, bad indents
        yield join(program)
        return
    lines = io.StringIO(program).readlines()
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    done, after_def = 0, False
    for token in tokens:
        begin, end = (
            starts[min(row - 1, len(lines))] + column for row, column in (token.start, token.end)
        )
        class_ = _class(token, after_def)
        if class_ is not None and done <= begin <= end <= len(program):
            yield join(program[done:begin])
            yield element("span", program[begin:end], class_=class_)
            done = end
        after_def = token.string == "def"
    yield join(program[done:])


def _class(token: tokenize.TokenInfo, after_def: bool) -> str | None:
    if token.type == tokenize.COMMENT:
        return "comment"
    if token.type in _LITERALS:
        return "literal"
    if token.type != tokenize.NAME:
        return None
    return "defined" if after_def else "keyword" if keyword.iskeyword(token.string) else None
