"""Two kernels run with the same operations, and what can be seen to change."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from hunt import directed, profiles
from hunt.confirm import in_a_real_kernel, named
from hunt.edges import at_edges
from hunt.events import Tally
from hunt.machine import Dice, PoolMachine
from hunt.numbers import of_kernel, with_neighbours
from hunt.revisions import REVISIONS
from hunt.shrink import measure, number_of_steps, shrink, without_outcome
from hunt.surroundings import Surroundings, surroundings
from hunt.sweep import PAGE_SIZE, full_page, geometries, in_parts, natively, pools
from kernel.build import Source
from kernel.compiler import BuildError
from kernel.promises import promises_of, revision_of
from model.bad_input import BadInput
from model.checks import in_words
from model.geometry import number
from model.memory import Memory
from model.revision import LARGEST_PAGE, Revision, Target
from model.trace import Alloc, Create, Destroy, Free, OtherPool, Step, Trace, TraceError, Write, dumps, loads

OBSERVED = {
    "result": "what create gives, and which block an alloc gives, or NULL",
    "content": "the bytes of a block that is given, where it should be zero or poisoned",
    "memory": "the coherent memory that is asked for and given back",
    "messages": "what is logged",
    "row": "the pool's row in the pools file",
    "end": "crashes, misused locks, loops without an end",
}
"""What a driver, a device and a reader of the logs can see of a step."""

SHADOW = range(0x100000000000, 0x200000000000)
"""Where User Mode Linux has KASAN's shadow: CONFIG_KASAN_SHADOW_OFFSET, and an eighth of 2^47 bytes from there."""

STRAY = re.compile(r"(?<=SIGSEGV) at 0x(\w+)")
"""Where a pointer leads that is none: with other fields, or other memory around, elsewhere, which is no difference."""

RUNS = 1_000
"""Pools that are drawn."""

LONGEST = 50
"""Calls of such a pool, and of what others do meanwhile."""


@dataclass
class Observation:
    """What can be seen of a step, by the kinds of OBSERVED."""

    step: Step
    of: dict[str, str] = field(default_factory=lambda: dict.fromkeys(OBSERVED, ""))


