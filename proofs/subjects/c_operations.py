"""A kernel's own dma_pool_alloc and dma_pool_free, on the state of a proof: what they call, and what stands for their loops."""

from collections.abc import Callable
from functools import partial
from typing import Any

from impl.pool import POOL_POISON_FREED
from kernel.environment import DMA_ATTR_NO_WARN, GFP_DIRECT_RECLAIM, GFP_ZERO
from kernel.execute import Frame, Interpreter, variable
from kernel.fills import after, steps
from kernel.ir import Field, NotFollowed
from kernel.objects import Fault, Pointer, Struct
from model import claims
from proofs.subjects.c_last_turn import Laid, LastTurn
from proofs.subjects.c_pool import NUMA_NO_NODE, Code, lookup_case, named_device, raise_linked, shown
from proofs.subjects.c_turns import Variables
from proofs.subjects.c_views import Views
from proofs.subjects.subject import OTHERWISE

OF_ANOTHER_DEVICE = -1
"""In place of the flags with which a page is asked for."""


class Operations:
    """A pool whose `alloc` and `free` are those of a file. Of `AnyPool` or `AnyStack`, with which it goes together, it has the
    state, and C has views of that.

    What stands for a function or a loop of the file is a lemma, as it is of impl/.
    """

    LINK: int
    """Bytes of a free block that are no poison: its link, and what else the pool keeps there."""

    path: Any
    geometry: Any
    memory: Any
    debug: bool
    init_on_alloc: bool
    init_on_free: bool
    _error: Callable[..., None]

    def begin(self, code: Code, views: Views, kept: dict[str, str]) -> None:
        """Have struct dma_pool as a view of this pool, which has the fields that are `kept` in its attributes."""
        self.code, self.locked, self.views = code, views.locked, views
        geometry = {name: f"geometry.{name}" for name in ("size", "boundary", "allocation")}
        self.view = views.view("dma_pool", self, geometry | kept)
        self.locked.pools.append(self.view)
        self.view["dev"] = named_device(code)
        self.header: Struct | None = None  # the struct dma_page that the code adds
        self.freed: Any = None  # the address that is freed
        self.freed_dma: Any = None  # the same block's DMA address, as it is given
        self.shows: list[Any] | None = None  # what a message has to show, where the proof is about it
        self.looked_at: list[Any] = []  # what the code says is a block, and looks through
        self.flags: Any = self.locked.flags  # of dma_pool_alloc's caller, without __GFP_ZERO
        self.told = False  # that it may sleep, whether or not it does: might_alloc
        self.last_turn: LastTurn | None = None  # of the loop that lays out the page that the code adds

    def misuse(self) -> str:
        return self.locked.left()

    # What the code calls.

    def running(self, **more: Any) -> Interpreter:
        """The code, with what it calls, and `more` of that."""
        interpreter = self.code.interpreter(
            self.debug,
            path=self.path,
            kmalloc=self.kmalloc,
            kfree=self.kfree,
            dma_alloc_coherent=self.dma_alloc_coherent,
            init_on_alloc=lambda: self.init_on_alloc,
            init_on_free=lambda: self.init_on_free,
            poolproof_log=self.says,
            print_hex_dump=self.print_hex_dump,
            might_alloc=partial(self.might_sleep, "might_alloc"),
            might_sleep=lambda *_: self.might_sleep("might_sleep"),
            mutex_lock=lambda _: self.might_sleep("mutex_lock"),
            **self.locked.externals() | more,
        )
        interpreter.touched = self.locked.touched_of_the_file
        return interpreter

    def might_sleep(self, function: str, flags: Any = GFP_DIRECT_RECLAIM) -> None:
        """A function runs that sleeps where its flags let it."""
        if isinstance(flags, int) and not flags & GFP_DIRECT_RECLAIM:
            return
        self.told = True
        self.locked.sleeps(function)
        if isinstance(flags, int) and flags & ~self.flags & GFP_DIRECT_RECLAIM:
            self.locked.misuse.append(f"{function} may sleep, and the caller may not")

    def kmalloc(self, nbytes: Any, flags: Any, node: Any = NUMA_NO_NODE) -> Any:
        self.node = node
        self.might_sleep("kmalloc", flags)
        self.locked.others_ran = not self.locked.taken
        if self.header is not None:
            raise NotFollowed("more than one page is added")
        self.header = self.new_header()
        if self.header is not None:
            self.header.fits_in(nbytes)
        if self.header is not None and flags & GFP_ZERO:
            self.header.unwritten = 0
        return 0 if self.header is None else Pointer(self.header, 0)

    def says(self, *given: Any) -> None:
        """A message: of a free, it shows the addresses that are freed; else it shows what `shows` has, if that is known."""
        told = shown(self.view, given)
        if self.freed is not None:
            as_promised = told != [] and all(self.is_freed(one) for one in told)
        else:
            as_promised = self.shows is None or told == self.shows
        self._error("said" if as_promised else OTHERWISE)

    def is_freed(self, one: Any) -> bool:
        """Whether this is the address of the block that is freed, or of a variable that has its DMA address."""
        if one == self.pointer(self.freed):
            return True
        return isinstance(one, Pointer) and bool(one.object.load(one.offset, 64) == self.freed_dma)

    def print_hex_dump(self, *given: Any) -> None:
        *_, nbytes, _ = given
        if nbytes > self.geometry.size:
            raise Fault("a message shows more than a block")

    def kfree(self, what: Pointer) -> None:
        raise_linked(what.object)
        what.object.freed = True

    def dma_alloc_coherent(self, dev: Any, nbytes: Any, to: Pointer, flags: Any, attributes: Any = 0) -> Any:
        as_promised = dev == self.view["dev"] and not attributes & ~DMA_ATTR_NO_WARN
        self.might_sleep("dma_alloc_coherent", flags)
        self.locked.others_ran = not self.locked.taken
        self.path.show("as many bytes are asked for as a page has", lambda: nbytes == self.geometry.allocation)
        mapping = self.memory.alloc_coherent(nbytes, flags & ~GFP_ZERO if as_promised else OF_ANOTHER_DEVICE)
        if mapping is None:
            return 0
        self.in_the_address_space(mapping.dma)
        to.object.store(to.offset, 64, mapping.dma)
        return Pointer(self.memory_of(mapping), 0)

    def in_the_address_space(self, dma: Any) -> None:
        self.path.assume("the page lies in the address space", lambda: dma + self.geometry.allocation <= 2**64)

    def new_header(self) -> Struct | None:
        """A struct dma_page that kmalloc gives, of which nothing is written; None if there is no memory."""
        raise NotImplementedError

    def memory_of(self, mapping: Any) -> Any:
        """What a page that the device gives begins with."""
        raise NotImplementedError

    # What stands for loops, and for pool_find_page.

    def of_this(self, pool: Any) -> None:
        self.path.show("the function is called for this pool", lambda: pool == Pointer(self.view, 0))

    def known_to_find_pages(self, pool: Any) -> None:
        """pool_find_page runs, of which `lookup_case` says of which builds it is proved. Raises NotFollowed."""
        self.of_this(pool)
        self.locked.needed("pool_find_page")
        if not lookup_case(self.code):
            self.code.alike("pool_find_page", whole=True)

    def interpreter(self) -> Interpreter:
        interpreter = self.running()
        if self.debug:
            looked_over = self.looked_over_at_once if self.code.looks_at_once else self.looked_over
            poison = self.path.lemma(claims.reports_are_the_kernels, looked_over, "poison")
            if self.code.looks_at_once:
                interpreter.externals["memchr_inv"] = poison
            else:
                interpreter.cuts[self.poison_loop()] = poison
        return interpreter

    def laid(self, idle: bool) -> Laid:
        """Have the blocks of a new page free: but for the last one, unless the last turn of the loop places none, as it is
        `idle`."""
        raise NotImplementedError

    def looked_over(self, arrived: Variables) -> Variables:
        """Nobody wrote to a free block: the loop over the bytes behind its link says nothing, and ends."""
        return self.having_looked_at(arrived, self.geometry.size - self.LINK)

    def looked_over_at_once(self, start: Pointer, byte: Any, nbytes: Any) -> int:
        """The same of memchr_inv, which finds nothing."""
        self.looked_at = [start + -self.LINK]
        is_poison = byte % 256 == POOL_POISON_FREED and self.freed is None
        behind_the_link = "memchr_inv looks for poison behind the link of a block that is handed out"
        self.path.follow(behind_the_link, lambda: is_poison and nbytes == self.geometry.size - self.LINK)
        return 0

    def having_looked_at(self, arrived: Variables, nbytes: Any) -> Variables:
        """The variables of that loop after so many turns, whether it goes up or down. Raises NotFollowed for another loop."""
        name, head = self.poison_loop()
        known = {variable(one): how for one, how in steps(self.code.debugging.function(name), head).items()}
        if others := [one for one, (_, step) in known.items() if step == 0]:
            reason = f"what {others[0]} holds in any turn of the loop over a block's bytes is not known"
            raise NotFollowed(reason).at(self.code.debugging.place(name, head))
        return after(known, nbytes, arrived)

    def poison_loop(self) -> tuple[str, str]:
        """Over the bytes of a block: its function, and where a turn begins."""
        raise NotImplementedError

    # The interface that drivers have.

    def started(self, zero: bool = False, flags: Any = None) -> tuple[Interpreter, Frame]:
        """dma_pool_alloc, about to begin; what it stores at its handle is `given`."""
        self.given = Struct("handle", {0: Field("dma", 64)}, unwritten=Fault, private=True)
        interpreter = self.interpreter()
        self.last_turn = LastTurn(self, interpreter)
        flags = self.flags if flags is None else flags
        if not isinstance(flags, int):
            self.path.assume(
                "an int has the flags, without __GFP_ZERO", lambda: flags < 2**31 and flags & GFP_ZERO == 0
            )
        self.flags = flags
        flags = flags + GFP_ZERO if zero else flags
        return interpreter, interpreter.enter("dma_pool_alloc", Pointer(self.view, 0), flags, Pointer(self.given, 0))

    def alloc(self, zero: bool = False, flags: Any = None) -> Any:
        interpreter, frame = self.started(zero, flags)
        interpreter.advance(frame)
        return self.result(frame)

    def result(self, frame: Frame) -> Any:
        header = self.header
        self.path.show_claim(
            claims.structs_are_freed, [] if header is None or header.freed or not header.private else [header]
        )
        if isinstance(frame.result, Pointer):
            if isinstance(self.flags, int) and self.flags & GFP_DIRECT_RECLAIM and not self.told:
                self.locked.misuse.append("an alloc that may sleep does not say so (might_alloc)")
            if self.looked_at:
                handed_out = "a block that is looked through is the one that is handed out"
                self.path.follow(handed_out, lambda: frame.result in self.looked_at)
            return self.address(frame.result), self.given["dma"]
        self.path.follow("it returns a block or NULL", lambda: frame.result == 0)
        return None

    def free(self, vaddr: Any, dma: Any) -> None:
        self.freed, self.freed_dma = vaddr, dma
        self.interpreter().call("dma_pool_free", Pointer(self.view, 0), self.pointer(vaddr), dma)

    def pointer(self, vaddr: Any) -> Any:
        """What C has for a block's address."""
        return vaddr

    def address(self, pointer: Pointer) -> Any:
        """A block's address, of what C has."""
        return pointer
