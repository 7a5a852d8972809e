"""What a kernel's file promises, found by trying it: pools are created, used and misused, and what can be seen of that decides.

A file is held to what the version promises that it is most like, and to what it does better than that: a defect of v6.1 that is
mended must not come back in another pool. What it does worse than that version is no promise, but a finding.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from kernel.build import Source, Variant
from kernel.compiler import BuildError
from kernel.pool import KernelPool, boot_options, poisons
from model.claims import locking_rules_are_kept
from model.memory import Memory
from model.promises import BETTER, SERIES, V6_1, V6_12, Promises
from model.revision import Revision

PLACES = (0x1_0003_0000, 0x1_0001_0000, 0x1_0002_0000)
"""DMA addresses of the pages that the device gives: a tree keeps them in another order than a list."""

PAGE = 64
"""The kernel's page size in bytes, where no other is said."""


class Trial:
    """A pool of a file that is tried, and the blocks that it has given so far. It raises what the pool raises."""

    def __init__(
        self,
        source: Source,
        size: int,
        boundary: int = 0,
        page_size: int = PAGE,
        *,
        blocks: int = 0,
        places: tuple[int, ...] = PLACES,
        **options: Any,
    ) -> None:
        given = iter(places)
        self.memory = Memory(lambda _: next(given, None))
        arguments = ("pool", self.memory, size, 1, boundary)
        pool = KernelPool.create(
            *(source, Variant(), *arguments),
            past=(locking_rules_are_kept.name,),
            unfailing=True,
            page_size=page_size,
            **options,
        )
        assert pool is not None, "it is refused"
        self.pool = pool
        self.blocks = [block for _ in range(blocks) if (block := pool.alloc()) is not None]

    def numbers(self) -> list[str]:
        """What is in the row, behind the name."""
        return self.pool.poolinfo().split()[1:]

    def content(self, number: int, nbytes: int) -> bytes:
        return bytes(self.memory.block(self.blocks[number][0], nbytes))

    def given_back(self) -> list[int]:
        """Destroy the pool: the DMA addresses of the pages that the device gets back, in this order."""
        taken, take = list[int](), self.memory.free_coherent

        def noted(nbytes: int, vaddr: int, dma: int) -> None:
            taken.append(dma)
            take(nbytes, vaddr, dma)

        self.memory.free_coherent = noted  # type: ignore[method-assign]
        self.pool.destroy()
        return taken


def columns(source: Source) -> tuple[int, ...]:
    """Where in the row the numbers of 3 blocks in use, of 102 of 40 bytes, in 1 page are; counted from its end."""
    try:
        numbers = Trial(source, 40, page_size=4096, blocks=3).numbers()
        places = list[int]()
        for number in ("3", "102", "40", "1"):
            places.append(numbers.index(number, places[-1] + 1 if places else 0))
    except Exception:  # an alloc that crashes, or numbers that are wrong: a row can be read all the same
        return SERIES.columns
    return tuple(place - len(numbers) for place in places)


def smallest_block(source: Source) -> int:
    """As the row says, unless no page has room for that."""
    said = int(Trial(source, 1, page_size=4096).numbers()[columns(source)[2]])
    assert said <= 4096, "the row does not say how large a block is"
    return said


def lays_up_to_the_boundary(source: Source) -> bool:
    return len(Trial(source, 32, 64, 128, blocks=4).memory.mappings) == 1


def clips_the_boundary(source: Source) -> bool:
    return len(Trial(source, 24, 128, blocks=3).memory.mappings) == 2


def counts_what_is_laid(source: Source) -> bool:
    return Trial(source, 24, 64, 128, blocks=1).numbers()[columns(source)[1]] == "4"


def reporting(source: Source, form: str, use: Callable[[Trial], object]) -> str:
    """The function that a message of a debug build names."""
    tried = Trial(source, 32, blocks=2, debug=True)
    use(tried)
    return next(named[1] for message in tried.pool.log if (named := re.match(form, message)))


def reports_of_alloc(source: Source) -> str:
    def use(tried: Trial) -> None:
        (vaddr, dma), _ = tried.blocks
        tried.pool.free(vaddr, dma)
        tried.memory.block(vaddr + 24, 1)[:] = b"\0"
        tried.pool.alloc()

    return reporting(source, r"(\w+) pool, \w+ \(corrupted\)", use)


def reports_of_free(source: Source) -> str:
    def use(tried: Trial) -> None:
        for _ in range(2):
            tried.pool.free(*tried.blocks[0])

    return reporting(source, r"(\w+) pool, dma \w+ already free", use)


def silent_at_a_free(source: Source, **options: Any) -> Trial:
    """A pool with two blocks in use, of a file that reports no proper free: or else a report of a wrong one shows nothing."""
    proper = Trial(source, 32, blocks=2, **options)
    for block in proper.blocks:
        proper.pool.free(*block)
    assert not proper.pool.log, "a proper free is reported"
    return Trial(source, 32, blocks=2, **options)


