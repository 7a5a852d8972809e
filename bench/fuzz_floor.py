"""How much of a hunt's time is the hunt (`make bench-fuzz`): the state machine against an empty one, in one run.

The empty machine draws what the real one draws, by the same rules, and does nothing with it: the floor that Hypothesis sets.
Rounds alternate, so that what else runs on the machine slows both; the ratio is the median of the rounds' ratios. Calls are
those of a rule. Steps are what runs on the pool, which is more: others run some while the lock is dropped, which Hypothesis
has drawn, and the empty machine leaves.
"""

import argparse
import sys
import time
from statistics import median
from types import SimpleNamespace

from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from model.lockstep import KERNEL
from proofs.outputs import show_progress
from tests import profiles
from tests.fuzz import HUNTED
from tests.machine import Dice, PoolMachine, Tally, machine, surroundings
from tests.targets import TARGETS

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


def per_second(hunter: type[PoolMachine], number: int) -> tuple[float, float]:
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

    wanted = settings(settings.get_profile("ci"), max_examples=EXAMPLES, database=None, phases=[Phase.generate])
    started = time.perf_counter()
    run_state_machine_as_test(seed(number)(Counting), settings=wanted)
    seconds = time.perf_counter() - started
    return calls / seconds, (Counting.tally.steps or calls) / seconds


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(
        prog="python -m bench.fuzz_floor", description="Measure a hunt beside an empty machine."
    ).parse_args(arguments)
    profiles.register()
    hunters = {name: machine(TARGETS[name]) for name in (*HUNTED, KERNEL) if name in TARGETS}
    rates: dict[str, list[tuple[float, ...]]] = {name: [] for name in hunters}
    floors = []
    for number in range(ROUNDS):
        floors.append(floor := per_second(EmptyMachine, number)[0])
        for name, hunter in hunters.items():
            calls, steps = per_second(hunter, number)
            rates[name].append((calls, steps, calls / floor, steps / floor))
        show_progress(f"{number + 1} of {ROUNDS} rounds")
    show_progress("")
    print(f"{'':<16}{'calls/s':>10}{'steps/s':>10}{'calls/floor':>14}{'steps/floor':>14}")
    print(f"{'empty':<16}{median(floors):>10,.0f}{'':>10}{1:>14.2f}")
    for name, found in rates.items():
        calls, steps, calls_ratio, steps_ratio = (median(column) for column in zip(*found, strict=True))
        print(f"{name:<16}{calls:>10,.0f}{steps:>10,.0f}{calls_ratio:>14.2f}{steps_ratio:>14.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
