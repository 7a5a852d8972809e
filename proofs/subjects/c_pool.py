"""The pool of a kernel's own mm/dmapool.c, compiled as it is: its dma_pool_create, its layout turn by turn, its row.

Memory for the pool itself is always there; the device gives a page that does not wrap around in its address space. The loop of
pool_initialise_page is cut where it begins a turn: the variables of C that the proof knows there are arbitrary, as far as the
invariant allows. A loop with other variables, or one that writes what the proof does not know of, is not followed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from impl.layout import Cursor, Geometry
from kernel.build import Source
from kernel.execute import Interpreter
from kernel.ir import Field, Module, NotFollowed, ir_of
from kernel.objects import DmaPage, Fault, Pointer, Struct
from kernel.pool import promises_of
from model import claims
from model.memory import DMA_BASE
from model.promises import SERIES, V6_1, V6_12, Promises
from model.revision import KERNEL
from proofs.engine.path import AssertionFailed
from proofs.subjects.subject import PAGE_SIZE, Blocks, Subject, Turn

QUIET = [
    "strscpy",
    "spin_lock_init",
    "spin_lock",
    "spin_unlock",
    "poolproof_irqs",
    "mutex_lock",
    "mutex_unlock",
    "mutex_init",
    "kfree",
    "device_create_file",
    "might_alloc",
    "might_sleep",
    "poolproof_log",
    "device_remove_file",
]
"""What the code calls and what changes nothing that a proof is about."""


def fill(to: Pointer, byte: int, nbytes: Any, *_: Any) -> Pointer:
    to.object.fill(to.offset, nbytes, byte % 256)
    return to


def copy(to: Pointer, source: Pointer, nbytes: Any, *_: Any) -> Pointer:
    """memcpy of a word."""
    if not (isinstance(nbytes, int) and nbytes in (1, 2, 4, 8)):
        raise NotFollowed(f"{nbytes} bytes are copied")
    to.object.store(to.offset, 8 * nbytes, source.object.load(source.offset, 8 * nbytes))
    return to


MEMORY: dict[str, Callable[..., Any]] = {
    "memset": fill,
    "llvm.memset.p0.i64": fill,
    "memcpy": copy,
    "llvm.memcpy.p0.p0.i64": copy,
}
"""What changes memory, whatever it is."""

TURN = {V6_1: {"offset", "next_boundary"}, V6_12: {"offset", "next_boundary", "first", "last"}}
"""The variables of the loop in pool_initialise_page that change from turn to turn."""


@dataclass(frozen=True)
class Code:
    """A file, compiled with its debugging code and without, and what it is held to: v6.1, the series, or v6.12."""

    source: Source
    module: Module
    debugging: Module
    promises: Promises

    @property
    def stacks(self) -> bool:
        """Free blocks are a stack through the whole pool, not a list in each page."""
        return self.promises is V6_12

    def struct(self, name: str) -> Struct:
        fields, place = self.module.struct(name)
        return Struct(name, fields, place=place)

    def not_followed(self, reason: str, function: str, block: str = "") -> NotFollowed:
        """What says that a function, or a block of it, is not followed, with the line of C."""
        place = self.module.place(function, block) if block else self.module.place_of(function)
        return NotFollowed(reason).at(place)

    def interpreter(self, **externals: Any) -> Interpreter:
        return Interpreter(self.module, {name: lambda *_: 0 for name in QUIET} | MEMORY | externals)


def compile_file(source: Source) -> Code:
    """Compile a file. Raises BuildError."""
    return Code(source, ir_of(source), ir_of(source, debug=True), promises_of(source))


NUMA_NO_NODE = 2**32 - 1


def created(code: Code, size: Any, align: Any, boundary: Any, page_size: Any) -> Struct | None:
    """The pool that dma_pool_create makes; None where it refuses. Quotients, which no geometry depends on, stay uncomputed."""
    device = code.struct("device")
    for link in ("dma_pools.next", "dma_pools.prev"):
        device[link] = device.at("dma_pools.next")

    def memory(unwritten: int | type[Fault]) -> Pointer:
        return Pointer(replace(code.struct("dma_pool"), unwritten=unwritten), 0)

    interpreter = code.interpreter(kmalloc=lambda *_: memory(Fault), kzalloc=lambda *_: memory(0))
    interpreter.uncomputed = frozenset({"udiv", "urem"})
    interpreter.globals["poolproof_page_size"] = Pointer(page_size_of(page_size), 0)
    arguments = (0, Pointer(device, 0), size, align, boundary)
    if "dma_pool_create_node" in code.module.functions:  # Linux 6.16 and later: dma_pool_create is inline in a header
        made = interpreter.call("dma_pool_create_node", *arguments, NUMA_NO_NODE)
    else:
        made = interpreter.call("dma_pool_create", *arguments)
    return made.object if isinstance(made, Pointer) else None


def page_size_of(page_size: Any) -> Struct:
    return Struct("PAGE_SIZE", {0: Field("value", 64)}, {0: page_size})


def geometry_of(pool: Struct | None) -> Geometry | None:
    return None if pool is None else Geometry(pool["size"], pool["boundary"], pool["allocation"])


Check = Callable[[Any, Any], None]
"""Of an access to a page: its offset, and its bytes."""


def anywhere(offset: Any, nbytes: Any) -> None:
    """No check: for refutations, which are run again natively, and for plain integers."""


class LoopInC:
    """A `PageLoop` of C: pool_initialise_page at work on a page. `check` is given each access to the page's bytes."""

    def __init__(self, code: Code, geometry: Any, dma: Any, check: Check = anywhere) -> None:
        self.code = code
        self.known = TURN[V6_12 if code.stacks else V6_1]
        self.memory = DmaPage(check)
        self.dma = dma
        self.nr_blocks: Any = 0  # before a turn
        self.pool, self.page = code.struct("dma_pool"), code.struct("dma_page")
        for name in ("size", "boundary", "allocation"):
            self.pool[name] = getattr(geometry, name)
        self.page["vaddr"], self.page["dma"] = Pointer(self.memory, 0), dma
        if code.stacks:
            self.tail = Pointer(Struct("the blocks of other pages", {}), 0)
            self.pool["next_block"], self.pool["nr_blocks"], self.pool["nr_pages"] = self.tail, 0, 0
            for link in ("page_list.next", "page_list.prev"):
                self.pool[link] = self.pool.at("page_list.next")
        self.interpreter = code.interpreter()
        self.frame = self.interpreter.enter("pool_initialise_page", Pointer(self.pool, 0), Pointer(self.page, 0))

    def lost(self, reason: str, block: str = "") -> NotFollowed:
        return self.code.not_followed(reason, "pool_initialise_page", block)

    def first(self) -> Cursor:
        """Run to the first turn. Raises NotFollowed for a loop that is not the one that the proof knows."""
        heads = self.frame.function.loops
        if len(heads) != 1:
            raise self.lost(f"pool_initialise_page has {len(heads)} loops, not 1")
        arrived = self.interpreter.advance(self.frame, heads[0])
        if arrived is None:
            raise self.lost("pool_initialise_page returns before its loop")
        if set(arrived) != self.known:
            changed, known = ", ".join(sorted(arrived)), ", ".join(sorted(self.known))
            raise self.lost(f"this loop changes {changed}; the proof knows {known}", heads[0])
        if self.code.stacks and (arrived["first"], arrived["last"]) != (0, 0):
            raise self.lost("the loop begins with blocks", heads[0])
        if self.memory.log:
            raise self.lost("blocks are placed before the loop", heads[0])
        return Cursor(arrived["offset"], arrived["next_boundary"])

    def turn(self, at: Cursor, last: Any = None) -> Turn:
        """One turn from there. Raises NotFollowed if it changes what the proof does not know of."""
        self.memory.log.clear()
        variables: dict[str, Any] = {"offset": at.offset, "next_boundary": at.next_boundary}
        if self.code.stacks:
            self.pool["nr_blocks"] = self.nr_blocks
            variables["last"] = 0 if last is None else Pointer(self.memory, last)
            variables["first"] = 0 if last is None else Pointer(self.memory, 0)
        before = dict(self.pool.cells), dict(self.page.cells)
        arrived = self.interpreter.resume(self.frame, variables)
        if arrived is not None and not self.code.stacks and not self.interpreter.goes_on(self.frame):
            arrived = None
        turn = self.placed_link() if not self.code.stacks else placed_block(arrived, last)
        if arrived is None:
            return turn
        for struct, cells in zip((self.pool, self.page), before, strict=True):
            for offset, value in struct.cells.items():
                if value is not cells.get(offset) and struct.fields[offset].name != "nr_blocks":
                    raise self.lost(f"a turn of this loop changes {struct.name}.{struct.fields[offset].name}")
        return turn._replace(following=Cursor(arrived["offset"], arrived["next_boundary"]))

    def placed_link(self) -> Turn:
        """Of a list of offsets: the block whose link was written."""
        if len(self.memory.log) > 1:
            raise self.lost(f"a turn of this loop writes {len(self.memory.log)} links")
        placed = self.memory.log[0].offset if self.memory.log else None
        return Turn(placed, None, placed)

    def link(self, at: Cursor) -> Any:
        return self.stored(at.offset)

    def total(self) -> Any:
        return total_in_the_row(self.code, self.pool)

    def stored(self, offset: Any) -> Any:
        """What was stored there in this turn."""
        for store in reversed(self.memory.log):
            if store.offset is offset or store.offset == offset:
                return store.value
        raise self.lost("nothing is stored where a link is expected")


