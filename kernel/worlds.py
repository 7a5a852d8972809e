"""What random calls of a kernel's functions begin with: objects of C's structs, in native memory as well."""

import ctypes
import random
from collections.abc import Sequence
from typing import Any

from kernel.environment import GFP_ZERO
from kernel.execute import Interpreter
from kernel.ir import Field, Module
from kernel.native import Library
from kernel.objects import DmaPage, Fault, FunctionPointer, Pointer, Struct

PAGE = 256
"""Bytes of a page of a device's memory; native memory for any other object is a multiple of it."""
ARENA = 2**15
"""Bytes of a world, at most."""
KNOWN = {"device": ("dma_pools.", "init_name", "kobj.name"), "task_struct": ("flags",)}
"""Of these structs, of which most is others', the fields that a file may touch, by how their names begin."""


class World:
    """The objects that calls may touch; `chance` decides what they hold, and what the rest of the kernel answers."""

    def __init__(self, module: Module, library: Library, chance: random.Random) -> None:
        self.module, self.library, self.chance = module, library, chance
        self.objects: list[Any] = []
        self.places: dict[int, int] = {}  # native addresses, by the object's id
        self.spare: list[Any] = []  # what allocations hand out
        self.images: dict[int, tuple[Any, bytes]] = {}  # and what they are of, by the object's id
        self.arena, self.used = ctypes.create_string_buffer(ARENA), 0
        self.text = self.add(Struct("text", {0: Field("", 64)}))
        self.task = self.struct("task_struct") if "poolproof_current" in library.outside else self.text
        self.begin()
        ctypes.memmove(self.arena, image := self.image(), len(image))

    def begin(self) -> None:
        """Fill the world."""
        raise NotImplementedError

    def add(self, made: Any, spare: bool = False) -> Any:
        self.places[id(made)] = ctypes.addressof(self.arena) + self.used
        self.used += room(made)
        self.objects.append(made)
        if isinstance(made, Struct):
            made.cells = {offset: self.any_value(made, known) for offset, known in made.fields.items()}
        if spare:
            self.spare.append(made)
        return made

    def any_value(self, struct: Struct, known: Field) -> Any:
        """A number; NULL; or, of a list, that it is empty."""
        if known.type == "list_head*":
            return struct.at(f"{known.name.rpartition('.')[0]}.next")
        return 0 if known.type.endswith("*") else self.chance.choice([0, 1, 2, self.chance.getrandbits(known.width)])

    def struct(self, name: str, spare: bool = False) -> Struct:
        fields = {
            offset: one
            for offset, one in self.module.struct(name)[0].items()
            if one.name.startswith(KNOWN.get(name, "")) and one.width % 8 == 0
        }
        return self.add(Struct(name, fields), spare)  # type: ignore[no-any-return]

    def word(self, value: Any) -> int | None:
        """What native code has for a value; None of an object of the file, whose address is not known here."""
        if isinstance(value, Pointer):
            place = self.places.get(id(value.object))
            return None if place is None else place + value.offset
        return self.library.functions.get(value.name) if isinstance(value, FunctionPointer) else int(value)

    def describe(self, at: int) -> str:
        """A byte of the image."""
        for one in reversed(self.objects):
            if (within := ctypes.addressof(self.arena) + at - self.places[id(one)]) >= 0:
                return f"byte {within} of {getattr(one, 'name', 'a page')}"
        raise ValueError(f"the image has no byte {at}")

    def image(self) -> bytes:
        """All objects as they are in native memory."""
        self.spare_before = list(self.spare)
        return b"".join(map(self.image_of, self.objects))

    def take_back(self) -> None:
        """Make all objects what they were when `image` was called last."""
        self.spare = list(self.spare_before)
        for one in self.objects:
            held, _ = self.images[id(one)]
            if isinstance(one, DmaPage):
                one.log[:] = held
            else:
                one.cells = dict(held)

    def image_of(self, known: Any) -> bytes:
        held: Any = known.log if isinstance(known, DmaPage) else known.cells
        before: Any
        before, image = self.images.get(id(known), (type(held)(), bytes(room(known))))
        if before == held:
            return image
        made = bytearray(image)
        if isinstance(known, DmaPage):
            for one in known.log[len(before) :]:
                value = (
                    int.from_bytes(bytes([one.value]) * one.nbytes, "little") if one.is_fill else self.word(one.value)
                )
                made[one.offset : one.offset + one.nbytes] = (value or 0).to_bytes(one.nbytes, "little")
        else:
            for offset, value in known.cells.items():
                if before.get(offset) is not value:
                    nbytes = known.fields[offset].width // 8
                    made[offset : offset + nbytes] = (self.word(value) or 0).to_bytes(nbytes, "little")
        self.images[id(known)] = held.copy(), bytes(made)
        return bytes(made)

    def argument(self, name: str, kind: str, width: int) -> Any:
        """Any value of a parameter; `width` is LLVM's, 0 of an address."""
        if width:
            return bool(self.chance.getrandbits(1)) if width == 1 else self.near(kind) % 2**width
        found = self.of_type(name, kind)
        return self.chance.choice(found) if found and self.chance.random() < 0.95 else 0

    def near(self, kind: str) -> int:
        """A number, more often than not near one where something changes."""
        chance = self.chance
        if kind == "size_t" and chance.random() < 0.8:
            return chance.choice([0, 1, 4, 7, 16, 32, 100, 256, 4096, 2**31])
        some: list[int] = [0, 1, 8, 31, 64, PAGE, 4096, 2**31, chance.randrange(300), 2 ** chance.randrange(64)]
        return chance.choice([chance.choice(some) + chance.choice([-1, 0, 0, 1]), chance.getrandbits(64)])

    def of_type(self, _: str, kind: str) -> list[Any]:
        """Addresses for a parameter of this type."""
        found = [Pointer(one, 0) for one in self.objects if isinstance(one, Struct) and f"{one.name}*" == kind]
        if kind == "list_head*":
            structs = [one for one in self.objects if isinstance(one, Struct)]
            found += [
                one.at(cell.name) for one in structs for cell in one.fields.values() if cell.name.endswith(".next")
            ]
        return found or [Pointer(self.text, 0)]

    def answer(self, name: str, given: Sequence[Any], written: list[tuple[int, bytes]]) -> Any:
        """What the rest of the kernel does, when the interpreter calls it."""
        if name in ("kmalloc", "devres_alloc", "dma_alloc_coherent"):
            return self.allocated(name, given, written)
        if name == "poolproof_current":
            return Pointer(self.task, 0)
        return self.chance.choice([0, 0, 1, 7, 2**32 - 12])

    def allocated(self, name: str, given: Sequence[Any], written: list[tuple[int, bytes]]) -> Any:
        def fits(one: Any) -> bool:
            if name == "dma_alloc_coherent":
                return isinstance(one, DmaPage) and isinstance(given[2], Pointer)
            size = 8 if name == "devres_alloc" else given[0]
            return isinstance(one, Struct) and size_of(self.module, one) == size

        found = next(filter(fits, self.spare), None)
        if found is None or self.chance.random() < 0.1:
            return 0
        self.spare.remove(found)
        if name == "kmalloc" and given[1] & GFP_ZERO:
            found.cells = dict.fromkeys(found.fields, 0)
            written.append((self.places[id(found)], bytes(size_of(self.module, found))))
        if name == "dma_alloc_coherent":
            given[2].object.store(given[2].offset, 64, self.dma(found))
            written.append((self.word(given[2]) or 0, self.dma(found).to_bytes(8, "little")))
        return Pointer(found, 0)

    def dma(self, memory: Any) -> int:
        """Where a device sees it."""
        return 2**32 + self.places[id(memory)] - ctypes.addressof(self.arena)


