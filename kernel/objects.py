"""The memory of code that `kernel.execute` runs: objects, and pointers to them; words are plain integers, or symbolic ones.

A pointer is an object and an offset into it; a null pointer is 0. Every object begins at a multiple of `ALIGNED`, so that the
low bits of an address are those of its offset, where C keeps flags. An object has `load(offset, width)`,
`store(offset, width, value)` and `fill(offset, nbytes, byte)`, of widths in bits and offsets in bytes. Of these, a proof has

- `Struct`: cells by field; what the code has allocated is unwritten at first, and private until a pointer to it is stored;
- `View`: a struct whose fields are kept elsewhere, in the objects that proofs about Python use;
- `DmaPage`: a log of what was stored at offsets that may be symbolic;
- `Opaque`: an object of which nothing is known but that it is there.

What is undefined in C is a Fault; what a proof knows nothing of is not followed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kernel.ir import Field, NotFollowed

Word = Any
"""A plain integer, or a symbolic one: something with Python's operators, and with `narrow`, C's conversion."""

ALIGNED = 8
"""Bytes; every object begins at a multiple of it."""


class Fault(Exception):
    """The code does what C does not define, or touches memory that is not there."""


@dataclass(frozen=True, eq=False)
class Pointer:
    object: Any
    offset: Word

    def __add__(self, nbytes: Word) -> "Pointer":
        return Pointer(self.object, self.offset + nbytes)

    def __eq__(self, other: object) -> bool:
        """Raises NotFollowed where it is not known whether two objects are one. Objects that overlap have a `vaddr` each."""
        if not isinstance(other, Pointer):
            if getattr(self.object, "may_be_null", False):
                raise NotFollowed(f"{self.object.name} is compared with NULL, and may be that")
            return False
        one, another = getattr(self.object, "vaddr", None), getattr(other.object, "vaddr", None)
        if one is not None and another is not None:
            return bool(one + self.offset == another + other.offset)
        return is_same(self.object, other.object) and bool(self.offset == other.offset)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class FunctionPointer:
    """A function of the file, as a value."""

    name: str


def is_same(one: Any, other: Any) -> bool:
    if one is not other and getattr(one, "may_be_another", False) and getattr(other, "may_be_another", False):
        raise NotFollowed(f"{one.name} is compared with {other.name}: they may be one")
    return one is other


@dataclass(eq=False)
class Opaque:
    """An object that is none of those that are known. Whoever reads or writes it is not followed, but for the `reached`
    exception, which an induction expects."""

    name: str
    reached: BaseException | None = None
    may_be_another: bool = True
    """It may be what another one is of which that is said."""
    may_be_null: bool = False
    variable: str = ""
    """The file's variable that leads to it."""
    length: Any = None
    """Of a text: what strnlen() has said, in bytes."""

    def load(self, *_: Any) -> Any:
        raise self.reached or NotFollowed(f"{self.name} is read or written, of which nothing is known")

    store = fill = load