class Observer:
    """Runs a trace on a pool, and records what can be seen; it checks no claim.

    In `observed`, steps that run inside others come after these.
    """

    def __init__(self, trace: Trace, revision: Revision, possible: bool = False) -> None:
        self.trace = trace
        self.possible = possible  # no device, unless it is meant to, gives an address that it has given
        self.revision = revision
        self.memory = Memory(remapped=trace.kernel.remapped)
        self.target: Target | None = None
        self.size = 0  # of a block, in bytes, as a driver knows it
        self.blocks: dict[str, tuple[int, int]] = {}
        self.observed: list[Observation] = []
        self.ended = False

    def run(self, step: Step) -> None:
        """Do a step, unless the pool has crashed, or there is none."""
        if self.ended or (self.target is None and not isinstance(step, Create)):
            return
        seen = Observation(step)
        self.observed.append(seen)
        logged, inside = len(self.target.log) if self.target is not None else 0, False
        try:
            self._do(step, seen)
            if self.target is not None and not self.ended:
                seen.of["row"] = self.target.poolinfo()
        except (TraceError, BadInput):
            raise
        except Exception as fault:  # a crash of any kind
            inside, self.ended = self.ended, True
            seen.of["end"] = re.sub(r", in \w+ \([^)]*\)", "", in_words(fault))  # lines move
        if self.target is not None and not inside:  # or else those are a step's that ran inside, and has ended the run
            seen.of["messages"] = "; ".join(self.target.log[logged:])
            if isinstance(step, Destroy):
                self.target = None

    def _do(self, step: Step, seen: Observation) -> None:
        target = self.target
        match step:
            case Create():
                options, arguments = self.trace.kernel.options(), (step.size, step.align, step.boundary)
                self.size = step.size
                self.target = self.revision.create(step.name, self.memory, *arguments, **options)
                seen.of["result"] = "NULL" if self.target is None else "a pool"
            case Alloc():
                assert target is not None
                outer, self.memory.place = self.memory.place, self._place(step, seen)
                block = target.alloc(step.zero, step.flags)
                self.memory.place = outer
                seen.of["result"] = (
                    "NULL" if block is None else f"the block at DMA address {block[1]:#x} ({block[0]:#x})"
                )
                if block is not None:
                    self._give(step, block, seen)
            case Free() if step.block in self.blocks:
                assert target is not None
                vaddr, dma = self.blocks[step.block]
                target.free((vaddr + step.vaddr_plus) % 2**64, (dma + step.dma_plus) % 2**64)
            case Write() if step.block in self.blocks:
                self._write(self.blocks[step.block][0] + step.offset, bytes.fromhex(step.data))
            case OtherPool():
                self.memory.place = self.memory.next_free_place if step.dma is None else lambda _: step.dma
                mapping = self.memory.alloc_coherent(max(self.size, 1))
                assert mapping is not None
                self.blocks[step.block] = mapping.vaddr, mapping.dma
            case Destroy():
                assert target is not None
                before = dict(self.memory.mappings)
                target.destroy()
                given_back = [f"{page.dma:#x}" for vaddr, page in before.items() if vaddr not in self.memory.mappings]
                seen.of["memory"] = f"given back: {', '.join(given_back) or 'none'}"

    def _place(self, step: Alloc, seen: Observation) -> Callable[[int], int | None]:
        """What the device does when it is asked for a page; a second one is its own choice."""

        def place(nbytes: int) -> int | None:
            first = not seen.of["memory"]
            seen.of["memory"] += f"{'' if first else ', '}{number(nbytes)} bytes are asked for"
            if nbytes > LARGEST_PAGE:
                return None
            if step.page is None or not first:
                return self.memory.next_free_place(nbytes)
            for nested in step.page.meanwhile:
                self.run(nested)
            if step.page.dma is not None and step.page.dma + nbytes > 2**64:
                return None  # the other version asks for a smaller page
            if self.possible and step.page.dma is not None and not step.page.forced:
                for mapping in self.memory.mappings.values():
                    if mapping.dma - nbytes < step.page.dma < mapping.dma + len(mapping.data):
                        raise TraceError(f"a page at {step.page.dma:#x} would overlap the one at {mapping.dma:#x}")
            return step.page.dma

        return place

    def _give(self, step: Alloc, block: tuple[int, int], seen: Observation) -> None:
        """A driver looks at its block, and fills it with bytes of its own."""
        self.blocks[step.block] = block
        try:
            data = self.memory.block(block[0], self.size)
        except ValueError:
            seen.of["content"] = "no memory of the device"
            return
        kernel = self.trace.kernel
        if step.zero or kernel.init_on_alloc or kernel.debug:  # or nobody may rely on what is in it
            same = self.size > 0 and bytes(data) == bytes(data[:1]) * self.size
            seen.of["content"] = f"{self.size} bytes of {data[0]:02x}" if same else bytes(data).hex(" ")
        data[:] = bytes([len(self.blocks) % 0x9F + 1]) * self.size

    def _write(self, vaddr: int, data: bytes) -> None:
        with suppress(ValueError):  # not there in this kernel
            self.memory.block(vaddr, len(data))[:] = data


def observe(trace: Trace, revision: Revision, possible: bool = False) -> list[Observation]:
    """What can be seen of a trace on a pool. Raises TraceError for one that cannot be run, or if it has to be `possible` and
    a device gives an address twice."""
    observer = Observer(trace, revision, possible)
    for step in trace.steps:
        observer.run(step)
    return observer.observed


