"""A loop of C, cut where its turns begin: what its variables are is known by their values, whatever C calls them.

What a turn knows is the loop's variables and memory, since the code is in SSA form; so a turn with any variables of those
values is one from where the loop really gets to.
"""

from typing import Any

from kernel.execute import Cut, Frame, Interpreter
from kernel.ir import NotFollowed
from proofs.engine.path import AssumptionFailed

Variables = dict[str, Any]
"""Of a loop: the values at the beginning of a turn, by the name that C has for them."""


class Values(dict[str, Any]):
    """Of a loop, and no others: the values of its variables, by name or by what they stand for."""

    def __missing__(self, name: str) -> Any:
        raise NotFollowed(f"this loop has no variable that is the {name} of its turn")


def roles(variables: Variables, **known: Any) -> dict[str, str]:
    """What each variable of a loop stands for, by the value that it has. Raises NotFollowed for a variable of another value."""
    found = {}
    for name, value in variables.items():
        role = next((role for role, such in known.items() if value is such), "")
        role = role or next((role for role, such in known.items() if value == such), "")
        if not role:
            raise NotFollowed(f"{name} is not as the proof knows it where a turn of this loop begins")
        found[name] = role
    return found


def names_by_role(arrived: Variables, **sought: Any) -> dict[str, str]:
    """The one variable of each role, by what it is on arrival. Raises NotFollowed if that is not clear, or there are others."""
    names = {role: name for name, role in roles(arrived, **sought).items()}
    if len(names) < len(arrived) or len(names) < len(sought):
        raise NotFollowed(
            f"this loop changes {', '.join(sorted(arrived))}; the proof knows of {', '.join(sorted(sought))}"
        )
    return names


def by_role(variables: Variables, means: dict[str, str]) -> Values:
    """The values of variables, by what they stand for. Raises NotFollowed if two that stand for the same have come apart."""
    found = Values()
    for name, role in means.items():
        if role in found and found[role] != variables[name]:
            raise NotFollowed("the next turn of this loop begins otherwise than this one")
        found.setdefault(role, variables[name])
    return found


def one_turn(interpreter: Interpreter, frame: Frame, loop: str, leave: bool = True, **known: Any) -> Values | None:
    """Run to a loop, whose variables are these, and one turn of it: what they are then; None where the loop is over, and then,
    unless it was not to `leave` the loop, the function has returned. Raises NotFollowed."""
    begins = interpreter.advance(frame, loop)
    if begins is None:
        raise NotFollowed(f"{frame.function.name} ends before its loop")
    return turn_at(interpreter, frame, roles(begins, **known), known, leave)


def turn_at(
    interpreter: Interpreter, frame: Frame, means: dict[str, str], at: dict[str, Any], leave: bool = True
) -> Values | None:
    """One turn from anywhere, where the variables are what `at` has for them."""
    again = interpreter.resume(frame, {name: at[role] for name, role in means.items()}, leave)
    return None if again is None else by_role(again, means)


def the_last_turn() -> None:
    """For a loop that goes on after its last turn: there is no such path."""
    raise AssumptionFailed("a turn that was the last has none after it")


def ends(interpreter: Interpreter, function: str, loop: str, last_turn: Cut) -> None:
    """Have a loop run its last turn only, of which a lemma says where that begins."""
    interpreter.cuts[function, loop], interpreter.over[function, loop] = last_turn, the_last_turn
