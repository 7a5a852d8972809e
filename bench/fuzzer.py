"""How much of a hunt's time is the hunt: the state machine against an empty one, in one run.

The empty machine draws what the real one draws, by the same rules, and does nothing with it: the floor that Hypothesis sets.
Rounds alternate, so that what else runs on the machine slows both; the ratio is the median of the rounds' ratios. Steps are
what runs on the pool, which is more than the calls of rules: others run some while the lock is dropped, which Hypothesis has
drawn, and the empty machine leaves.
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
from hunt.revisions import REVISIONS
from hunt.surroundings import surroundings
from kernel.promises import revision_of
from report.text import show_progress

ROUNDS, EXAMPLES = 5, 60


class EmptyMachine(PoolMachine):
    """The same rules, with nothing behind them."""

    revision = REVISIONS["series"]

    @initialize(data=st.data())
    def create(self, data: st.DataObject) -> None:
        data.draw(surroundings(self.revision.promises))
        self.lockstep = SimpleNamespace(target=self)
        self.tally.steps += 1

    def throw(self, dice: Dice) -> None:  # noqa: ARG002
        self.tally.steps += 1

    def teardown(self) -> None:
        self.watched.close()


def per_second(hunter: type[PoolMachine], number: int, examples: int) -> float:
    """Of one round: how many steps a second, or how many calls of the empty machine."""

    class Counting(hunter):  # type: ignore[misc, valid-type]
        tally = Tally()

    wanted = settings(settings.get_profile("ci"), max_examples=examples, database=None, phases=[Phase.generate])
    started = time.perf_counter()
    run_state_machine_as_test(seed(number)(Counting), settings=wanted)
    return Counting.tally.steps / (time.perf_counter() - started)


def run(wanted: Wanted) -> Part:
    profiles.register()
    hunters = {name: machine(REVISIONS[name]) for name in HUNTED}
    hunters |= {f"C, {name}": machine(revision_of(kernel)) for name, kernel in wanted.kernels.items()}
    rounds, examples = (1, 5) if wanted.quick else (ROUNDS, EXAMPLES)
    ratios: dict[str, list[float]] = {name: [] for name in hunters}
    per_second(EmptyMachine, 0, examples)  # Hypothesis' first use takes longer
    for number in range(rounds):
        floor = per_second(EmptyMachine, number, examples)
        for name, hunter in hunters.items():
            show_progress(f"fuzzer: {name}, round {number + 1} of {rounds}")
            ratios[name].append(per_second(hunter, number, examples) / floor)
    show_progress("")
    table = [f"Steps of a hunt for each call of an empty machine, in the same time; medians of {rounds}.", ""]
    table += [f"{name:<16}{median(found):>8.2f}" for name, found in ratios.items()]
    return Part("fuzzer", table, ratios)
