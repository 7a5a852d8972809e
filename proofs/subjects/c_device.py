"""The device of a pool of C that is destroyed."""

from typing import Any

from kernel.ir import NotFollowed
from kernel.objects import Pointer
from proofs.subjects.c_pool import raise_linked
from proofs.subjects.c_views import Spinlocks


class LoggedDevice:
    """Notes in one log what is written to the page's memory, what is given back, what is said, and what is freed."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.freed: list[Any] = []
        self.locks = Spinlocks()

    def load(self, *_: Any) -> Any:
        raise NotFollowed("the page's memory is read")

    store = load

    def fill(self, offset: Any, nbytes: Any, byte: int) -> None:
        self.seen.append(("filled", offset, nbytes, byte % 256))

    def kfree(self, what: Pointer) -> None:
        raise_linked(what.object)
        self.freed.append(what.object)
        what.object.freed = True

    def externals(self) -> dict[str, Any]:
        return {
            "kfree": self.kfree,
            "poolproof_log": lambda *_: self.seen.append("busy"),
            "dma_free_coherent": self.given_back,
            "spin_lock": lambda lock: self.locks.take(lock.object),
            "spin_unlock": lambda lock: self.locks.drop(lock.object),
            "poolproof_irqs": self.locks.interrupts,
        }

    def given_back(self, *given: Any) -> None:
        self.locks.sleeps("dma_free_coherent")
        self.seen.append(("given back", *given))
