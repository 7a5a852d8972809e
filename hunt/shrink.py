"""Makes a trace that breaks a claim smaller, for as long as the same claim breaks.

A trace is smaller if it has fewer steps; or as many, and pages as kernels have them; or is shorter as text, or comes before the
other one.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from itertools import count, islice
from typing import Any

from hunt.revisions import REVISIONS
from hunt.watchdog import SECONDS as SECONDS_OF_A_RUN
from hunt.watchdog import begin, watchdog
from kernel.worker import seconds_used
from model.checks import BrokenClaim
from model.lockstep import Lockstep, rerun
from model.revision import KERNEL, Revision
from model.trace import (
    FLAGS,
    Alloc,
    Create,
    Free,
    Kernel,
    OtherPool,
    PageChoice,
    Step,
    Together,
    Trace,
    TraceError,
    Turn,
    Write,
    dumps,
    loads,
)

SECONDS = 20.0
"""Of the processor, so that a busy machine shrinks as far as an idle one; then what has been found has to do."""

Replayed = Callable[[Trace], Trace | None]
"""What happened in a run, up to the step that breaks the claim; None if the claim does not break."""


def shrink(trace: Trace, replayed: Replayed, seconds: float = SECONDS) -> Trace:
    """A trace that breaks the same claim, and that no single change makes smaller, unless the time is up before."""
    ends = seconds_used() + seconds
    for found in smaller_and_smaller(trace, replayed):
        trace = found
        if seconds_used() >= ends:
            break
    return trace


def smaller_and_smaller(trace: Trace, replayed: Replayed) -> Iterator[Trace]:
    """Each smaller trace that is found, and the same one again after each try that finds none."""
    smallest = measure(trace)
    while True:
        before, tried = smallest, 0
        while (candidate := next(islice(variants(trace), tried, None), None)) is not None:
            found = replayed(candidate) if measure(candidate) < smallest else None
            shorter = found is not None and measure(found)[0] < smallest[0]
            if found is not None and measure(found) < smallest:
                trace, smallest = found, measure(found)
            if not shorter:  # or else, what comes at this place now; a number gets its next turn after the bold changes
                tried += 1
            yield trace
        if smallest == before:
            return


def measure(trace: Trace) -> tuple[int, bool, int, str]:
    steps = tuple(map(without_outcome, trace.steps))
    text = json.dumps(replace(trace, steps=steps).to_json())
    return number_of_steps(steps), trace.kernel.page_size != Kernel().page_size, len(text), text


def without_outcome(step: Step) -> Step:
    """The step without what was expected of it, and what happened."""
    step = replace(step, expected="", happened="")
    if isinstance(step, Alloc) and step.page is not None:
        return replace(step, page=replace(step.page, meanwhile=tuple(map(without_outcome, step.page.meanwhile))))
    return step


def number_of_steps(steps: tuple[Step, ...]) -> int:
    """With those that run while an allocation waits for a page, and those of callers at once."""
    inner = (
        meanwhile(step) + (tuple(call for _, call in step.calls()) if isinstance(step, Together) else ())
        for step in steps
    )
    return sum(1 + number_of_steps(nested) for nested in inner)


def meanwhile(step: Step) -> tuple[Step, ...]:
    return step.page.meanwhile if isinstance(step, Alloc) and step.page is not None else ()


def variants(trace: Trace) -> Iterator[Trace]:
    """What may be smaller: the bold changes first."""
    create, *rest = trace.steps
    size = len(rest) // 2
    while size > 1:
        for start in range(len(rest) - size, -1, -size):
            yield replace(trace, steps=(create, *rest[:start], *rest[start + size :]))
        size //= 2
    for name in names_in(trace.steps):
        yield replace(trace, steps=without_block(trace.steps, name))
    for steps in variants_of_steps(tuple(rest)):
        yield replace(trace, steps=(create, *steps))
    for other in variants_of(create):
        yield replace(trace, steps=(other, *rest))
    for place in range(len(trace.past)):
        yield replace(trace, past=trace.past[:place] + trace.past[place + 1 :])
    for kernel in variants_of(trace.kernel):
        yield replace(trace, kernel=kernel)
    yield replace(trace, steps=renamed(trace.steps))


def variants_of_steps(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """One step less, or less in one step; the last one first."""
    for place in range(len(steps) - 1, -1, -1):
        before, step, after = steps[:place], steps[place], steps[place + 1 :]
        yield before + after
        if isinstance(step, Alloc) and step.page is not None:
            yield (*before, replace(step, page=None), *after)
            alone = replace(step, page=replace(step.page, meanwhile=()))
            if step.page.meanwhile:
                yield (*before, alone, *after)
                yield (*before, *step.page.meanwhile, alone, *after)
            for nested in variants_of_steps(step.page.meanwhile):
                yield (*before, replace(step, page=replace(step.page, meanwhile=nested)), *after)
            for page in variants_of(step.page):
                yield (*before, replace(step, page=page), *after)
        if isinstance(step, Together):
            for together in variants_of_callers(step):
                yield (*before, together, *after)
        for other in variants_of(step):
            yield (*before, other, *after)


def variants_of_callers(step: Together) -> Iterator[Together]:
    """A caller less, its last calls or one of them less, a turn less, or a shorter one."""
    for number, calls in enumerate(step.callers):
        before, after = step.callers[:number], step.callers[number + 1 :]
        yield replace(step, callers=before + after)
        for place in range(len(calls)):
            yield replace(step, callers=(*before, calls[:place], *after))
        for fewer in variants_of_steps(calls):
            yield replace(step, callers=(*before, fewer, *after))
    for number, turn in enumerate(step.schedule):
        earlier, later = step.schedule[:number], step.schedule[number + 1 :]
        yield replace(step, schedule=earlier)
        yield replace(step, schedule=earlier + later)
        for shorter in variants_of(turn):
            yield replace(step, schedule=(*earlier, shorter, *later))


def variants_of(thing: Step | Kernel | PageChoice | Turn) -> Iterator[Any]:
    """The same with one field that is simpler."""
    for field in fields(thing):
        value = getattr(thing, field.name)
        if field.name == "data":
            simpler = [value[: len(value) // 4 * 2], "00" * (len(value) // 2)]
        elif value is True:
            simpler = [False]
        elif type(value) is int and field.name == "page_size":
            simpler = [Kernel().page_size, value // 2]
        elif type(value) is int:
            sign = -1 if value < 0 else 1
            bits = range(abs(value).bit_length() - 1, -1, -1)
            simpler = [0, sign, *(sign * (abs(value) - (1 << bit)) for bit in bits)]
        elif isinstance(thing, Create) and field.name == "name":
            simpler = ["pool"]
        elif isinstance(thing, Alloc) and field.name == "flags":
            simpler = [FLAGS[0]]
        else:
            simpler = []
        for other in simpler:
            if other != value and (other or field.name != "data"):
                yield replace(thing, **{field.name: other})


def names_in(steps: tuple[Step, ...]) -> list[str]:
    """The blocks that a run is about, in the order in which it names them."""
    names: dict[str, None] = {}
    for step in steps:
        names.update(dict.fromkeys(names_in(meanwhile(step))))
        if isinstance(step, Together):
            names.update(dict.fromkeys(names_in(tuple(call for _, call in step.calls()))))
        if isinstance(step, Alloc | OtherPool):
            names[step.block] = None
    return list(names)


def without_block(steps: tuple[Step, ...], name: str) -> tuple[Step, ...]:
    """The run without every step that is about one block."""
    return with_steps(steps, lambda step: None if getattr(step, "block", None) == name else step)


def renamed(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The blocks are called a, b, c and so on."""
    letters = (chr(ord("a") + number) if number < 26 else f"b{number}" for number in count())
    new = dict(zip(names_in(steps), letters, strict=False))

    def under_its_new_name(step: Step) -> Step:
        if isinstance(step, Alloc | Free | Write | OtherPool):
            return replace(step, block=new.get(step.block, step.block))
        return step

    return with_steps(steps, under_its_new_name)


