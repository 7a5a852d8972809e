"""The memory of code that `kernel.execute` runs: objects, and pointers to them; words are plain integers, or symbolic ones.

A pointer is an object and an offset into it; a null pointer is 0. A struct has a cell for each of its fields. A page of DMA
memory keeps a log of what was stored.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kernel.ir import Field, NotFollowed

Word = Any
"""A plain integer, or a symbolic one: something with Python's operators, and with `narrow`, C's conversion."""


class Fault(Exception):
    """The code does what C does not define, or touches memory that is not there."""


@dataclass(frozen=True)
class Pointer:
    object: Any
    offset: Word


@dataclass
class Struct:
    """An object of a C struct, known by its fields; `cells` are their values, by offset in bytes; `place` is its line of C.

    A field without a value is what a proof knows nothing of, so that the code that reads it is not followed; but of an object
    that the code has allocated, it is `unwritten`: 0 of kzalloc, and of kmalloc a Fault.
    """

    name: str
    fields: dict[int, Field]
    cells: dict[int, Any] = field(default_factory=dict)
    place: str = ""
    unwritten: int | type[Fault] | None = None

    def offset_of(self, name: str) -> int:
        """Raises NotFollowed if the struct has no such field."""
        for offset, known in self.fields.items():
            if known.name == name:
                return offset
        raise NotFollowed(f"there is no field {name}").at(self.place or f"struct {self.name}")

    def __getitem__(self, name: str) -> Any:
        return self.cells[self.offset_of(name)]

    def __setitem__(self, name: str, value: Any) -> None:
        self.cells[self.offset_of(name)] = value

    def at(self, name: str) -> Pointer:
        return Pointer(self, self.offset_of(name))

    def load(self, offset: Word, width: int) -> Any:
        self._check(offset, width)
        if offset in self.cells:
            return self.cells[offset]
        what = f"{self.name}.{self.fields[offset].name} is read before it is written"
        if isinstance(self.unwritten, int):
            return self.unwritten
        raise NotFollowed(f"{what}: the proof does not know it") if self.unwritten is None else Fault(what)

    def store(self, offset: Word, width: int, value: Any) -> None:
        self._check(offset, width)
        self.cells[offset] = value

    def _check(self, offset: Word, width: int) -> None:
        if not isinstance(offset, int):
            raise NotFollowed(f"a place in struct {self.name} is computed")
        if offset not in self.fields or self.fields[offset].width != width:
            raise Fault(f"{width // 8} bytes at offset {offset} are no field of struct {self.name}")


@dataclass(frozen=True)
class Store:
    offset: Word
    width: int
    value: Any


@dataclass
class DmaPage:
    """A page of DMA memory; `check` is called at every access, with its offset and its width in bytes."""

    check: Callable[[Word, Word], None]
    log: list[Store] = field(default_factory=list)

    def load(self, offset: Word, width: int) -> Any:
        self.check(offset, width // 8)
        for store in reversed(self.log):
            if store.width == width and store.offset == offset:
                return store.value
            if not (offset + width // 8 <= store.offset or store.offset + store.width // 8 <= offset):
                raise NotFollowed("a part of what was stored is read")
        raise NotFollowed("memory of the device is read that was not written here")

    def store(self, offset: Word, width: int, value: Any) -> None:
        self.check(offset, width // 8)
        self.log.append(Store(offset, width, value))

    def fill(self, offset: Word, nbytes: Word) -> None:
        self.check(offset, nbytes)
