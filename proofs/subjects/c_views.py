"""A kernel's C on the states that proofs about impl/ have: structs of C are views of their objects, see `kernel.objects`.

So a proof's body runs a kernel's own code where it runs that of impl/. What the proof knows nothing of is not followed; a field
of a struct that it knows nothing of is any number.
"""

from collections.abc import Callable
from typing import Any

import z3

from kernel.environment import GFP_DIRECT_RECLAIM
from kernel.ir import ATOMIC, Field, NotFollowed
from kernel.objects import Fault, Pointer, Struct, View
from proofs.engine.symbolic import Number
from proofs.subjects.c_pool import Code, not_known

SET_BY_CREATE = {"size", "allocation", "boundary", "blks_per_alloc", "dev", "node", "name", "vaddr", "dma"}
"""Of a pool and of a page: what never changes, so that no lock guards it."""

OTHER_FLAGS = 0x246
"""Of a processor, besides the lowest one, which says that interrupts are off: as in kernel/shim/locks.c."""

NOT_AS_ASSERTED = "a lock is expected to be held, or not to be, and it is otherwise"


def fits(value: Any, width: int) -> Any:
    """An input that a field of C holds: it is as wide as the field. Of what is computed from inputs, nothing is said."""
    if isinstance(value, Number) and z3.is_const(value.term) and value.term.decl().kind() == z3.Z3_OP_UNINTERPRETED:
        value.path.know((value < 2**width).term)
    return value


def any_number(path: Any, struct: Struct, known: Field) -> Any:
    """What a field holds of which a proof knows nothing. Raises NotFollowed for an address."""
    if known.type.endswith("*"):
        raise not_known(struct, known)
    return fits(path.number(f"{struct.name}.{known.name}"), known.width)


def may_race(variable: View, name: str) -> bool:
    """Whether a field of a file's variable is atomic, or the variable is one by which WARN_ON_ONCE warns once."""
    return variable.name.endswith(".__already_done") or variable.fields[variable.offset_of(name)].type in ATOMIC


class Spinlocks:
    """The pools' locks that an operation holds, which interrupt handlers take as well, and whether interrupts are off: notes
    every misuse, in the order in which it happens."""

    def __init__(self, interrupts_off: bool = False) -> None:
        self.misuse: list[str] = []
        self.pools: list[Struct] = []  # each has a lock, which guards what is its own
        self.spinlocks: list[Any] = []  # those that are held, by the pools
        self.irqs_off = self.irqs_off_before = interrupts_off

    def externals(self) -> dict[str, Callable[..., Any]]:
        """What the code of an operation calls."""
        return {
            "spin_lock": lambda lock: self.take(self.pool_of(lock)),
            "spin_unlock": lambda lock: self.drop(self.pool_of(lock)),
            "poolproof_irqs": self.interrupts,
        }

    def pool_of(self, lock: Pointer) -> Any:
        if lock.object not in self.pools:
            raise NotFollowed("a spinlock is taken or dropped that is not a pool's")
        return lock.object

    def take(self, pool: Any) -> None:
        if pool in self.spinlocks:
            self.misuse.append("pool->lock is taken twice")
        if not self.irqs_off:
            self.misuse.append("pool->lock is taken with interrupts on, and an interrupt handler takes it as well")
        self.spinlocks.append(pool)

    def drop(self, pool: Any) -> None:
        if pool in self.spinlocks:
            self.spinlocks.remove(pool)
        else:
            self.misuse.append("pool->lock is dropped twice")

    def interrupts(self, flags: Any) -> int:
        off = bool(flags & 1)
        if self.spinlocks and not off:
            self.misuse.append("interrupts are let in while pool->lock is held")
        before, self.irqs_off = self.irqs_off, off
        return OTHER_FLAGS | before

    def sleeps(self, function: str) -> None:
        """A function that may sleep runs."""
        if self.spinlocks:
            self.misuse.append(f"{function} may sleep, and pool->lock is taken")
        elif self.irqs_off and not self.irqs_off_before:
            self.misuse.append(f"{function} may sleep, and interrupts are off")

    def left(self) -> str:
        """All misuse, by the end of an operation."""
        at_the_end = ["pool->lock is left taken"] if self.spinlocks else []
        if self.irqs_off != self.irqs_off_before:
            at_the_end.append("interrupts are left otherwise than they were")
        return "; ".join([*self.misuse, *at_the_end])