def with_steps(steps: tuple[Step, ...], change: Callable[[Step], Step | None]) -> tuple[Step, ...]:
    """Every step changed, or left out, also those that run meanwhile."""
    changed = []
    for step in steps:
        other = change(step)
        if isinstance(other, Alloc) and other.page is not None:
            other = replace(other, page=replace(other.page, meanwhile=with_steps(other.page.meanwhile, change)))
        if isinstance(other, Together):
            other = replace(other, callers=tuple(with_steps(calls, change) for calls in other.callers))
        if other is not None:
            changed.append(other)
    return tuple(changed)


SECONDS_OF_A_STEP = 0.25
"""Of the processor, while a trace is shrunk: many are tried, and some may hang."""


def smallest(trace: Trace, on: str, among: Mapping[str, Revision] = REVISIONS, seconds: float = SECONDS) -> Trace:
    """A trace that breaks the same claim, with nothing in it that could be left out, as far as the time reaches.

    Shrinking adds no misuse: a trace in contract stays so. A trace of a kernel's own file shows a new failure if the
    revision of impl/ with the same promises passes it; then it is not shrunk to one that this revision fails, too.
    """

    def run(candidate: Trace, seconds: float, on: str = on) -> tuple[BrokenClaim | None, bool]:
        """What breaks the claim, and whether the pool was corrupted before."""
        lockstep = Lockstep(among[on].going_past(candidate.past), candidate.kernel, candidate.claim)
        try:
            with watchdog():  # of the run alone: what is between two of them may take any time
                rerun(candidate, lockstep, lambda: begin(seconds))
        except BrokenClaim as broken:
            return (broken if broken.claim.name == trace.claim else None), bool(lockstep.corrupted_by)
        except (TraceError, TimeoutError):
            pass
        return None, False

    def replayed(candidate: Trace) -> Trace | None:
        try:
            readable = loads(dumps(candidate))  # what cannot be read, nobody could replay
        except TraceError:
            return None
        found, corrupted = run(readable, SECONDS_OF_A_STEP)
        if found is None or (corrupted and not was_corrupted) or (first is not None and found.key != first.key):
            return None
        return found.trace if twin is None or run(found.trace, SECONDS_OF_A_STEP, twin)[0] is None else None

    twin = among[on].promises.like if on == KERNEL else None
    first, was_corrupted = run(trace, SECONDS_OF_A_RUN)
    if twin is not None and run(trace, SECONDS_OF_A_RUN, twin)[0] is not None:
        twin = None
    return shrink(trace, replayed, seconds)
