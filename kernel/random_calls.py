"""Holds `kernel.execute` to native code: random calls of every function of a kernel's file, and of its lib/rbtree.c.

A call begins in a `World`: objects of C's structs, with random contents, that are laid out in native memory as well. The
function is executed first; what the rest of the kernel answers, memory or none, a device's page or none, any number, is kept,
and given to native code, too. Then what both return, what they called and all memory have to be the same. A call that the
interpreter cannot end, since it follows a null pointer, say, is not made natively, and not counted.
"""

import ctypes
import random
import signal
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from kernel.build import Source
from kernel.environment import BOOT_OPTIONS, INTRINSICS, in_our_terms, objects_of
from kernel.execute import MEMORY, RUN, Interpreter
from kernel.instructions import Global
from kernel.ir import Field, Function, Module, NotFollowed, ir_of
from kernel.native import MOST_ARGUMENTS, Library, load
from kernel.objects import Fault, Pointer, Struct
from kernel.rbtree import with_rb_first
from kernel.worlds import Pools, Trees, World

CALLS_IN_A_WORLD = 40
LONGEST = 500
"""Basic blocks of a call; one that needs more is left out."""
SECONDS = 60
"""For a call natively: a signal ends the process of whoever needs more."""


class Differs(Exception):
    """The interpreter does not do what native code does; says which function, and with what."""


class Called(NamedTuple):
    """A call of a function that the file does not have: its words, the answer, and what it writes to native memory."""

    name: str
    words: list[int | None]
    answer: int
    written: list[tuple[int, bytes]]


class Held(NamedTuple):
    """Of a function: its calls that were compared, its basic blocks that were run, and all of them."""

    calls: int
    run: int
    blocks: int


class Comparison:
    """The functions of a file, debugging code or not, executed and natively; `world` says what they are called with."""

    def __init__(self, module: Module, library: Library, world: type[World]) -> None:
        self.module, self.library, self.world = module, library, world
        self.page_size = Struct("PAGE_SIZE", {0: Field("value", 64)}, {0: 4096})
        ctypes.c_ulong.in_dll(library.loaded, "poolproof_page_size").value = 4096
        self.outside = {name: partial(self.answer, name) for name in library.outside} | MEMORY | INTRINSICS
        self.now: World  # which the call is in
        self.said: list[Called] = []
        self.heard: list[str] = []  # what native code called otherwise
        self.number = 0  # of the calls that native code has made
        self.kept = library.set_hook(self.answered)

    def hold(self, name: str, calls: int, seed: int) -> int:
        """Compare so many calls of a function: how many there were. Raises Differs."""
        chance, done, left_out = random.Random(f"{seed} {name}"), 0, 0
        function = self.module.function(name)
        kinds = [self.module.parameter_type(name, number) for number in range(1, len(function.parameters) + 1)]
        while done < calls and left_out <= 10 * calls + 100:
            world = self.world(self.module, self.library, chance)
            tries = [self.is_alike(world, function, kinds)]
            while len(tries) < CALLS_IN_A_WORLD and tries[-5:].count(True):
                tries.append(self.is_alike(world, function, kinds))
            done, left_out = done + tries.count(True), left_out + tries.count(False)
        return done

    def is_alike(self, world: World, function: Function, kinds: list[str]) -> bool:
        """Make one call; whether the interpreter came to its end. Raises Differs."""
        given = [world.argument(*of) for of in zip(function.parameters, kinds, function.widths, strict=True)]
        words = [world.word(value) or 0 for value in given]
        self.said, self.heard, self.number = [], [], 0
        self.now = world
        enabled = {name: world.chance.getrandbits(1) for name in BOOT_OPTIONS}
        for name, is_enabled in enabled.items():
            ctypes.c_int.in_dll(self.library.loaded, name).value = is_enabled
        options = objects_of({name: partial(bool, is_enabled) for name, is_enabled in enabled.items()})
        page_size = {"poolproof_page_size": Pointer(self.page_size, 0)}
        interpreter = Interpreter(self.module, self.outside, page_size | options, left=LONGEST)
        try:
            result = interpreter.call(function.name, *given)
        except (Fault, NotFollowed, TimeoutError):
            world.take_back()
            return False
        signal.alarm(SECONDS)
        returned = self.library.call(function.name, words)
        signal.alarm(0)
        differ = [*self.heard, *(f"it calls {one.name} no more" for one in self.said[self.number :])]
        wanted = world.word(result) if function.result >= 0 else None
        if wanted is not None and wanted != (returned % 2**function.result if function.result else returned):
            differ.append(f"natively it returns {returned:#x}, executed {wanted:#x}")
        if (executed := world.image()) != (natively := ctypes.string_at(world.arena, len(executed))):
            at = next(place for place, byte in enumerate(executed) if byte != natively[place])
            differ.append(f"{world.describe(at)} is natively {natively[at]:#x}, executed {executed[at]:#x}")
        if differ:
            raise Differs(f"{function.name} with {', '.join(map(hex, words))}: {differ[0]}")
        return True

    def answer(self, kernels: str, *arguments: Any) -> Any:
        world, (name, given) = self.now, in_our_terms(kernels, arguments)
        written: list[tuple[int, bytes]] = []
        answer = world.answer(name, given, written)
        self.said.append(Called(name, [world.word(value) for value in given], world.word(answer) or 0, written))
        return answer

    def answered(self, number: int, words: Any) -> int:
        """What the rest of the kernel does, when native code calls it: what it did before."""
        raw, self.number = self.library.outside[number], self.number + 1
        name, given = in_our_terms(raw, words[:MOST_ARGUMENTS])
        if self.number > len(self.said) or self.said[self.number - 1].name != name:
            self.heard.append(f"only natively it calls {name}")
            return 0
        said = self.said[self.number - 1]
        for place, (wanted, word) in enumerate(zip(said.words, given, strict=False)):
            # The upper half of a register says nothing of a narrow word.
            if wanted is not None and word != wanted and (wanted >= 2**32 or word % 2**32 != wanted):
                self.heard.append(f"argument {place + 1} of {name} is natively {word:#x}, not {wanted:#x}")
        for where, image in said.written:
            ctypes.memmove(where, image, len(image))
        return said.answer