def placed_block(arrived: dict[str, Any] | None, last: Any) -> Turn:
    """Of a stack: what the variables `last` and `first` say, once a turn has ended. One that leaves the loop places none."""
    if arrived is None:
        return Turn(None, None, last)
    by_then, start = offset_of(arrived["last"]), offset_of(arrived["first"])
    return Turn(None if by_then is last else by_then, None, by_then, start)


def offset_of(pointer: Any) -> Any:
    """Where a variable of C points to in the page, if it does."""
    return pointer.offset if isinstance(pointer, Pointer) else None


def subject_of(code: Code) -> Subject:
    """A kernel's file, as what proofs are about. Whatever is shown of a turn, its accesses have to stay in the page."""

    def create(*arguments: Any) -> Geometry | None:
        return geometry_of(created(code, *arguments))

    def page(path: Any, geometry: Geometry) -> LoopInC:
        return any_page_of(path, code, geometry, partial(stay_inside, geometry.allocation), LoopInC)

    return Subject(KERNEL, code.promises, create, page, partial(placed_blocks, code), skips=code.stacks, writes=True)


P = TypeVar("P", bound=LoopInC)


def any_page_of(path: Any, code: Code, geometry: Geometry, check: Check, kind: type[P]) -> P:
    """A page at any address of the device's."""
    dma = path.number("dma")
    path.assume("the page lies in the address space", lambda: dma + geometry.allocation <= 2**64)
    return kind(code, geometry, dma, check)


