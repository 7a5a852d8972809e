"""A kernel's C on the states that proofs about impl/ have: structs of C are views of their objects, see `kernel.objects`.

So a proof's body runs a kernel's own dma_pool_alloc and dma_pool_free where it runs those of impl/. What stands for a function
or a loop of the file is a lemma, as it is of impl/: worth nothing unless its claim is PROVED of this very file. What the
proof knows nothing of is not followed; a field of a struct that it knows nothing of is any number.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import z3

from kernel.execute import Interpreter
from kernel.ir import Field, Function, NotFollowed
from kernel.objects import Fault, Pointer, Struct, View
from model import claims
from proofs.engine.path import AssumptionFailed
from proofs.engine.symbolic import Number
from proofs.subjects.c_pool import Code

ZERO = 0x100
"""__GFP_ZERO, as kernel/shim/kernel.h has it."""

SET_BY_CREATE = {"size", "allocation", "boundary", "blks_per_alloc", "dev", "name", "vaddr", "dma"}
"""Of a pool and of a page: what never changes, so that no lock guards it."""

Variables = dict[str, Any]
"""Of a loop: the values at the beginning of a turn, by the name that C has for them."""


def fits(value: Any, width: int) -> Any:
    """An input that a field of C holds: it is as wide as the field. Of what is computed from inputs, nothing is said."""
    if isinstance(value, Number) and z3.is_const(value.term) and value.term.decl().kind() == z3.Z3_OP_UNINTERPRETED:
        value.path.know((value < 2**width).term)
    return value


def alike(code: Code, name: str) -> str:
    """The function, which has to be the same with debugging code and without: what is proved of one is used of the other."""

    def text(function: Function) -> Iterator[tuple[str, ...]]:
        for block, instructions in function.blocks.items():
            for one in instructions:
                rest = re.sub(r"(%struct\.\w+|@\.str)\.\d+", r"\1", one.rest.partition(" #")[0])  # as LLVM numbers them
                yield block, one.name, one.operation, rest

    if [*text(code.module.function(name))] != [*text(code.debugging.function(name))]:
        raise code.not_followed(f"{name} is another one in debug builds", name)
    return name


class Locked:
    """What is shared, and the lock that guards it: notes every misuse, in the order in which it happens."""

    def __init__(self, interrupts_off: bool) -> None:
        self.misuse: list[str] = []
        self.taken = self.others_ran = self.was_taken = False
        self.irqs_off = self.irqs_off_before = interrupts_off
        self.races = 0

    def externals(self) -> dict[str, Callable[..., Any]]:
        """What the code of one operation, which begins, calls."""
        self.was_taken = self.others_ran = False
        return {
            "spin_lock": lambda _: self.turn(True),
            "spin_unlock": lambda _: self.turn(False),
            "poolproof_irqs": self.interrupts,
            "poolproof_races": self.race,
        }

    def turn(self, taken: bool) -> None:
        if self.taken == taken:
            self.misuse.append("pool->lock is taken twice" if taken else "pool->lock is dropped twice")
        if taken and self.was_taken and not self.others_ran:
            raise NotFollowed("the lock is dropped where this proof lets no other caller run")
        self.taken, self.was_taken, self.others_ran = taken, self.was_taken or taken, False

    def interrupts(self, off: Any) -> int:
        before, self.irqs_off = self.irqs_off, bool(off)
        return int(before)

    def race(self, meant: int) -> None:
        self.races += 1 if meant == 1 else -1

    def sleeps(self, function: str) -> None:
        """A function that may sleep runs, and other callers meanwhile."""
        if self.taken:
            self.misuse.append(f"{function} may sleep, and pool->lock is taken")
        self.others_ran = True

    def touched(self, view: View, name: str) -> None:
        if not (self.taken or view.private or self.races or name in SET_BY_CREATE):
            self.misuse.append(f"{view.name}.{name} is touched without pool->lock")

    def left(self) -> str:
        """All misuse, by the end of an operation."""
        at_the_end = ["pool->lock is left taken"] if self.taken else []
        if self.irqs_off != self.irqs_off_before:
            at_the_end.append("interrupts are left otherwise than they were")
        return "; ".join([*self.misuse, *at_the_end])


class Views:
    """The views of one pool's structs, and the pointers of C that links of Python stand for."""

    def __init__(self, code: Code, path: Any, locked: Locked) -> None:
        self.code, self.path, self.locked = code, path, locked
        self.places: dict[int, tuple[Any, Pointer]] = {}  # by the id of an object of Python: it, and where it is in C

    def view(self, struct: str, owner: Any, attributes: dict[str, str], fresh: bool = False) -> View:
        """A view of `owner`: fields are kept in its attributes, or in an attribute of one. The others are any number; of a
        `fresh` one, the code has to write before it reads."""
        fields, place = self.code.module.struct(struct)
        view = View(struct, fields, place=place, touched=self.locked.touched, private=fresh)
        view.unwritten = Fault if fresh else None
        for name, attribute in attributes.items():
            self.keep(view, name, owner, attribute)
        if not fresh:
            view.any_value = self.any_value
        return view

    def any_value(self, view: Struct, known: Field) -> Any:
        return fits(self.path.number(f"{view.name}.{known.name}"), known.width)

    def keep(self, view: View, name: str, owner: Any, attribute: str) -> None:
        *on, last = attribute.split(".")
        width = view.fields[view.offset_of(name)].width

        def holder() -> Any:
            at = owner
            for step in on:
                at = getattr(at, step)
            if not hasattr(at, last):
                raise NotFollowed(f"{view.name}.{name} is read or written, of which nothing is known")
            return at

        view.keep_attribute(name, holder, last, lambda value: self.pointer(value, width), self.owner)

    def put(self, owner: Any, place: Pointer) -> None:
        """Say where in C an object of Python is."""
        self.places[id(owner)] = owner, place

    def pointer(self, value: Any, width: int = 64) -> Any:
        """What a field of C holds, where Python has this."""
        if id(value) in self.places:
            return self.places[id(value)][1]
        return fits(value, width) if isinstance(value, int | Number | Pointer) else self.pointer_to_unknown(value)

    def pointer_to_unknown(self, value: Any) -> Any:
        raise NotFollowed(f"{value!r} is read, of which nothing is known")

    def owner(self, value: Any) -> Any:
        """What Python has, where a field of C holds this."""
        if isinstance(value, Pointer):
            for owner, place in self.places.values():
                if place.object is value.object and place.offset == value.offset:
                    return owner
        return value