@dataclass(eq=False)
class Struct:
    """An object of a C struct, known by its fields; `cells` are their values, by offset in bytes; `place` is its line of C.

    A field without a value is what a proof knows nothing of, so that the code that reads it is not followed, unless `any_value`
    gives one; but of an object that the code has allocated, it is `unwritten`: 0 of kzalloc, and of kmalloc a Fault.
    """

    name: str
    fields: dict[int, Field]
    cells: dict[int, Any] = field(default_factory=dict)
    place: str = ""
    unwritten: int | type[Fault] | None = None
    any_value: Callable[["Struct", Field], Any] | None = None
    private: bool = False
    """Nobody else knows of it: no pointer to it was stored, but in itself or in what is private too."""
    freed: bool = False
    may_be_another: bool = False
    """It may be what another object is of which that is said."""
    allocated: Any = None
    """The bytes that it has, where the code has allocated it: its last member may be an array of any length."""

    def fits_in(self, nbytes: Any) -> None:
        """Note that so many bytes were allocated for it. Raises Fault if they are too few."""
        self.allocated = nbytes
        needed = max(offset + known.width // 8 for offset, known in self.fields.items())
        if nbytes < needed:
            raise Fault(f"{self.name} has {needed} bytes, and fewer are allocated for it")

    def room_at(self, offset: Any) -> Any:
        """The bytes of a field, or of an array of any length. Raises NotFollowed where they are not known."""
        if self.freed:
            raise Fault(f"{self.name} is used after it was freed")
        known = self.fields.get(offset) if isinstance(offset, int) else None
        if known is None or (known.width == 0 and self.allocated is None):
            raise NotFollowed(f"how much room there is at {offset} in struct {self.name} is not known")
        return known.width // 8 if known.width else self.allocated - offset

    def offset_of(self, name: str) -> int:
        """Raises NotFollowed if the struct has no such field."""
        for offset, known in self.fields.items():
            if known.name == name:
                return offset
        raise NotFollowed(f"there is no field {name}").at(self.place or f"struct {self.name}")

    @property
    def end(self) -> int:
        """Where the last field ends."""
        return max((offset + known.width // 8 for offset, known in self.fields.items()), default=0)

    def has(self, name: str) -> bool:
        return any(known.name == name for known in self.fields.values())

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
        if self.unwritten is None and self.any_value is not None:
            self.cells[offset] = self.any_value(self, self.fields[offset])
            return self.cells[offset]
        raise NotFollowed(f"{what}: the proof does not know it") if self.unwritten is None else Fault(what)

    def store(self, offset: Word, width: int, value: Any) -> None:
        self._check(offset, width)
        self.cells[offset] = value

    def fill(self, offset: Word, nbytes: Word, byte: int) -> None:
        if not (isinstance(offset, int) and isinstance(nbytes, int)):
            raise NotFollowed(f"a computed part of struct {self.name} is filled")
        for start, known in self.fields.items():
            end = start + known.width // 8
            if offset <= start and end <= offset + nbytes:
                self.store(start, known.width, repeated(byte, known.width))
            elif start < offset + nbytes and offset < end:
                raise NotFollowed(f"a part of {self.name}.{known.name} is filled")

    def _check(self, offset: Word, width: int) -> None:
        if self.freed:
            raise Fault(f"{self.name} is used after it was freed")
        if not isinstance(offset, int):
            raise NotFollowed(f"a place in struct {self.name} is computed")
        if offset in self.fields and self.fields[offset].width == width:
            return
        what = f"{width // 8} bytes at offset {offset} are no field of struct {self.name}"
        is_part = not self.fields or 0 <= offset <= self.end - width // 8
        raise NotFollowed(what) if is_part else Fault(what)


def repeated(byte: int, width: int) -> int:
    """A word of equal bytes."""
    return int((2**width - 1) // 0xFF * byte)


class Kept(NamedTuple):
    """Where a field of a `View` is kept: what reads it, and what writes it."""

    read: Callable[[], Any]
    write: Callable[[Any], None]


@dataclass(eq=False)
class View(Struct):
    """A struct of which the fields that are `kept`, by offset, live elsewhere; the others are cells.

    `touched` is given the view, the name of the field, and whether it is written, at every access.
    """

    kept: dict[int, Kept] = field(default_factory=dict)
    touched: Callable[["View", str, bool], None] = lambda *_: None
    written: set[int] = field(default_factory=set)
    """Of an unwritten object: the fields that are kept elsewhere and were written."""

    def keep(self, name: str, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self.kept[self.offset_of(name)] = Kept(read, write)

    def keep_attribute(
        self,
        name: str,
        holder: Callable[[], Any],
        attribute: str,
        encoded: Callable[[Any], Any],
        decoded: Callable[[Any], Any],
    ) -> None:
        """Keep a field in an attribute of what `holder` gives; `encoded` for C to read, and `decoded` once it is written."""
        self.keep(
            name,
            lambda: encoded(getattr(holder(), attribute)),
            lambda value: setattr(holder(), attribute, decoded(value)),
        )

    def load(self, offset: Word, width: int) -> Any:
        self._check(offset, width)
        self.touched(self, self.fields[offset].name, False)
        if offset not in self.kept or (self.unwritten is not None and offset not in self.written):
            return super().load(offset, width)
        return self.kept[offset].read()

    def store(self, offset: Word, width: int, value: Any) -> None:
        self._check(offset, width)
        self.touched(self, self.fields[offset].name, True)
        self.written.add(offset)
        if offset not in self.kept:
            super().store(offset, width, value)
        else:
            self.kept[offset].write(value)


@dataclass(frozen=True)
class Store:
    """What was stored: a word of so many bits; or, of a fill, a byte, in so many bytes."""

    offset: Word
    width: Word
    value: Any
    is_fill: bool = False

    @property
    def nbytes(self) -> Word:
        return self.width if self.is_fill else self.width // 8


@dataclass(eq=False)
class DmaPage:
    """A page of DMA memory; `check` is called at every access, with its offset and its width in bytes."""

    check: Callable[[Word, Word], None]
    log: list[Store] = field(default_factory=list)

    def load(self, offset: Word, width: int) -> Any:
        self.check(offset, width // 8)
        for store in reversed(self.log):
            if not store.is_fill and store.width == width and store.offset == offset:
                return store.value
            if offset + width // 8 <= store.offset or store.offset + store.nbytes <= offset:
                continue
            if store.is_fill and store.offset <= offset and offset + width // 8 <= store.offset + store.nbytes:
                return repeated(store.value, width)
            raise NotFollowed("a part of what was stored is read")
        raise NotFollowed("memory of the device is read that was not written here")

    def store(self, offset: Word, width: int, value: Any) -> None:
        self.check(offset, width // 8)
        self.log.append(Store(offset, width, value))

    def fill(self, offset: Word, nbytes: Word, byte: int) -> None:
        self.check(offset, nbytes)
        self.log.append(Store(offset, nbytes, byte, is_fill=True))