def stay_inside(allocation: Any, offset: Any, nbytes: Any) -> None:
    """A write outside of the page could change what the proof takes to be as it was: then nothing is proved."""
    if not is_inside(allocation, offset, nbytes):
        raise AssertionFailed(claims.pool_stays_in_its_memory.name)


def is_inside(allocation: Any, offset: Any, nbytes: Any) -> bool:
    return bool(offset >= 0 and offset + nbytes <= allocation)


def total_in_the_row(code: Code, pool: Struct) -> Any:
    """What pools_show prints of a pool with one page as its total of blocks."""
    device, page = code.struct("device"), code.struct("dma_page")
    rows: list[tuple[Any, ...]] = []

    def printed(*arguments: Any) -> int:
        if len(arguments) == 8:
            rows.append(arguments)
        return 1

    for name in ("next", "prev"):
        device[f"dma_pools.{name}"] = pool.at("pools.next")
        pool[f"pools.{name}"] = device.at("dma_pools.next")
    tree = code.promises is SERIES
    if tree:
        pool["page_tree.rb_node"] = page.at(node_field(page, 0))
    else:
        for name in ("next", "prev"):
            pool[f"page_list.{name}"] = page.at("page_list.next")
            page[f"page_list.{name}"] = pool.at("page_list.next")
    if not code.stacks:
        page["in_use"] = 0
    else:
        pool["nr_active"], pool["nr_pages"] = 0, 1
    interpreter = code.interpreter(
        scnprintf=printed,
        sysfs_emit=printed,
        sysfs_emit_at=printed,
        rb_first=lambda root: root.object.load(root.offset, 64),
        rb_next=lambda _: 0,
    )
    interpreter.globals["poolproof_page_size"] = Pointer(page_size_of(PAGE_SIZE), 0)
    interpreter.call("pools_show", Pointer(device, 0), 0, Pointer(Struct("buf", {}), 0))
    if len(rows) != 1:
        raise code.not_followed("pools_show prints no row that is known here", "pools_show")
    return rows[0][5]


def node_field(page: Struct, place: int) -> str:
    """The name of a field of a page's rb_node: the first is its place in the page."""
    names = [known.name for known in page.fields.values() if known.name.startswith("page_node.")]
    if len(names) < 3:
        raise NotFollowed("there is no page_node").at(page.place or "struct dma_page")
    return names[place]


def placed_blocks(code: Code, geometry: Any, most: int) -> tuple[Blocks, str]:
    """The blocks that the C places in a page, on plain integers, at most so many; and what else goes wrong."""
    placed: Blocks = []
    page = LoopInC(code, geometry, DMA_BASE)
    dma = code.struct("dma_block").offset_of("dma") if code.stacks else None
    try:
        at: Cursor | None = page.first()
        last = None
        for _ in range(2 * most + 2):
            if at is None or len(placed) >= most:
                return placed, ""
            here = at
            offset, at, last, _ = page.turn(here, last)
            if offset is not None:
                placed.append((offset, None if dma is None else page.stored(offset + dma) - DMA_BASE))
            if at is not None and not code.stacks and page.link(here) != at.offset:
                return placed, f"the link at {here.offset} leads to {page.link(here)}, the next block is at {at.offset}"
    except NotFollowed:
        raise
    except Exception as failure:
        return placed, str(failure)
    return placed, "the loop goes on without a block"
