"""Bugs that nobody has thought of: changes of one token of a C file, drawn by a seed.

A token becomes another one that may stand there: an operator its neighbour, a number the next one, a name another name of the
same kind in the file. Many of these do not compile, and some leave the code as it was: whoever draws them sorts those out.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

OPERATORS = {
    "<": ("<=", ">"),
    "<=": ("<", ">="),
    ">": (">=", "<"),
    ">=": (">", "<="),
    "==": ("!=",),
    "!=": ("==",),
    "&&": ("||",),
    "||": ("&&",),
    "+": ("-",),
    "-": ("+",),
    "*": ("/",),
    "/": ("*", "%"),
    "%": ("/",),
    "&": ("|",),
    "|": ("&",),
    "++": ("--",),
    "--": ("++",),
    "+=": ("-=", "="),
    "-=": ("+=",),
    "!": ("",),
}
"""What an operator becomes; "" for one that is left out."""

TOKEN = re.compile(r"->|\+\+|--|<<|>>|[-+*/<>=!&|]=|&&|\|\||[-+*/%<>!&|]|\b\d+\b|\b[A-Za-z_]\w*\b")
UNSEEN = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|^[ \t]*#(?:\\\n|[^\n])*", re.S | re.M)
"""Comments, strings and the preprocessor's lines."""


@dataclass(frozen=True)
class Change:
    """One token that becomes another one; `text` is the whole file with it."""

    line: int
    old: str
    new: str
    text: str

    def __str__(self) -> str:
        changed = self.text.splitlines()[self.line - 1].strip()
        return f"line {self.line}, {self.old or 'nothing'} → {self.new or 'nothing'}: {changed}"


def changes(text: str, lines: Iterable[int], seed: int) -> Iterator[Change]:
    """All changes of one token in these lines of C, each once, in an order that the seed draws."""
    code, wanted = UNSEEN.sub(lambda unseen: re.sub(r"[^\n]", " ", unseen[0]), text), set(lines)
    tokens = list(TOKEN.finditer(code))
    fields = {token[0] for before, token in itertools.pairwise(tokens) if before[0] == "->"}
    names = {token[0] for token in tokens if re.match(r"[a-z_]", token[0])} - fields
    drawn = [
        (token, new)
        for before, token in zip([None, *tokens], tokens, strict=False)
        if code.count("\n", 0, token.start()) + 1 in wanted
        for new in alternatives(token[0], fields if before is not None and before[0] == "->" else names)
    ]
    Random(seed).shuffle(drawn)
    for token, new in drawn:
        line = code.count("\n", 0, token.start()) + 1
        yield Change(line, token[0], new, text[: token.start()] + new + text[token.end() :])


def alternatives(token: str, names: Iterable[str]) -> list[str]:
    """What may stand in a token's place; of names, each that there is."""
    if token.isdecimal():
        return [str(int(token) + 1)] + ([str(int(token) - 1)] if int(token) else [])
    if token in OPERATORS:
        return list(OPERATORS[token])
    return sorted(name for name in names if name != token) if token in names else []
