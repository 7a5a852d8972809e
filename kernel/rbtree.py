"""lib/rbtree.c of a kernel tree, run natively: random insertions and removals, each followed by a look at the whole tree.

It runs in a process of its own, `python -m kernel.rbtree`, which is given the library's name to read: it may
crash, or never end.
"""

import ctypes
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kernel.build import LIBRARY, MISTAKES, Source, kernel_flags
from kernel.compiler import BuildError, compiler, explained, run
from kernel.once import ROOT

SECONDS = 60
NODES = 24
OPERATIONS = 4000


def with_rb_first(file: Path, folder: Path) -> Path:
    """A file in a folder that is this lib/rbtree.c, and calls rb_first as well, which newer kernels have inline in a header."""
    whole = folder / file.name
    declared = "struct rb_node *poolproof_rb_first(const struct rb_root *root)"
    headers = "#include <linux/rbtree_augmented.h>\n#include <linux/export.h>\n"
    whole.write_text(f'{headers}#include "{file}"\n{declared};\n{declared}\n{{\n\treturn rb_first(root);\n}}\n')
    return whole


def broken_by(file: Path, tree: Path) -> str:
    """What goes wrong first, in words that begin with a claim's name; "" if nothing does. Raises BuildError."""
    with tempfile.TemporaryDirectory() as scratch:
        library, whole = Path(scratch) / "rbtree.so", with_rb_first(file, Path(scratch))
        flags = [*LIBRARY, *kernel_flags(Source(file, tree)), *MISTAKES]
        done = run([*compiler(), *flags, str(whole), "-o", str(library)])
        if done.returncode:
            raise BuildError(explained(done.stderr, file, tree))
        command = [sys.executable, "-m", "kernel.rbtree"]
        try:
            done = subprocess.run(
                command, cwd=ROOT, input=str(library), capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"tree_is_balanced: no end within {SECONDS} s"
    return done.stdout.strip() if done.returncode == 0 else f"tree_is_balanced: it ends by {done.returncode}"


class Node(ctypes.Structure):
    """struct rb_node."""

    _fields_ = [("word", ctypes.c_ulong), ("right", ctypes.c_void_p), ("left", ctypes.c_void_p)]


class Tree:
    """Nodes in the order of their places in an array; whoever asks for one that is not in the tree finds only ones there."""

    def __init__(self, library: str) -> None:
        self.code = ctypes.CDLL(library)
        for name in ("poolproof_rb_first", "rb_next", "rb_first_postorder", "rb_next_postorder"):
            getattr(self.code, name).restype = ctypes.c_void_p
        self.nodes = (Node * NODES)()
        self.root = ctypes.c_void_p()
        self.inside: set[int] = set()

    def at(self, number: int) -> int:
        return ctypes.addressof(self.nodes) + number * ctypes.sizeof(Node)

    def number(self, address: int) -> int:
        """Raises ValueError for what is no node of the tree."""
        number, rest = divmod(address - ctypes.addressof(self.nodes), ctypes.sizeof(Node))
        if rest or number not in self.inside:
            raise ValueError("tree_is_balanced: a link leads out of the tree")
        return number

    def insert(self, number: int) -> None:
        above, link = 0, ctypes.addressof(self.root)
        while here := ctypes.c_void_p.from_address(link).value:
            above, node = here, self.nodes[self.number(here)]
            link = ctypes.addressof(node) + (Node.left if number < self.number(here) else Node.right).offset
        self.inside.add(number)
        self.nodes[number] = Node(above, None, None)
        ctypes.c_void_p.from_address(link).value = self.at(number)
        self.code.rb_insert_color(ctypes.c_void_p(self.at(number)), ctypes.byref(self.root))

    def erase(self, number: int) -> None:
        self.code.rb_erase(ctypes.c_void_p(self.at(number)), ctypes.byref(self.root))
        self.inside.remove(number)
        self.nodes[number] = Node(*[2**64 - 1] * 3)

    def walk(self, first: str, following: str) -> Iterator[int]:
        at = getattr(self.code, first)(ctypes.byref(self.root))
        for _ in range(NODES + 1):
            if not at:
                return
            yield self.number(at)
            at = getattr(self.code, following)(ctypes.c_void_p(at))

    def look(self) -> None:
        """Raises ValueError if the tree is not what it should be."""
        in_order: list[int] = []
        postorder: list[int] = []
        black = self._below(self.root.value, 0, in_order, postorder)
        if black < 0 or (self.root.value and self.nodes[self.number(self.root.value)].word % 2 == 0):
            raise ValueError(
                "tree_is_balanced: the root is red, or a red node has a red child, or black heights differ"
            )
        if in_order != sorted(self.inside):
            raise ValueError(f"tree_keeps_pages_in_order: {in_order} are in the tree, of {sorted(self.inside)}")
        if list(self.walk("poolproof_rb_first", "rb_next")) != in_order:
            raise ValueError("walk_follows_the_order: rb_next gives other nodes")
        if list(self.walk("rb_first_postorder", "rb_next_postorder")) != postorder:
            raise ValueError("destroy_reads_no_freed_page: rb_next_postorder gives other nodes")

    def _below(self, address: int | None, parent: int, in_order: list[int], postorder: list[int]) -> int:
        """The black height of a subtree, below zero if it has none."""
        if not address:
            return 0
        number = self.number(address)
        node = self.nodes[number]
        if node.word & ~3 != parent or len(in_order) > NODES:
            raise ValueError("tree_is_balanced: a node's parent is another one")
        left = self._below(node.left, address, in_order, postorder)
        in_order.append(number)
        right = self._below(node.right, address, in_order, postorder)
        postorder.append(number)
        children = [self.nodes[self.number(child)] for child in (node.left, node.right) if child]
        red_below_red = node.word % 2 == 0 and any(child.word % 2 == 0 for child in children)
        return -9 if left != right or left < 0 or red_below_red else left + node.word % 2


def main(library: str) -> None:
    tree, chance = Tree(library), random.Random(0)
    try:
        for _ in range(OPERATIONS):
            number = chance.randrange(NODES)
            (tree.erase if number in tree.inside else tree.insert)(number)
            tree.look()
    except (ValueError, RecursionError) as wrong:
        print(wrong)


if __name__ == "__main__":
    main(input())
