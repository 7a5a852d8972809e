"""How much of a hunt's time is the hunt: the state machine against an empty one, in one run. And how soon it finds seeded bugs.

The empty machine draws what the real one draws, by the same rules, and does nothing with it: the floor that Hypothesis sets.
Rounds alternate, so that what else runs on the machine slows both; the ratio is the median of the rounds' ratios. Calls are
those of a rule. Steps are what runs on the pool, which is more: others run some while the lock is dropped, which Hypothesis
has drawn, and the empty machine leaves.
"""

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import SimpleNamespace

from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from bench.part import Failed, Part, Wanted
from bench.pictures import bars, scattered
from bugs.hunted import MUTANTS
from command.bugs import SEEDS, hunt, plant
from command.output import show_progress
from hunt import profiles
from hunt.fuzz import HUNTED
from hunt.machine import Dice, PoolMachine, Tally, machine, surroundings
from hunt.revisions import TARGETS
from kernel.pool import revision_of

ROUNDS = 5
EXAMPLES = 60
QUICK = ("full_page_stays_listed", "lookup_one_byte_too_far")


class EmptyMachine(PoolMachine):
    """The same rules, with nothing behind them."""

    revision = TARGETS["series"]

    @initialize(data=st.data())
    def create(self, data: st.DataObject) -> None:
        data.draw(surroundings(self.revision.promises.clips_the_boundary))
        self.lockstep = SimpleNamespace(target=self)

    def throw(self, dice: Dice) -> None:
        pass

    def teardown(self) -> None:
        self.watched.close()


def per_second(hunter: type[PoolMachine], number: int, examples: int) -> tuple[float, float]:
    """Of one round: how many calls, and how many steps, a second."""
    calls = 0

    class Counting(hunter):  # type: ignore[misc, valid-type]
        tally = Tally()

        @initialize(data=st.data())
        def create(self, data: st.DataObject) -> None:
            nonlocal calls
            calls += 1
            super().create(data)

        def throw(self, dice: Dice) -> None:
            nonlocal calls
            calls += not self.under_way  # and otherwise it is one of the others'
            super().throw(dice)

    wanted = settings(settings.get_profile("ci"), max_examples=examples, database=None, phases=[Phase.generate])
    started = time.perf_counter()
    run_state_machine_as_test(seed(number)(Counting), settings=wanted)
    seconds = time.perf_counter() - started
    return calls / seconds, (Counting.tally.steps or calls) / seconds


def run(wanted: Wanted) -> Part:
    profiles.register()
    hunters = {name: machine(TARGETS[name]) for name in HUNTED}
    hunters |= {f"C, {name}": machine(revision_of(kernel)) for name, kernel in wanted.kernels.items()}
    rounds, examples = (1, 5) if wanted.quick else (ROUNDS, EXAMPLES)
    rates: dict[str, list[tuple[float, ...]]] = {name: [] for name in hunters}
    floors = []
    per_second(EmptyMachine, 0, examples)  # Hypothesis' first use takes longer
    for number in range(rounds):
        floors.append(floor := per_second(EmptyMachine, number, examples)[0])
        for name, hunter in hunters.items():
            show_progress(f"fuzzer: {name}, round {number + 1} of {rounds}")
            calls, steps = per_second(hunter, number, examples)
            rates[name].append((calls, steps, calls / floor, steps / floor))
    show_progress("")
    medians = {name: [median(column) for column in zip(*found, strict=True)] for name, found in rates.items()}
    table = [
        f"A hunt beside an empty machine, which is the floor that Hypothesis sets; medians of {rounds}.",
        "",
        f"{'':<16}{'calls/s':>10}{'steps/s':>10}{'calls/floor':>14}{'steps/floor':>14}",
        f"{'empty':<16}{median(floors):>10,.0f}{'':>10}{1:>14.2f}",
    ]
    for name, (calls, steps, calls_ratio, steps_ratio) in medians.items():
        table.append(f"{name:<16}{calls:>10,.0f}{steps:>10,.0f}{calls_ratio:>14.2f}{steps_ratio:>14.2f}")
    drawn = {name: {"calls": row[2], "steps": row[3]} for name, row in medians.items()}
    pictures = {"fuzzer.svg": bars("Rule calls and steps a second, as times the floor", drawn, "", linear=True)}
    found = steps_to_find(QUICK if wanted.quick else [mutant.name for mutant in MUTANTS if mutant.hunted], wanted.quick)
    table += ["", *told(found)]
    pictures["mutants.svg"] = scattered(
        "Steps to find each seeded bug, and their median",
        {name: [steps for steps, _ in of] for name, of in found.items()},
    )
    return Part("fuzzer", table, {"rates": rates, "steps to find": found}, pictures)


Hunts = dict[str, list[tuple[int, bool]]]
"""Of each seeded bug, with each seed: the steps, and whether it was found by then."""


def steps_to_find(names: Iterable[str], quick: bool) -> Hunts:
    mutants = {mutant.name: mutant for mutant in MUTANTS}
    tasks = [(name, seed) for name in names for seed in (SEEDS[:1] if quick else SEEDS)]

    def one(task: tuple[str, str]) -> tuple[int, bool]:
        name, number = task
        with TemporaryDirectory() as folder:
            plant(mutants[name], Path(folder))
            claim, ran, output = hunt(mutants[name], Path(folder), number)
        if ran is None:
            raise Failed(f"the hunt for {name} has failed: {(output.strip() or 'no word of it').splitlines()[-1]}")
        return ran, bool(claim)

    found: Hunts = {}
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        for number, ((name, _), ran) in enumerate(zip(tasks, executor.map(one, tasks), strict=True), 1):
            show_progress(f"fuzzer: {number} of {len(tasks)} hunts for seeded bugs")
            found.setdefault(name, []).append(ran)
    show_progress("")
    return found


def told(found: Hunts) -> list[str]:
    medians = sorted(((median(steps for steps, _ in of), name) for name, of in found.items()), reverse=True)
    of_seeds = len(next(iter(found.values())))
    lines = [f"Steps to find each of {len(found)} seeded bugs, medians of {of_seeds} seeds; the slowest:"]
    for steps, name in medians[:10]:
        missed = sum(not claim for _, claim in found[name])
        lines.append(f"  {name:<56}{steps:>10,.0f}" + (f", missed with {missed} of the seeds" if missed else ""))
    lines.append(f"  {'the median of all':<56}{median(steps for steps, _ in medians):>10,.0f}")
    return lines