@dataclass(frozen=True)
class Difference:
    """The first step that two pools can be told apart by: by what, and what each of them shows."""

    trace: Trace
    step: Step
    kinds: tuple[str, ...]
    before: Observation
    after: Observation

    def is_kasans(self) -> bool:
        """Whether it is KASAN's doing: its report ends the run after, at a read, which the shim lets pass, or where before ends
        as well; or before ends where a real kernel has KASAN's shadow."""
        reported, before = self.after.of["end"].partition("BUG: KASAN: ")[2], self.before.of["end"]
        at = STRAY.search(before)
        if at is not None and int(at[1], 16) in SHADOW:
            return True
        return bool(reported) and (": Read of size " in reported or before != "")


def difference(trace: Trace, before: Revision, after: Revision, possible: bool = False) -> Difference | None:
    """The first difference between two pools in a run, if there is one. Raises TraceError."""
    for one, other in zip(observe(trace, before, possible), observe(trace, after, possible), strict=False):
        kinds = tuple(kind for kind in OBSERVED if one.of[kind] != other.of[kind])
        if STRAY.sub("", one.of["end"]) == STRAY.sub("", other.of["end"]):
            kinds = tuple(kind for kind in kinds if kind != "end")
        if "end" in kinds:
            # What is not there of a step that one of them does not come to the end of, follows from that.
            kinds = tuple(kind for kind in kinds if kind == "end" or (one.of[kind] and other.of[kind]))
        if "NULL" in (one.of["result"], other.of["result"]):
            kinds = tuple(kind for kind in kinds if kind != "content")  # of a block that only one of them gives
        if kinds:
            return Difference(trace, one.step, kinds, one, other)
    return None


def silent(_: str) -> None:
    """Receives how far something is, and says nothing."""


@dataclass
class Comparison:
    """Of many runs: how many there were, in how many a kind of thing differs first, and the smallest of these."""

    runs: int = 0
    steps: int = 0
    swept: int = 0  # pools that both filled and emptied besides
    differing: Counter[str] = field(default_factory=Counter)
    smallest: dict[str, Difference] = field(default_factory=dict)
    progress: Callable[[str], None] = silent
    of_kasan: bool = True  # whether it is a difference that KASAN ends a run
    kasans: int = 0  # runs that ended so, where that is no difference

    def add(self, found: Difference | None, steps: int) -> None:
        self.runs += 1
        self.steps += steps
        self.progress(f"{self.runs:,} pools")
        if found is not None and not self.of_kasan and found.is_kasans():
            self.kasans += 1
            found = None
        if found is None:
            return
        for kind in found.kinds:
            self.differing[kind] += 1
            if kind not in self.smallest or measure(found.trace) < measure(self.smallest[kind].trace):
                self.smallest[kind] = found


def dice(random: Random) -> Dice:
    return random.randrange(256), random.randrange(256)