@lru_cache(maxsize=2)
def comparisons(source: Source) -> list[tuple[Comparison, list[str]]]:
    """A kernel's file, its debugging code, and its lib/rbtree.c, each with the functions to call: those that differ from the
    same without debugging code. Raises BuildError."""
    plain, debugging = ir_of(source), ir_of(source, debug=True)
    found = [
        (Comparison(plain, load(source, source.file, *names_of(plain), False), Pools), list(plain.functions)),
        (
            Comparison(debugging, load(source, source.file, *names_of(debugging), True), Pools),
            [name for name, one in debugging.functions.items() if plain.functions.get(name) != one],
        ),
    ]
    if file := source.rbtree():
        with TemporaryDirectory() as folder:
            whole = with_rb_first(file, Path(folder))
            module = ir_of(Source(whole, source.tree))
            library = load(source, whole, *names_of(module), False)
        found.append((Comparison(module, library, Trees), list(module.functions)))
    return found


def functions_of(source: Source) -> list[tuple[int, str]]:
    """What `hold_to_native` can compare: the number of a comparison, and a function. Raises BuildError."""
    return [(number, name) for number, (_, names) in enumerate(comparisons(source)) for name in names]


def hold_to_native(source: Source, function: tuple[int, str], calls: int, seed: int) -> Held:
    """Compare so many calls of a function. Raises Differs, and BuildError."""
    comparison, name = comparisons(source)[function[0]][0], function[1]
    RUN.clear()
    done = comparison.hold(name, calls, seed)
    blocks = {comparison.module.code_of(name, block) for block in comparison.module.function(name).blocks}
    return Held(done, len(blocks & RUN), len(blocks))


def names_of(module: Module) -> tuple[list[str], list[str]]:
    """The functions of a module, and those that it calls and does not have."""
    code = [one for function in module.functions.values() for block in function.blocks.values() for one in block]
    called = {one.operands[-1].value for one in code if one.operation == "call"}
    named = sorted(one.name for one in called if isinstance(one, Global) and "." not in one.name)
    return list(module.functions), [name for name in named if name not in (*module.functions, *MEMORY)]
