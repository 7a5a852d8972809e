"""The state machine: drives any target beside the oracle, with drawn geometries, orders, failures and misuse.

The claims that an outsider can see are checked by `model.lockstep` after every step. The invariants below, named by their
claims, look inside the pools of `impl`.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from impl.pool import FREE_LINK, Page, Pool
from impl.rbtree import LEFT, RIGHT
from model import claims
from model.claims import Claim
from model.lockstep import Lockstep, Revision
from model.trace import Alloc, Create, Destroy, Free, Kernel, PageChoice, PoolInfo

kernels = st.builds(
    Kernel,
    # Pages this small fill and empty within a few steps; the kernel's own are among them.
    page_size=st.sampled_from([16, 32, 64, 256, 4096, 16384, 65536]),
    debug=st.booleans(),
    init_on_alloc=st.booleans(),
    init_on_free=st.booleans(),
)


@st.composite
def arguments(draw: st.DrawFn, page_size: int) -> Create:
    """Arguments of dma_pool_create: a few blocks in a page, odd sizes, sometimes more than a page, sometimes refused."""
    size = draw(st.one_of(st.integers(1, 40), st.integers(page_size // 5, page_size), st.integers(0, 2 * page_size)))
    align = draw(st.one_of(st.sampled_from([0, 1, 2, 4, 8, 16]), st.integers(0, 2 * page_size)))
    boundary = draw(st.one_of(st.just(0), st.integers(2, 17).map(lambda n: 1 << n), st.integers(0, 2 * page_size)))
    name = draw(st.sampled_from(["pool", "", "a name of more than 31 characters, which is cut"]))
    return Create(size, align, boundary, name)


class PoolMachine(RuleBasedStateMachine):
    """A pool on a device; when it is destroyed, another one on another device."""

    revision: ClassVar[Revision]

    def __init__(self) -> None:
        super().__init__()
        self.lockstep: Any = None
        self.named = 0

    def run(self, step: Any) -> None:
        with watchdog():
            self.lockstep.run(step)

    @initialize(data=st.data())
    def create(self, data: st.DataObject) -> None:
        kernel = data.draw(kernels)
        self.lockstep = Lockstep(self.revision, kernel)
        self.run(data.draw(arguments(kernel.page_size)))

    @precondition(lambda self: self.lockstep.target is None)
    @rule(data=st.data())
    def create_another(self, data: st.DataObject) -> None:
        self.create(data)

    @precondition(lambda self: self.lockstep.target is not None)
    @rule(zero=st.booleans(), slot=st.integers(0, 63), device=st.sampled_from(["serves"] * 10 + ["fails", "overlaps"]))
    def alloc(self, zero: bool, slot: int, device: str) -> None:
        """`slot` chooses where a page goes, if one is needed: neighbours, ascending, descending, scattered."""
        self.named += 1
        place = None if device == "fails" else self.free_place(slot)
        notices = self.revision.promises.notices_overlap
        if device == "overlaps" and notices and (pages := self.lockstep.oracle.pages):
            # From above: a page that starts below another is not refused, as the prover shows.
            place = pages[slot % len(pages)].mapping.dma + slot % self.lockstep.oracle.geometry.allocation
        self.run(Alloc(f"b{self.named}", zero, PageChoice(place)))

    @precondition(lambda self: self.lockstep.target is not None and self.lockstep.live())
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        self.run(Free(data.draw(st.sampled_from(self.lockstep.live()))))

    @precondition(lambda self: self.lockstep.target is not None and self.lockstep.blocks)
    @rule(data=st.data())
    def free_a_foreign_address(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.lockstep.blocks)))
        if self.is_noticed(name, 0, 1 << 62):
            self.run(Free(name, dma_plus=1 << 62))

    @precondition(lambda self: self.lockstep.target is not None and self.lockstep.kernel.debug and self.lockstep.blocks)
    @rule(data=st.data(), vaddr_plus=st.sampled_from([0, 1, -4]))
    def free_wrongly(self, data: st.DataObject, vaddr_plus: int) -> None:
        """A block that is free already, or whose addresses don't match: debug builds refuse what they notice."""
        live = self.lockstep.live()
        wrong = [name for name in self.lockstep.blocks if vaddr_plus or name not in live]
        if wrong:
            name = data.draw(st.sampled_from(wrong))
            if self.is_noticed(name, vaddr_plus, 0):
                self.run(Free(name, vaddr_plus=vaddr_plus))

    @precondition(lambda self: self.lockstep.target is not None)
    @rule()
    def poolinfo(self) -> None:
        self.run(PoolInfo())

    # Now and then, so that most pools grow old before.
    @precondition(lambda self: self.lockstep.target is not None and self.named % 8 == 7)
    @rule()
    def destroy(self) -> None:
        self.run(Destroy())

    def teardown(self) -> None:
        if self.lockstep is not None and self.lockstep.target is not None:
            self.run(Destroy())

    @precondition(lambda self: self.is_series())
    @invariant()
    def tree_keeps_pages_in_order(self) -> None:
        pages = list(self.pool.page_tree)
        for lower, higher in pairwise(pages):
            self.check(claims.tree_keeps_pages_in_order, lower.dma, higher.dma)

    @precondition(lambda self: self.is_series())
    @invariant()
    def insertion_keeps_pages_disjoint(self) -> None:
        pages = list(self.pool.page_tree)
        for lower, higher in pairwise(pages):
            self.check(claims.insertion_keeps_pages_disjoint, lower.dma, higher.dma, self.pool.geometry.allocation)

    @precondition(lambda self: self.is_series())
    @invariant()
    def lookup_finds_the_page_of_an_address(self) -> None:
        tree, allocation = self.pool.page_tree, self.pool.geometry.allocation
        for page in tree:
            for address in (page.dma - 1, page.dma, page.dma + allocation - 1, page.dma + allocation):
                found = tree.find(address) is page
                self.check(claims.lookup_finds_the_page_of_an_address, page.dma, allocation, address, found)

    @precondition(lambda self: self.is_series())
    @invariant()
    def tree_is_balanced(self) -> None:
        loose: list[int] = []  # nodes that do not know their parent
        red_above_red: list[int] = []
        black_heights: list[int] = []

        def walk(node: Any, parent: Any, black_height: int) -> None:
            if node is None:
                black_heights.append(black_height)
                return
            if node.parent is not parent:
                loose.append(node.dma)
            if node.red and parent is not None and parent.red:
                red_above_red.append(node.dma)
            walk(node.child[LEFT], node, black_height + (not node.red))
            walk(node.child[RIGHT], node, black_height + (not node.red))

        root = self.pool.page_tree.root
        walk(root, None, 0)
        red_root = root is not None and root.red
        self.check(claims.tree_is_balanced, loose, red_root, red_above_red, black_heights)

    @precondition(lambda self: self.is_series())
    @invariant()
    def pages_with_room_are_listed(self) -> None:
        listed: list[int] = []
        link = self.pool.avail_page_list.next
        while link is not self.pool.avail_page_list and len(listed) <= len(self.lockstep.oracle.pages):
            listed.append(link.owner.dma if link.next.prev is link else -1)
            link = link.next
        room = {page.mapping.dma for page in self.lockstep.oracle.pages if len(page.in_use) < self.blocks_per_page()}
        self.check(claims.pages_with_room_are_listed, listed, room)

    @precondition(lambda self: self.is_series())
    @invariant()
    def in_use_counts_the_live_blocks(self) -> None:
        for page in self.lockstep.oracle.pages:
            twin = self.pool.page_tree.find(page.mapping.dma)
            self.check(claims.in_use_counts_the_live_blocks, twin.in_use if twin else 0, len(page.in_use))

    @precondition(lambda self: self.is_series())
    @invariant()
    def free_list_holds_the_free_blocks(self) -> None:
        for page in self.lockstep.oracle.pages:
            twin = self.pool.page_tree.find(page.mapping.dma)
            free = set(self.lockstep.oracle.offsets) - page.in_use
            self.check(claims.free_list_holds_the_free_blocks, self.chain(twin), free)

    def chain(self, page: Page | None) -> list[int]:
        """The offsets of a page's free list, as far as it makes sense to follow it."""
        offsets: list[int] = []
        offset = self.pool.geometry.allocation if page is None else page.offset
        while offset < self.pool.geometry.allocation and len(offsets) <= self.blocks_per_page():
            offsets.append(offset)
            (offset,) = FREE_LINK.unpack_from(page.data, offset)  # type: ignore[union-attr]
        return offsets

    def check(self, claim: Claim, *arguments: Any) -> None:
        if not claim(*arguments):
            raise self.lockstep.broken(claim, claim.sentence, f"{claim.name}{arguments}")

    def is_series(self) -> bool:
        return self.lockstep is not None and type(self.lockstep.target) is Pool

    @property
    def pool(self) -> Pool:
        pool = self.lockstep.target
        assert isinstance(pool, Pool)
        return pool

    def blocks_per_page(self) -> int:
        return len(self.lockstep.oracle.offsets)

    def free_place(self, slot: int) -> int:
        """A DMA address for a page, naturally aligned, that overlaps no live page: the slot's, or the next free one."""
        allocation = self.lockstep.oracle.geometry.allocation
        alignment = 1 << (allocation - 1).bit_length()
        taken = {mapping.dma for mapping in self.lockstep.memory.mappings.values()}
        while slot * alignment in taken:
            slot += 1
        return int(slot * alignment)

    def is_noticed(self, name: str, vaddr_plus: int, dma_plus: int) -> bool:
        """Whether a free of these addresses is promised to be reported; a freed block may be in use again by now."""
        block = self.lockstep.blocks[name]
        return bool(self.lockstep.oracle.complaint(block.vaddr + vaddr_plus, block.dma + dma_plus))


@contextmanager
def watchdog(seconds: float = 10) -> Iterator[None]:
    """Raise TimeoutError in code that seems to run for ever; a step takes milliseconds."""

    def bark(*_: Any) -> None:
        raise TimeoutError(f"no answer within {seconds} seconds")

    before = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def machine(revision: Revision) -> type[PoolMachine]:
    """The state machine that drives one revision."""
    return type("PoolMachine", (PoolMachine,), {"revision": revision})
