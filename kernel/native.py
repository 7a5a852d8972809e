"""A kernel's file and lib/rbtree.c, compiled natively, with every function of theirs called by its address.

Whatever they call and do not have leads to one function of Python, so that whoever calls them says what the rest of the kernel
answers. `kernel.random_calls` holds `kernel.execute` to them.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kernel.build import LIBRARY, PLAIN, Source, Variant, kernel_flags
from kernel.compiler import BuildError, compiler, explained, run, version_of
from kernel.headers import stamp, wrapped
from kernel.once import built_once

MOST_ARGUMENTS = 8
"""The words that a hook is given, whatever the function takes."""

HOOKS = """
typedef unsigned long word;
word poolproof_page_size, (*poolproof_hook)(word number, const word *given);
int init_on_alloc[32], init_on_free[32];
#define HOOK(number, name) \\
  word name(word a, word b, word c, word d, word e, word f, word g, word h) \\
  { word given[] = { a, b, c, d, e, f, g, h }; return poolproof_hook(number, given); }
"""
"""Words are passed in the same places, however many there are, on x86-64 and on 64-bit Arm."""

Hook = Callable[[int, "ctypes._Pointer[ctypes.c_uint64]"], int]


@dataclass(frozen=True)
class Library:
    """Functions by name, and what they call: `hook` is given the number of a name in `outside`, and the words."""

    loaded: ctypes.CDLL
    functions: dict[str, int]
    outside: list[str]

    def set_hook(self, hook: Hook) -> object:
        """Returns what has to be kept as long as functions are called."""
        kept = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint64))(hook)
        ctypes.c_void_p.in_dll(self.loaded, "poolproof_hook").value = ctypes.cast(kept, ctypes.c_void_p).value
        return kept

    def call(self, function: str, arguments: list[int]) -> int:
        """The word in the register of results, whatever it is of that the function returns."""
        kinds = [ctypes.c_uint64] * len(arguments)
        return int(ctypes.CFUNCTYPE(ctypes.c_uint64, *kinds)(self.functions[function])(*arguments))


def load(source: Source, file: Path, functions: list[str], outside: list[str], debug: bool) -> Library:
    """Compile a file of the source's, and load it. Raises BuildError."""
    command = compiler()
    tree, table = source.whole_tree(), ", ".join(f"(void *){name}" for name in functions)
    code = f"{wrapped(file, tree)}void *poolproof_functions[] = {{ {table} }};\n"
    hooks = HOOKS + "".join(f"HOOK({number}, {name})\n" for number, name in enumerate(outside))
    flags = [*LIBRARY, *PLAIN, *kernel_flags(source), "-fno-builtin", *Variant(debug).flags()]

    def make(folder: Path) -> None:
        (folder / "functions.c").write_text(code)
        (folder / "hooks.c").write_text(hooks)
        files = [str(folder / "functions.c"), str(folder / "hooks.c")]
        done = run([*command, *flags, *files, "-o", str(folder / "functions.so")])
        if done.returncode:
            raise BuildError(explained(done.stderr, file, tree))

    options = (command, version_of(command), flags, code, hooks, stamp(tree))
    loaded = ctypes.CDLL(str(built_once(options, [file], make) / "functions.so"))
    addresses = (ctypes.c_uint64 * len(functions)).in_dll(loaded, "poolproof_functions")
    return Library(loaded, dict(zip(functions, map(int, addresses), strict=True)), outside)
