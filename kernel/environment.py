"""What a kernel's headers call, by the names of all versions, in terms of the few functions that stand for the environment.

The environment, of which a proof gives what matters to it: spin_lock, spin_unlock, poolproof_irqs(flags), whose lowest bit
says that interrupts are off, and which returns the flags before; kmalloc(nbytes, flags), kfree; dma_alloc_coherent,
dma_free_coherent, devres_alloc; init_on_alloc() and init_on_free(), the boot options; poolproof_log; poolproof_races(1 or -1),
around an access that is meant to race; might_alloc, might_sleep, mutex_lock, mutex_unlock; lock_is_held_type, and
poolproof_lockdep() where that is otherwise than lockdep's assertions expect. `kernel/shim/` does the same for a program.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from kernel.instructions import Global, Local
from kernel.ir import Module, NotFollowed
from kernel.objects import Fault, Opaque, Pointer, Struct
from kernel.words import Unknown, wrap

External = Callable[..., Any]

GFP_ZERO, GFP_DIRECT_RECLAIM = 0x100, 0x400
"""__GFP_ZERO, and __GFP_DIRECT_RECLAIM, with which an allocation may sleep, of linux/gfp_types.h."""

DMA_ATTR_NO_WARN = 0x100
"""Of linux/dma-mapping.h: dma_alloc_coherent() passes it on for __GFP_NOWARN."""

ANY = tuple(range(8))
SAME: dict[str, tuple[str, Sequence[int]]] = {
    **dict.fromkeys(("__kmalloc", "__kmalloc_noprof"), ("kmalloc", (0, 1))),
    **dict.fromkeys(("__kmalloc_node", "__kmalloc_node_noprof"), ("kmalloc", (0, 1, 2))),
    "dma_alloc_attrs": ("dma_alloc_coherent", (0, 1, 2, 3, 4)),
    "dma_free_attrs": ("dma_free_coherent", (0, 1, 2, 3, 4)),
    "__devres_alloc_node": ("devres_alloc", (0, 1, 2)),
    "mutex_lock_nested": ("mutex_lock", (0,)),
    "__raw_spin_lock_init": ("spin_lock_init", ANY),
    "__mutex_init": ("mutex_init", ANY),
    "mutex_init_lockdep": ("mutex_init", ANY),
    "_raw_spin_lock": ("spin_lock", (0,)),
    "_raw_spin_unlock": ("spin_unlock", (0,)),
    "_raw_spin_lock_bh": ("spin_lock", (0,)),
    "_raw_spin_unlock_bh": ("spin_unlock", (0,)),
    "fs_reclaim_acquire": ("might_alloc", (0,)),
    **dict.fromkeys(("__might_sleep", "__might_resched"), ("might_sleep", ANY)),
    "sized_strscpy": ("strscpy", (0, 1, 2)),
    **dict.fromkeys(("_dev_err", "_dev_warn", "_printk", "printk", "warn_slowpath_fmt"), ("poolproof_log", ANY)),
}
"""Other names of functions of the environment, and the places of the arguments that these have."""

CREATES_A_CACHE = "__kmem_cache_create_args"

NOTHING = ("fs_reclaim_release", "print_hex_dump", "dump_stack", "__kcsan_check_access", "__cond_resched")


def product(x: Any, y: Any) -> dict[int, Any]:
    """Of two numbers of 64 bits, and whether that has more: kmalloc_array() asks. Raises NotFollowed where neither is known."""
    if not isinstance(y, int):
        x, y = y, x
    if not isinstance(y, int):
        raise NotFollowed("two numbers are multiplied, of which neither is known")
    return {0: wrap(x * y, 64), 1: y != 0 and x > (2**64 - 1) // y}


def write_text(to: Any, nbytes: Any, always_ends: bool = True) -> Unknown:
    """A text is written into a field of characters, of at most so many bytes; what it says, and how long it is, nobody knows.

    Raises Fault if the field is smaller; and NotFollowed for what is no field, or where the text may be left without an end."""
    if not isinstance(to, Pointer) or not isinstance(to.object, Struct) or isinstance(nbytes, Unknown):
        raise NotFollowed("a text is written, and how much room there is for it is not known")
    room = to.object.room_at(to.offset)
    name = f"{to.object.name}.{to.object.fields[to.offset].name}"
    if nbytes > room:
        raise Fault(f"up to {nbytes} bytes of a text are written into {name}, which has {room}")
    if nbytes == room and not always_ends:
        raise NotFollowed(f"a text of {nbytes} bytes has no end in {name}")
    return Unknown("the length of a text", to, nbytes)


def write_formatted(to: Any, nbytes: Any, *_: Any) -> Unknown:
    return write_text(to, nbytes)


TEXTS: dict[str, External] = {
    **dict.fromkeys(("strscpy", "strlcpy"), lambda to, _, nbytes: write_text(to, nbytes)),
    **dict.fromkeys(("kernel_snprintf", "scnprintf"), write_formatted),
    "strncpy": lambda to, _, nbytes: write_text(to, nbytes, always_ends=False),
}


def total(x: Any, y: Any) -> dict[int, Any]:
    """A sum of two numbers of 64 bits, and whether it has more: struct_size() asks."""
    return {0: wrap(x + y, 64), 1: x + y > 2**64 - 1}


INTRINSICS: dict[str, External] = {
    "llvm.uadd.with.overflow.i64": total,
    "llvm.returnaddress": lambda *_: Pointer(Opaque("a caller"), 0),
    "llvm.umul.with.overflow.i64": product,
}
"""What a compiler knows of the code, or has for __builtin_mul_overflow()."""


class Reads(Struct):
    """An object whose every field has one value, which is asked for when it is read."""

    def __init__(self, name: str, value: Callable[[], Any]) -> None:
        super().__init__(name, {})
        self.value = value

    def load(self, offset: Any, width: int) -> Any:
        del offset, width
        return int(self.value())


BOOT_OPTIONS = ("init_on_alloc", "init_on_free")


def in_our_terms(name: str, arguments: Sequence[Any]) -> tuple[str, list[Any]]:
    """A call, of what stands for the environment if the kernel's headers call that otherwise."""
    ours, places = SAME.get(name, (name, range(len(arguments))))
    return ours, [arguments[place] for place in places if place < len(arguments)]


