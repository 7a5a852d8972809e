"""How much of a hunt's time is the hunt: the state machine against an empty one, in one run.

The empty machine draws what the real one draws, by the same rules, and does nothing with it: the floor that Hypothesis sets.
Rounds alternate, so that what else runs on the machine slows both; the ratio is the median of the rounds' ratios. Calls are
those of a rule. Steps are what runs on the pool, which is more: others run some while the lock is dropped, which Hypothesis
has drawn, and the empty machine leaves.
"""

import time
from statistics import median
from types import SimpleNamespace

from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from bench.part import Part, Wanted
from hunt import profiles
from hunt.events import Tally
from hunt.fuzz import HUNTED
from hunt.machine import Dice, PoolMachine, machine
from hunt.revisions import TARGETS
from hunt.surroundings import surroundings
from kernel.pool import revision_of
from report.text import show_progress

ROUNDS = 5
EXAMPLES = 60


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
    return Part("fuzzer", table, {"rates": rates})
