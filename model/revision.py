"""A revision is a version of the allocator, a target one of its pools: what a run needs to know of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from model.claims import debug_is_on_where_it_was
from model.pool import Page
from model.promises import SERIES, Promises
from model.trace import Kernel

if TYPE_CHECKING:
    from model.checks import Checks
    from model.events import Outcome

KERNEL = "kernel"
"""The name of the revision that is a kernel's own file, if there is one."""

LARGEST_PAGE = 2**22
"""Bytes of the largest page that a run may ask for: they are really allocated."""


class Target(Protocol):
    """A pool of a revision. It raises TimeoutError where the kernel would never return, RuleError, or what has a `claim` as
    well, where it breaks a claim that is known there, and anything else for a crash."""

    log: list[str]

    def alloc(self, zero: bool = False, flags: str = "GFP_KERNEL") -> tuple[int, int] | None: ...
    def free(self, vaddr: int, dma: int) -> None: ...
    def destroy(self) -> None: ...
    def poolinfo(self) -> str: ...


@dataclass(frozen=True)
class TreeNode:
    """A node of a pool's tree of pages: the page's DMA address, the node's colour, what hangs on its left and right."""

    dma: int
    red: bool
    left: "TreeNode | None"
    right: "TreeNode | None"


@dataclass(frozen=True)
class Inside:
    """What a pool keeps to itself, for pictures: its free lists, as the virtual addresses of their blocks, and its tree."""

    free_lists: list[list[int]]
    tree: TreeNode | None = None


class RuleError(Exception):
    """What a pool did against a claim that is known where it was noticed, by its name."""

    def __init__(self, claim: str, words: str) -> None:
        super().__init__(words)
        self.claim = claim


@dataclass(frozen=True)
class Revision:
    """A version of the allocator: its `dma_pool_create`, what its pools promise, and a look inside them, for claims that an
    outsider can't see.

    `look` is given the page that a step was about, if there is one, and whether the step has added a page. `inside` says what
    pictures show of the pool. `together` runs callers at once, as `kernel.callers.run_callers` does. `past` is what
    `going_past` was given; `goes_past` says that `create` takes that, too.
    """

    create: Callable[..., Target | None]
    promises: Promises = SERIES
    look: "Callable[[Checks, Any, Page | None, bool], None] | None" = None
    inside: Callable[[Any], Inside] | None = None
    together: "Callable[..., Outcome] | None" = None
    past: frozenset[str] = frozenset()
    goes_past: bool = False

    def going_past(self, breaks: Iterable[str]) -> "Revision":
        """The same, for runs that go on after some breaks: of claims, by their names, or of a claim in a line of C, as
        `locking_rules_are_kept@dmapool.c:368`. What a run cannot follow ends it all the same, and nothing is told of that."""
        past = self.past.union(breaks)
        return replace(
            self, past=past, create=partial(self.create, past=past) if self.goes_past and past else self.create
        )

    def held_to(self, kernel: Kernel) -> Kernel:
        """The kernel whose pools this one's are compared with: one with debugging where a boot option turns it on; past the
        break that debugging is off where only the configuration has it on, one without it, so that nothing is told of what
        follows from that."""
        on = kernel.sets_options() and self.promises.debugs_by_option
        configured = kernel.debug and debug_is_on_where_it_was.name not in self.past
        return replace(kernel, debug=on or configured, with_options=None)