class Locked(Spinlocks):
    """What is shared, and the lock that guards it, of dma_pool_alloc and dma_pool_free.

    Whose interrupts are on may sleep, and says so by its flags; where `interrupts_off` is None, they are on, and no caller may.
    """

    def __init__(self, interrupts_off: bool | None) -> None:
        super().__init__(bool(interrupts_off))
        self.flags = GFP_DIRECT_RECLAIM if interrupts_off is False else 0
        self.others_ran = self.was_taken = False
        self.races = 0

    def externals(self) -> dict[str, Callable[..., Any]]:
        """The operation begins."""
        self.was_taken = self.others_ran = False
        return super().externals() | {
            "poolproof_races": self.race,
            "lock_is_held_type": lambda *_: int(self.taken),
            "poolproof_lockdep": lambda: self.misuse.append(NOT_AS_ASSERTED),
        }

    @property
    def taken(self) -> bool:
        return bool(self.spinlocks)

    def take(self, pool: Any) -> None:
        if self.was_taken and not self.others_ran:
            raise NotFollowed("the lock is dropped where this proof lets no other caller run")
        self.was_taken, self.others_ran = True, False
        super().take(pool)

    def drop(self, pool: Any) -> None:
        self.others_ran = False
        super().drop(pool)

    def race(self, meant: int) -> None:
        self.races += 1 if meant == 1 else -1

    def touched(self, view: View, name: str, writes: bool) -> None:
        is_atomic = view.fields[view.offset_of(name)].type in ATOMIC
        is_settled = name in SET_BY_CREATE and not writes
        if not (self.taken or view.private or self.races or is_atomic or is_settled):
            self.misuse.append(f"{view.name}.{name} is touched without pool->lock")

    def touched_of_the_file(self, variable: View, name: str, writes: bool) -> None:
        """A variable of the file, which all pools have in common, is read or written: what pool->lock guards is one's own."""
        if writes and not (self.races or may_race(variable, name)):
            self.misuse.append(f"{variable.name}.{name}".rstrip(".") + " is written without a lock that all pools have")

    def needed(self, function: str) -> None:
        """A function that a lemma stands for runs, and reads what the lock guards."""
        if not self.taken:
            self.misuse.append(f"{function} runs without pool->lock")


class Mutexes(Spinlocks):
    """The mutexes that an operation holds, of which one has to guard the list of a device's pools; and what goes wrong."""

    def __init__(self, code: Code) -> None:
        super().__init__()
        self.code = code
        self.held: list[Struct] = []
        self.creating = False
        self.linked_under: list[Struct] = []  # the mutexes that were held when the list of pools was last written
        self.pages: list[Struct] = []  # of one of these
        self.guards: dict[str, list[Struct]] = {}
        """Of each variable of the file: the mutexes under which it is always touched."""
        self.written: list[str] = []  # variables of the file

    def seen(self, struct: str, **options: Any) -> View:
        """A struct whose links in the list of pools are touched under a mutex only, as long as others know of it. What
        `SET_BY_CREATE` names is written before a mutex is released under which the pool got into the list."""
        known = self.code.struct(struct)
        view = View(known.name, known.fields, place=known.place, touched=self.touched, **options)
        self.pools += [view] * (struct == "dma_pool")
        self.pages += [view] * (struct == "dma_page")
        return view

    def touched(self, view: View, name: str, writes: bool) -> None:
        if view.private:
            return
        if view in self.pages and not self.spinlocks:
            self.misuse.append(f"{view.name}.{name} is touched without pool->lock")
        if name.startswith(("dma_pools.", "pools.")):
            if writes and name.startswith("dma_pools."):
                self.linked_under = list(self.held)
            if not self.held:
                self.misuse.append(f"{view.name}.{name} is touched without a mutex")
        elif (
            writes
            and self.creating
            and name in SET_BY_CREATE
            and not all(one in self.held for one in self.linked_under)
        ):
            self.misuse.append(f"{view.name}.{name} is written when others see the pool")

    def externals(self) -> dict[str, Callable[..., Any]]:
        return super().externals() | {"mutex_lock": self.lock, "mutex_unlock": self.unlock}

    def touched_of_the_file(self, variable: View, name: str, writes: bool) -> None:
        """A variable of the file, which all devices have in common, is read or written."""
        if may_race(variable, name):
            return
        before = self.guards.setdefault(variable.name, list(self.held))
        self.guards[variable.name] = [one for one in before if one in self.held]
        self.written += [variable.name] * (writes and variable.name not in self.written)

    def lock(self, mutex: Pointer) -> None:
        if mutex.object in self.held:
            self.misuse.append("a mutex is taken twice")
        self.sleeps("mutex_lock")
        self.held.append(mutex.object)

    def unlock(self, mutex: Pointer) -> None:
        if mutex.object not in self.held:
            self.misuse.append("a mutex is released that is not held")
        else:
            self.held.remove(mutex.object)

    def left(self) -> str:
        """All misuse, by the end of an operation."""
        raced = [f"{name} is touched under no common mutex" for name in self.written if not self.guards[name]]
        return "; ".join(filter(None, [super().left(), *raced, *["a mutex is held"] * bool(self.held)]))


class Views:
    """The views of one pool's structs, and the pointers of C that links of Python stand for."""

    def __init__(self, code: Code, path: Any, locked: Locked) -> None:
        self.code, self.path, self.locked = code, path, locked
        self.places: dict[int, tuple[Any, Pointer]] = {}  # by the id of an object of Python: it, and where it is in C

    def view(self, struct: str, owner: Any, attributes: dict[str, str], fresh: bool = False) -> View:
        """A view of `owner`: fields are kept in its attributes, or in an attribute of one. The others are any number; of a
        `fresh` one, the code has to write before it reads."""
        known = self.code.struct(struct)
        view = View(struct, known.fields, place=known.place, touched=self.locked.touched, private=fresh)
        view.unwritten = Fault if fresh else None
        for name, attribute in attributes.items():
            self.keep(view, name, owner, attribute)
        if not fresh:
            view.any_value = self.any_value
        return view

    def any_value(self, view: Struct, known: Field) -> Any:
        return any_number(self.path, view, known)

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