def foreign_dma(source: Source, debug: bool = False) -> list[str]:
    """What is said of a free in no page."""
    tried = silent_at_a_free(source, debug=debug)
    tried.pool.free(tried.blocks[0][0], tried.blocks[0][1] + 2**20)
    return tried.pool.log


def notices_foreign_dma(source: Source) -> bool:
    return bool(foreign_dma(source))


def reports_of_foreign_dma(source: Source) -> str:
    return next(
        named[1]
        for message in foreign_dma(source, debug=True)
        if (named := re.match(r"(\w+) pool, \S+ \(bad dma\)", message))
    )


def wrong_vaddr(source: Source, **options: Any) -> Trial:
    """A free of one block's virtual and another's DMA address, in a debug build."""
    tried = silent_at_a_free(source, debug=True, **options)
    tried.pool.free(tried.blocks[1][0], tried.blocks[0][1])
    return tried


def notices_wrong_vaddr(source: Source) -> bool:
    return bool(wrong_vaddr(source).pool.log)


def refuses_before_filling(source: Source) -> bool:
    tried = wrong_vaddr(source, init_on_free=True)
    return bool(tried.pool.log) and tried.content(1, 32) == b"\xa9" * 32


def notices_overlap(source: Source) -> bool:
    return len(Trial(source, PAGE, blocks=2, places=(PLACES[0], PLACES[0] + PAGE // 2)).blocks) == 1


def keeps_a_tree(source: Source) -> bool:
    """Whether pages are given back as a walk through a tree of them meets them, children first."""
    tried = Trial(source, PAGE, blocks=3)
    for block in tried.blocks:
        tried.pool.free(*block)
    return tried.given_back() == [PLACES[1], PLACES[0], PLACES[2]]


def leaks_every_page(source: Source) -> bool:
    """On destroy, where the second of two blocks is in use, each of which has a page."""
    tried = Trial(source, PAGE, blocks=2)
    tried.pool.free(*tried.blocks[0])
    given_back = tried.given_back()
    assert given_back in ([], [PLACES[0]]), "the page in use is given back"
    return not given_back


def always_debugs(source: Source) -> bool:
    return Trial(source, 32, blocks=1).content(0, 32) == b"\xa9" * 32


def debugs_by_option(source: Source) -> bool:
    return not source.real and bool(boot_options(source)) and poisons(source, debug=False, with_options=True)


TRIED: dict[str, Callable[[Source], Any]] = {
    look.__name__: look
    for look in (
        columns,
        smallest_block,
        lays_up_to_the_boundary,
        clips_the_boundary,
        counts_what_is_laid,
        reports_of_alloc,
        reports_of_free,
        reports_of_foreign_dma,
        notices_foreign_dma,
        notices_wrong_vaddr,
        refuses_before_filling,
        notices_overlap,
        keeps_a_tree,
        leaks_every_page,
        always_debugs,
        debugs_by_option,
    )
}
"""By the names of fields of `Promises`, but for `keeps_a_tree`."""

TELLING = ("smallest_block", "notices_foreign_dma", "notices_wrong_vaddr", "leaks_every_page")
"""What tells a stack of all free blocks from lists in each page: no single change of a file makes it like the other."""

AS_IT_IS = (
    "columns",
    "smallest_block",
    "reports_of_alloc",
    "reports_of_free",
    "reports_of_foreign_dma",
    "always_debugs",
    "boot_options",
    "debugs_by_option",
)
"""What a file may do in its own way: it is held to that."""


def promises_of(source: Source) -> Promises:
    """What a file is held to. Raises BuildError."""
    try:
        return _promises_of(source, source.file.stat().st_mtime_ns)
    except OSError as error:
        raise BuildError(f"{source.file}: {error.strerror}") from error


@lru_cache(maxsize=64)
def _promises_of(source: Source, _: int) -> Promises:
    seen: dict[str, Any] = {"boot_options": "" if source.real else ", ".join(boot_options(source))}  # not set there
    for name, look in TRIED.items():
        try:
            seen[name] = look(source)
        except BuildError:
            raise
        except Exception:  # a crash of any kind: that is for a hunt to find
            continue

    def agreeing(version: Promises) -> int:
        return sum(seen.get(name) == getattr(version, name) for name in TELLING)

    like = V6_12
    if agreeing(V6_1) > agreeing(V6_12):
        like = SERIES if seen.get("keeps_a_tree") or seen.get("notices_overlap") else V6_1
    better: dict[str, Any] = {name: value for name, value in seen.items() if name in BETTER and value is BETTER[name]}
    return replace(like, **(better | {name: seen[name] for name in AS_IT_IS if name in seen}))


def revision_of(source: Source, promises: Promises | None = None, variant: Variant | None = None) -> Revision:
    """A kernel's file as a revision; it is held to what was found by trying it, or to other `promises`. Raises BuildError."""
    create = partial(KernelPool.create, source, variant or Variant())
    return Revision(
        create, promises_of(source) if promises is None else promises, together=KernelPool.together, goes_past=True
    )
