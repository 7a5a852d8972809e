"""A page of a kernel's own pool, and the function that lays it out, run on plain integers or on symbolic ones."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from kernel.execute import Frame
from kernel.ir import Field
from kernel.objects import DmaPage, Opaque, Pointer, Struct
from kernel.words import Unknown
from proofs.subjects.c_names import LAYS
from proofs.subjects.c_pool import Code, total_in_the_row

Slot = tuple[str, Any]
"""What a loop may change: ("phi", its name), or a struct's name and the offset of a field."""

Check = Callable[[Any, Any], None]
"""Of an access to a page: its offset, and its bytes."""


def anywhere(offset: Any, nbytes: Any) -> None:
    """No check: for refutations, which are run again natively, and for plain integers."""


class Elsewhere(Opaque):
    """What a pointer that the proof knows nothing of leads to: not the page, to which nobody has a pointer yet."""

    def store(self, *_: Any) -> None:
        """What is written there, no proof about the page's layout says."""


class Stop(BaseException):
    """Enough of the loop was run."""


class PageInC:
    """A page, its pool, and what lays it out. `check` is given each access to the page's bytes; what the pool and the page hold
    besides is any value of the `path`, or, without one, 0."""

    def __init__(self, code: Code, geometry: Any, dma: Any, check: Check = anywhere, path: Any = None) -> None:
        self.code, self.geometry, self.dma, self.check, self.path = code, geometry, dma, check, path
        self.begin()

    def begin(self) -> None:
        """A pool and a page, which nobody has laid out."""
        self.memory = DmaPage(self.check)
        self.pool, self.page = self.code.struct("dma_pool"), self.code.struct("dma_page")
        for struct in (self.pool, self.page):
            struct.any_value = self.any_value
        for name in ("size", "boundary", "allocation"):
            self.pool[name] = getattr(self.geometry, name)
        self.page["vaddr"], self.page["dma"] = Pointer(self.memory, 0), self.dma
        self.given: dict[Slot, Any] = {}
        self.interpreter = self.code.interpreter(path=self.path)

    def any_value(self, struct: Struct, field: Field) -> Any:
        value = self.given[struct.name, struct.offset_of(field.name)] = self.any(struct, field)
        return value

    def any(self, struct: Struct, field: Field) -> Any:
        """Of a field that no proof knows: a list is empty, a pointer leads elsewhere or nowhere, and a number is any one."""
        name = f"{struct.name}.{field.name}"
        if field.type == "list_head*":
            return struct.at(f"{field.name.rpartition('.')[0]}.next")
        if field.type.endswith("*"):
            somewhere = self.path is None or self.path.one_of(f"{name} is no NULL", True, False)
            return Pointer(Elsewhere(name), 0) if somewhere else 0
        return 0 if self.path is None else self.path.number(name, field.width)

    def run(
        self,
        entered: Callable[[Frame, dict[str, Any]], dict[str, Any]] = lambda _, values: values,
        all_fields: bool = False,
    ) -> None:
        """Lay the page out, to the end, or until `entered` has seen enough."""
        self.begin()
        if all_fields:
            self.read((struct.name, offset) for struct in (self.pool, self.page) for offset in struct.fields)
        self.interpreter.entered = entered
        with suppress(Stop):
            self.interpreter.call(LAYS, Pointer(self.pool, 0), Pointer(self.page, 0))

    def slots(self, values: dict[str, Any]) -> dict[Slot, Any]:
        cells = {(one.name, offset): value for one in (self.pool, self.page) for offset, value in one.cells.items()}
        return {("phi", name): value for name, value in values.items()} | cells

    def read(self, slots: Iterable[Slot]) -> None:
        """Give fields a value that have none yet."""
        for of, where in slots:
            struct = self.struct_of((of, where))
            struct.load(where, struct.fields[where].width)

    def set(self, slots: dict[Slot, Any], values: dict[str, Any]) -> dict[str, Any]:
        """Have these slots hold something else; returns what the phis hold."""
        for (of, where), value in slots.items():
            if of != "phi":
                self.struct_of((of, where)).cells[where] = value
        return values | {where: value for (of, where), value in slots.items() if of == "phi"}

    def struct_of(self, slot: Slot) -> Struct:
        return self.pool if slot[0] == self.pool.name else self.page

    def total(self) -> Any:
        return total_in_the_row(self.code, self.pool)


def same_value(one: Any, other: Any) -> bool:
    if isinstance(one, Unknown) or isinstance(other, Unknown):
        return False
    if isinstance(one, Pointer) or isinstance(other, Pointer):
        return isinstance(one, Pointer) and isinstance(other, Pointer) and one == other
    return bool(one == other)