def by_kernel_names(given: dict[str, External]) -> dict[str, External]:
    """What is given of the environment, by the names that the kernel's headers call as well."""

    def other(name: str, *arguments: Any) -> Any:
        ours, chosen = in_our_terms(name, arguments)
        return given[ours](*chosen)

    def locked_irqsave(lock: Any) -> Any:
        before = given["poolproof_irqs"](1)
        given["spin_lock"](lock)
        return before

    def unlocked_irqrestore(lock: Any, flags: Any = 0) -> None:
        given["spin_unlock"](lock)
        given["poolproof_irqs"](flags)

    return {
        **dict.fromkeys(NOTHING, lambda *_: 0),
        **INTRINSICS,
        "poolproof_current": lambda: Pointer(Opaque("the process that runs"), 0),
        **{name: partial(other, name) for name, (ours, _) in SAME.items() if ours in given},
        **dict.fromkeys(("_raw_spin_lock_irq", "_raw_spin_lock_irqsave"), locked_irqsave),
        **dict.fromkeys(("_raw_spin_unlock_irq", "_raw_spin_unlock_irqrestore"), unlocked_irqrestore),
        **given,
    }


def from_caches(module: Module, given: dict[str, External]) -> dict[str, External]:
    """What takes and gives back objects of a kmem_cache, in terms of kmalloc: how many bytes they have, the code says that
    creates it, for a variable of the file."""
    sizes, made = dict[str, Any](), dict[Any, Any]()
    for one in (one for function in module.functions.values() for code in function.blocks.values() for one in code):
        if one.operation == "call" and one.operands[-1].value in (Global("kmem_cache_create"), Global(CREATES_A_CACHE)):
            made[Local(one.name)] = one.operands[1].value
        elif one.operation == "store" and one.operands[0].value in made:
            sizes[getattr(one.operands[1].value, "name", "")] = made.pop(one.operands[0].value)

    def taken(cache: Any, *how: Any) -> Any:
        nbytes = sizes.get(getattr(getattr(cache, "object", None), "variable", ""))
        if not isinstance(nbytes, int):
            raise NotFollowed("an object is taken from a kmem_cache, and how many bytes it has is not known here")
        return given["kmalloc"](nbytes, *how)

    names = [f"kmem_cache_alloc{kind}{profiled}" for kind in ("", "_node") for profiled in ("", "_noprof")]
    return {**dict.fromkeys(names, taken), "kmem_cache_free": lambda _, what: given["kfree"](what)}


def inline_in_headers(given: dict[str, External]) -> dict[str, External]:
    """Functions that headers define: those that data_race() calls do nothing where no sanitizer looks; and might_alloc() looks
    at the process that runs, which changes what it warns of."""
    race = given["poolproof_races"]
    return {
        "might_alloc": given["might_alloc"],
        "__kcsan_disable_current": lambda: race(1),
        "__kcsan_enable_current": lambda: race(-1),
    }


def objects_of(given: dict[str, External]) -> dict[str, Any]:
    """The kernel's objects that its headers refer to: static keys are read as whether the option is on."""
    return {name: Pointer(Reads(name, given[name]), 0) for name in BOOT_OPTIONS if name in given}
