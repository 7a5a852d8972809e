"""What a claim is: a predicate with a sentence and a source, known by its name. `model.claims` and `model.rules` state them."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any, ClassVar, Protocol


@dataclass(frozen=True)
class Claim:
    """A promise: `holds` is its predicate, called by calling the claim."""

    name: str
    sentence: str
    source: str
    holds: Callable[..., Any]
    topic: str
    drivers: str = ""  # which of them need it, where that is known

    asked: ClassVar[Callable[[str], None]] = staticmethod(lambda _: None)
    """Hears the name of each claim that is called, so that a hunt can count them."""

    def __call__(self, *args: Any) -> Any:
        Claim.asked(self.name)
        return self.holds(*args)

    def named(self, *args: Any) -> dict[str, str]:
        """Arguments as people read them, by the names that the predicate has for them."""
        return {name: str(value) for name, value in zip(signature(self.holds).parameters, args, strict=False)}


CLAIMS: dict[str, Claim] = {}


class Maker(Protocol):
    def __call__(self, sentence: str, source: str, drivers: str = "") -> Callable[[Callable[..., Any]], Claim]: ...


def claims_about(topic: str) -> Maker:
    """A decorator that makes predicates claims about a topic: called with a sentence, a source, and perhaps the drivers that
    need it, it names a claim after its predicate."""

    def claim(sentence: str, source: str, drivers: str = "") -> Callable[[Callable[..., Any]], Claim]:
        def register(holds: Callable[..., Any]) -> Claim:
            new = Claim(holds.__name__, sentence, source, holds, topic, drivers)
            CLAIMS[new.name] = new
            return new

        return register

    return claim
