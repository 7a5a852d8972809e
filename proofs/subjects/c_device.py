"""The device of a pool of C that is destroyed."""

from typing import Any

from kernel.ir import NotFollowed
from kernel.objects import Pointer
from proofs.subjects.c_pool import raise_linked


class LoggedDevice:
    """Notes in one log what is written to the page's memory, what is given back, what is said, and what is freed."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.freed: list[Any] = []

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
            "dma_free_coherent": lambda *given: self.seen.append(("given back", *given)),
        }