class Pools(World):
    """A device with two pools, each with a few pages, in the lists that they belong to; free blocks lead anywhere."""

    def begin(self) -> None:
        chance, device = self.chance, self.struct("device")
        pools = [self.struct("dma_pool") for _ in range(2)]
        self.of_devres = self.add(Struct("a resource", {0: Field("", 64)}), spare=True)
        self.dma_address = self.add(Struct("an address", {0: Field("", 64)}))
        self.struct("device_attribute")
        self.chain(device, "dma_pools", pools, "pools")
        self.memories = [self.add(DmaPage(inside_a_page), spare=True) for _ in range(4)]
        for memory in self.memories:
            self.write_links(memory)
        for pool in pools:
            self.shape(pool)
            set_fields(pool, dev=Pointer(device, 0))
            pages = [self.page(self.spare.pop()) for _ in range(chance.choice([0, 1, 1, 2])) if len(self.spare) > 2]
            self.chain(pool, "page_list", pages, "page_list")
            set_fields(pool, next_block=chance.choice([0, *self.blocks()]))
        self.chosen = self.blocks()[0]  # which an argument leads to
        self.of_devres.cells[0] = Pointer(chance.choice(pools), 0)
        for _ in range(2):
            self.spare.append(self.page(self.memories[0]))
            self.shape(self.struct("dma_pool", spare=True))

    def shape(self, pool: Struct) -> None:
        size = self.chance.choice([4, 16, 24, 32, 48])
        set_fields(pool, size=size, boundary=self.chance.choice([size, 32, 64, 100, PAGE]))
        set_fields(pool, allocation=self.chance.choice([size, 64, 128, 200, PAGE]))

    def page(self, memory: DmaPage) -> Struct:
        page, offset = self.struct("dma_page"), self.chance.choice([0, 16, 24, 64, PAGE])
        set_fields(page, vaddr=Pointer(memory, 0), dma=self.dma(memory), offset=offset)
        return page

    def write_links(self, memory: DmaPage) -> None:
        memory.fill(0, PAGE, self.chance.choice([0xA7, 0xA9, 0]))
        for offset in range(0, PAGE, 16):
            if self.chance.random() < 0.4 and "%struct.dma_block" in self.module.structs:
                memory.store(offset, 64, self.chance.choice([0, *self.blocks()]))
                memory.store(offset + 8, 64, self.dma(memory) + offset)
            elif self.chance.random() < 0.4:
                memory.store(offset, 32, self.chance.choice([offset + 16, self.chance.randrange(300)]))

    def blocks(self) -> list[Pointer]:
        return [Pointer(memory, 16 * self.chance.choice([0, 0, 1, 2, 3, 4, 8, 15])) for memory in self.memories]

    def chain(self, head: Struct, field: str, members: list[Struct], link: str) -> None:
        around = [(head, field), *((member, link) for member in members)]
        for (one, name), (other, to) in zip(around, [*around[1:], around[0]], strict=True):
            set_fields(one, **{f"{name}.next": other.at(f"{to}.next")})
            set_fields(other, **{f"{to}.prev": one.at(f"{name}.next")})

    def near(self, kind: str) -> int:
        if kind == "dma_addr_t" and self.chance.random() < 0.9:
            block = self.chosen if self.chance.random() < 0.6 else self.chance.choice(self.blocks())
            near: int = self.dma(block.object) + block.offset + self.chance.choice([0, 0, 0, 3, -1, PAGE])
            return near
        return super().near(kind)

    def of_type(self, name: str, kind: str) -> list[Any]:
        if kind in ("dma_block*", "void*"):
            self.chosen = self.chance.choice(self.blocks())
            return [Pointer(self.of_devres, 0)] if name == "res" else [self.chosen]
        return [Pointer(self.dma_address, 0)] if kind == "dma_addr_t*" else super().of_type(name, kind)