class Lists(Views):
    """With the list of pages: each of its links is a list_head of Python, `link` the field of struct dma_page that has it."""

    def __init__(self, code: Code, path: Any, locked: Locked, link: str) -> None:
        super().__init__(code, path, locked)
        self.link_field = link

    def pointer_to_unknown(self, value: Any) -> Any:
        """To the link of a page of which nothing else is known; an end of a chain may be the chain's other end, too."""
        ends = {f"{self.link_field}.{end}": end for end in ("next", "prev") if hasattr(value, end)}
        view = self.view("dma_page", value, ends)
        view.any_value = None
        view.may_be_another = len(ends) < 2
        self.put(value, view.at(f"{self.link_field}.next"))
        return view.at(f"{self.link_field}.next")


def names_of(arrived: Variables, sought: dict[str, Any]) -> dict[str, str]:
    """Which variable of a loop is which, by their values on arrival: the name in C of each that is `sought`. Raises NotFollowed
    if that is not clear, or there are other variables."""
    names: dict[str, str] = {}
    for role, value in sought.items():
        found = [name for name in arrived if name not in names.values() and arrived[name] is value]
        found = found or [name for name in arrived if name not in names.values() and arrived[name] == value]
        if not found:
            raise NotFollowed(f"no variable of this loop begins as its {role}")
        names[role] = found[0]
    if len(names) != len(arrived):
        more = ", ".join(sorted(set(arrived) - set(names.values())))
        raise NotFollowed(f"this loop changes {more} as well, of which the proof knows nothing")
    return names


def the_last_turn() -> None:
    """For a loop that goes on after its last turn: there is no such path."""
    raise AssumptionFailed("a turn that was the last has none after it")


def cut_poison(path: Any, interpreter: Interpreter, function: str, loop: str, size: Any, link: int) -> None:
    """Nobody wrote to a free block: the loop over the bytes behind its link, of so many bytes, says nothing, and ends."""

    def over(arrived: Variables) -> Variables:
        names = names_of(arrived, {"first byte": link})
        return {names["first byte"]: size}

    interpreter.cuts[function, loop] = path.lemma(claims.reports_are_the_kernels, over, "poison")


def handle() -> Struct:
    """Where dma_pool_alloc puts a DMA address."""
    return Struct("handle", {0: Field("dma", 64)}, unwritten=Fault, private=True)
