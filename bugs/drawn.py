"""Bugs that nobody has thought of: changes of one token of a C file, drawn by a seed.

A token becomes another one that may stand there: an operator its neighbour, a number the next one, a name another name of the
same kind, in the file or, a variable, in the function. Some of these do not compile, and some leave the code as it was: whoever
draws them sorts those out.
"""

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

NAMES = 2
"""So many of the names that may stand in the place of one are tried."""

WORDS = """
break case char const continue default do else for goto if inline int long return short signed sizeof static struct switch
unsigned void while
"""
KEYWORDS = frozenset(WORDS.split())
"""No names."""

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
    """Changes of one token in these lines of C, in an order that the seed draws: all of operators and numbers, a few
    of each name."""
    code, wanted, random = UNSEEN.sub(lambda unseen: re.sub(r"[^\n]", " ", unseen[0]), text), set(lines), Random(seed)
    tokens = list(TOKEN.finditer(code))
    kinds = [kind_of(code, token) for token in tokens]
    names: dict[tuple[str, int], set[str]] = {}
    for token, kind in zip(tokens, kinds, strict=True):
        names.setdefault((kind, scope_of(code, token, kind)), set()).add(token[0])
    drawn = [
        (token, new)
        for token, kind in zip(tokens, kinds, strict=True)
        if code.count("\n", 0, token.start()) + 1 in wanted
        for new in alternatives(
            token[0], sorted(names[kind, scope_of(code, token, kind)] - {token[0]}) if kind else [], random
        )
    ]
    random.shuffle(drawn)
    for token, new in drawn:
        line = code.count("\n", 0, token.start()) + 1
        yield Change(line, token[0], new, text[: token.start()] + new + text[token.end() :])


def kind_of(code: str, token: re.Match[str]) -> str:
    """Of which kind a name is: "" for what is none, and for words in capitals, which are mostly macros."""
    before, after = code[: token.start()], code[token.end() :]
    if not re.match(r"[a-z_]", token[0]) or token[0] in KEYWORDS:
        return ""
    if before.endswith(("->", ".")):
        return "field"
    if re.search(r"\bstruct\s+$", before):
        return "struct"
    if token[0].endswith("_t"):
        return "type"
    return "function" if re.match(r"\s*\(", after) else "variable"


def scope_of(code: str, token: re.Match[str], kind: str) -> int:
    """The number of the function that a variable is in, for which those of other functions cannot stand; 0 for other names."""
    return code.count("\n}", 0, token.start()) if kind == "variable" else 0


def alternatives(token: str, names: list[str], random: Random) -> list[str]:
    """What may stand in a token's place; of `names`, some."""
    if token.isdecimal():
        return [str(int(token) + 1)] + ([str(int(token) - 1)] if int(token) else [])
    if token in OPERATORS:
        return list(OPERATORS[token])
    return random.sample(names, min(len(names), NAMES))