class Trees(World):
    """A red-black tree of a few nodes, made by the code itself; and a node that was linked, or was not."""

    def begin(self) -> None:
        self.root = self.struct("rb_root")
        self.root["rb_node"] = 0
        nodes = [self.struct("rb_node") for _ in range(self.chance.randrange(1, 14))]
        for node in nodes:
            self.link(node)
            self.executed().call("rb_insert_color", Pointer(node, 0), Pointer(self.root, 0))
        self.struct("rb_augment_callbacks").cells.update({8 * n: FunctionPointer("dummy_rotate") for n in range(3)})
        self.fresh = self.struct("rb_node")
        self.fresh["__rb_parent_color"] = Pointer(self.fresh, 0)
        if self.chance.random() < 0.7:
            self.link(self.fresh)
        if "%struct.rb_node_linked" in self.module.structs:  # of newer kernels
            self.struct("rb_root_linked")
            linked = [self.struct("rb_node_linked") for _ in range(3)]
            for before, one, after in zip([0, *linked], linked, [*linked[1:], 0], strict=False):
                set_fields(one, **{"node.__rb_parent_color": self.chance.getrandbits(1)})
                set_fields(one, prev=before and Pointer(before, 0), next=after and Pointer(after, 0))

    def executed(self) -> Interpreter:
        return Interpreter(self.module, {})

    def link(self, node: Struct) -> None:
        """Below any leaf."""
        at, parent = self.root.at("rb_node"), 0
        while held := at.object.cells[at.offset]:
            parent, at = held, held.object.at(self.chance.choice(["rb_left", "rb_right"]))
        at.object.cells[at.offset] = Pointer(node, 0)
        node.cells = {node.offset_of("__rb_parent_color"): parent, node.offset_of("rb_left"): 0}
        node["rb_right"] = 0

    def near(self, kind: str) -> int:
        """A color."""
        del kind
        return self.chance.getrandbits(1)

    def of_type(self, name: str, kind: str) -> list[Any]:
        if name.startswith("augment_"):
            return [FunctionPointer("dummy_rotate")]
        return [*super().of_type(name, kind), *([Pointer(self.fresh, 0)] * 8 if name == "node" else [])]


def room(known: Any) -> int:
    """Bytes of native memory for an object."""
    return max(1, -(-known.end // PAGE)) * PAGE if isinstance(known, Struct) else PAGE


def size_of(module: Module, struct: Struct) -> int:
    known = module.structs.get(f"%struct.{struct.name}")
    return known.size if known else 8


def set_fields(struct: Struct, **values: Any) -> None:
    """Those that the struct has."""
    for name, value in values.items():
        if struct.has(name):
            struct[name] = value


def inside_a_page(offset: Any, nbytes: Any) -> None:
    if not 0 <= offset <= PAGE - nbytes:
        raise Fault("outside of a page")