def draw(
    sources: Iterable[Source], seed: int, runs: int, progress: Callable[[str], None] = silent, *, edges: bool = True
) -> list[Trace]:
    """What to run the `sources` with, to compare them with each other: at the `edges` of words, the directed runs, and `runs`
    that are drawn, with the numbers that are in any of them. Raises BuildError."""
    first, *others = sources
    drawn = [Trace((pool, Alloc("a"), Destroy())) for pool in at_edges()] if edges else []

    class DrawingMachine(PoolMachine):
        """Notes what it does to a Python revision, a pool at a time."""

        revision = REVISIONS[promises_of(first).like]
        tally = Tally()

        def teardown(self) -> None:
            super().teardown()
            run = self.lockstep.trace()
            # What the Python revision did is not of interest.
            drawn.append(replace(run, steps=tuple(map(without_outcome, run.steps))))
            progress(f"{len(drawn):,} pools are drawn")

    profiles.register()
    directed.run_all(DrawingMachine)
    numbers = with_neighbours(of_kernel(first).union(*map(of_kernel, others)))

    @seeded(seed)
    @settings(
        max_examples=runs,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(surroundings(DrawingMachine.revision.promises, numbers), st.integers(0, 2**64 - 1))
    def draw_one(drawn: Surroundings, number: int) -> None:
        """Hypothesis draws the pool; what is done to it needs no more than dice."""
        random, machine = Random(number), DrawingMachine()
        machine.begin(drawn)
        for _ in range(LONGEST):
            if machine.lockstep.target is not None:
                machine.others = [dice(random) for _ in range(max(0, random.randrange(-6, 7)))]
                machine.throw(dice(random))
        machine.teardown()

    draw_one()
    return drawn


def compare(
    before: Source,
    after: Source,
    drawn: Iterable[Trace],
    progress: Callable[[str], None] = silent,
    *,
    of_kasan: bool = True,
) -> Comparison:
    """Run both with what is `drawn`; `progress` is told how far that is. Not `of_kasan`: that KASAN ends a run at a read is no
    difference. Raises BuildError.
    """
    revisions = revision_of(before), revision_of(after)
    comparison = Comparison(progress=progress, of_kasan=of_kasan)
    for run in drawn:
        comparison.add(difference(run, *revisions), number_of_steps(run.steps))
    if not (before.real or after.real):
        comparison.swept, full = swept_apart(before, after)
        if full is not None:
            comparison.add(difference(full, *revisions), number_of_steps(full.steps))
    for kind, found in comparison.smallest.items():
        progress(f"{kind}: the run that shows it is made smaller")
        comparison.smallest[kind] = shrunk(found, kind, *revisions)
    return comparison


def swept_apart(before: Source, after: Source) -> tuple[int, Trace | None]:
    """How many pools of the sweep, with pages of 4 KiB, both fill and empty, up to the first part of it with one in which they
    differ; and a run that shows it in the fewest blocks. Raises BuildError."""
    promises = revision_of(before).promises
    fills = [natively(source, revision_of(source)) for source in (before, after)]
    todo, swept = pools(PAGE_SIZE, promises.clips_the_boundary, aligned=False), 0
    for part, _, counts in in_parts(todo, PAGE_SIZE, promises):
        (one, _), (other, _) = (fill(geometries(part, counts), PAGE_SIZE) for fill in fills)
        seen = zip_longest(one, other, fillvalue="a fault")
        differing = [number for number, (mine, its) in enumerate(seen) if mine != its]
        swept += min(len(one), len(other))
        if differing:
            number = min(differing, key=counts.__getitem__)
            return swept, full_page(part[number], counts[number], PAGE_SIZE)
        if len(one) < len(part):
            break
    return swept, None


def shrunk(found: Difference, kind: str, before: Revision, after: Revision) -> Difference:
    """A run in which nothing else differs before, with nothing in it that could be left out, as far as the time reaches."""

    def replayed(candidate: Trace) -> Trace | None:
        try:
            readable = loads(dumps(candidate))  # what cannot be read, nobody could replay
            differs = difference(readable, before, after, possible=True)
        except TraceError:
            return None
        if differs is None or kind not in differs.kinds or (differs.is_kasans() and not found.is_kasans()):
            return None
        return up_to(readable, differs.step)

    smallest = shrink(found.trace, replayed, seconds=10)
    return difference(smallest, before, after) or found


def up_to(trace: Trace, step: Step) -> Trace:
    """The run without what comes after a step; one that runs inside another one ends with that."""
    last = next((number for number, one in enumerate(trace.steps) if one is step), len(trace.steps) - 1)
    return replace(trace, steps=trace.steps[: last + 1])


def confirmed_difference(found: Difference, kind: str, before: Source, after: Source) -> str:
    """Whether two files differ by this kind in real kernels, too; "" unless both have been built."""
    one, other = (None if source.real else in_a_real_kernel(source) for source in (before, after))
    if one is None or other is None:
        return ""
    where = " and ".join(dict.fromkeys((named(one), named(other))))
    try:
        there = difference(found.trace, revision_of(one), revision_of(other))
    except (BuildError, TraceError) as error:
        return f"cannot be tried in {where}: {error}"
    if there is not None and kind in there.kinds:
        return f"confirmed in {where}"
    if there is None:
        return f"not confirmed in {where}: nothing differs there"
    first = there.kinds[0]
    return f"not confirmed in {where}: {first} differs there: {there.before.of[first]}; after: {there.after.of[first]}"
