"""A kernel's own mm/dmapool.c, compiled as it is: its dma_pool_create, and its row in the pools file.

Memory for the pool itself is always there. `proofs.subjects.c_loop` has the layout of a page.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from typing import Any

from impl.layout import Geometry
from kernel.build import Source
from kernel.environment import GFP_ZERO, TEXTS, Reads, by_kernel_names, from_caches, inline_in_headers, objects_of
from kernel.execute import ENTERED, MEMORY, Interpreter
from kernel.ir import Field, Module, NotFollowed, ir_of
from kernel.objects import Fault, Opaque, Pointer, Struct, View
from kernel.pool import turn_debugging_off
from kernel.promises import promises_of
from model.promises import SERIES, V6_12, VERSIONS, Promises
from proofs.engine.path import Body
from proofs.engine.symbolic import Number
from proofs.subjects.c_names import CREATED, Names, called, functions_of, names_of
from proofs.subjects.subject import PAGE_SIZE

QUIET = [
    "spin_lock_init",
    "spin_lock",
    "spin_unlock",
    "poolproof_irqs",
    "mutex_lock",
    "mutex_unlock",
    "mutex_init",
    "kfree",
    "device_create_file",
    "might_alloc",
    "might_sleep",
    "poolproof_log",
    "device_remove_file",
    "poolproof_races",
    "poolproof_lockdep",
]
"""What the code calls and what changes nothing that a proof is about."""


def in_a_ring(*links: Pointer) -> None:
    """Have list_heads follow each other, the first one after the last."""
    for one, other in zip(links, [*links[1:], links[0]], strict=True):
        one.object.cells[one.offset], other.object.cells[other.offset + 8] = other, one


@dataclass(frozen=True)
class Code:
    """A file, compiled with its debugging code and without, and what it is held to: v6.1, the series, or v6.12."""

    source: Source
    module: Module
    debugging: Module
    promises: Promises
    names: Names = field(default_factory=Names, compare=False)

    @property
    def stacks(self) -> bool:
        """Free blocks are a stack through the whole pool, not a list in each page."""
        return self.promises is V6_12

    @property
    def looks_at_once(self) -> bool:
        """memchr_inv looks for bytes of a free block that are no poison."""
        return "memchr_inv" in called(self.debugging, "dma_pool_alloc", others=True)

    def struct(self, name: str) -> Struct:
        """Of that name, or with its role. Raises NotFollowed if there is none."""
        return self.names.struct(self.module, name)

    def not_followed(self, reason: str, function: str, block: str = "") -> NotFollowed:
        """What says that a function, or a block of it, is not followed, with the line of C."""
        place = self.module.place(function, block) if block else self.module.place_of(function)
        return NotFollowed(reason).at(place)

    def interpreter(
        self, debug: bool = False, page_size: Any = None, path: Any = None, **externals: Any
    ) -> Interpreter:
        """Of the code of debug builds, or of the others; code that reads a page size that is not given is not followed. The
        file's own variables hold any number of the path's; without one, what they hold from the start."""
        given = (
            {name: lambda *_: 0 for name in QUIET} | {"lock_is_held_type": lambda *_: 1} | MEMORY | TEXTS | externals
        )
        module = self.debugging if debug else self.module
        given["strnlen"] = partial(length, path)
        given |= from_caches(module, given) if "kfree" in given else {}
        interpreter = Interpreter(module, by_kernel_names(given), objects_of(given), replaced=inline_in_headers(given))
        interpreter.any_global = partial(any_global, module, path)
        if page_size is not None:
            known = Struct("PAGE_SIZE", {0: Field("value", 64)}, {0: page_size})
            interpreter.globals["poolproof_page_size"] = Pointer(known, 0)
        return interpreter

    def alike(self, name: str, whole: bool = False) -> str:
        """The function, which has to be the same with debugging code and without, and to read nothing that a boot option sets,
        in its loops or as a `whole`: what is proved of one is used of the other.

        Raises NotFollowed."""
        function = self.module.function(name)
        if function != self.debugging.function(name):
            raise self.not_followed(f"{name} is another one in debug builds", name)
        for block in (block for block in function.blocks if whole or function.reaches(block, block)):
            if read := self.module.switches.keys() & self.module.read_by(name, block):
                where = "" if whole else " in a loop"
                raise self.not_followed(f"{min(read)} is read{where}, and is set by a boot option", name)
        return name


def length(path: Any, text: Any, most: Any) -> Any:
    """strnlen: of any text, at most `most`; without a path, 1."""
    nbytes = 1 if path is None else path.number("the length of a text")
    if isinstance(nbytes, Number):
        path.know((nbytes <= most).term)
    if isinstance(text, Pointer) and isinstance(text.object, Opaque):
        text.object.length = nbytes
    return nbytes


OTHERS = "others in the list of "


class Neighbour(View):
    """An object of which nothing is known but that it has a link of a list."""

    def _check(self, offset: Any, width: int) -> None:
        if offset not in self.fields:
            raise NotFollowed(f"{self.name} is read or written, of which nothing but its link is known")
        super()._check(offset, width)


def not_known(struct: Struct, known: Field, more: str = "") -> NotFollowed:
    return NotFollowed(f"{struct.name}.{known.name} leads to what the proof does not know{more}")


def any_ring(path: Any, struct: Struct, known: Field) -> Any:
    """A link of a list of which a proof knows nothing: alone in it, or with another, or between two; without a path, alone.
    That it was put there, or initialised, is a premise of whoever asks.

    Raises NotFollowed for what is no link, or half of one; and of a second such list: links in different ones may be in the
    same object.
    """
    stem = known.name.removesuffix("next").removesuffix("prev")
    ends = [(at, one) for at, one in struct.fields.items() if one.name in (f"{stem}next", f"{stem}prev")]
    if [one.type for _, one in ends] != ["list_head*"] * 2 or ends[1][0] != ends[0][0] + 8:
        raise not_known(struct, known)
    if any(at in struct.cells or at in getattr(struct, "kept", ()) for at, _ in ends):
        raise not_known(struct, known, ", and the other end to what it knows")
    if path is not None and any(name.startswith(OTHERS) for name in path.inputs_named):
        raise NotFollowed(f"{struct.name}.{known.name} is in a second list of which the proof knows nothing")
    name = f"{OTHERS}{struct.name}.{stem}".rstrip(".")
    number = 0 if path is None else ("none", "one", "more").index(path.one_of(name, "none", "one", "more"))
    touched = getattr(struct, "touched", None) or (lambda *_: None)
    fields = {at - ends[0][0]: one for at, one in ends}
    others = [Neighbour(f"another of {struct.name}", fields, touched=touched) for _ in range(number)]
    in_a_ring(Pointer(struct, ends[0][0]), *(Pointer(other, 0) for other in others))
    if number == 2:  # there may be any number between them
        del others[0].cells[0], others[1].cells[8]
    return struct.cells[struct.offset_of(known.name)]


def raise_linked(freed: Struct) -> None:
    """An object that is freed is in no list. Raises Fault if it is, and NotFollowed if that is not known."""
    for at, known in freed.fields.items():
        if known.type != "list_head*" or not known.name.endswith("next") or at in getattr(freed, "kept", ()):
            continue
        if at not in freed.cells and freed.unwritten is None:
            raise NotFollowed(f"{freed.name} is freed, and whether {known.name} is in a list by then is not known")
        after = freed.cells.get(at)
        if isinstance(after, Pointer) and after.object is not freed and isinstance(after.object, Struct):
            back = after.object.cells.get(after.offset + 8)
            if isinstance(back, Pointer) and back.object is freed:
                raise Fault(f"{freed.name} is freed, and {known.name} is in a list by then")


def any_global(module: Module, path: Any, variable: Struct, known: Field) -> Any:
    """What a variable of the file, or a field of one, may hold; or, of a number without a path, what it has from the start."""
    name = f"{variable.name}.{known.name}".removesuffix(".")
    if known.type == "list_head*":
        return any_ring(path, variable, known)
    if known.type.endswith("*"):
        return Pointer(Opaque(f"what {name} leads to", may_be_null=True, variable=variable.name), 0)
    if variable.name in module.switches:
        return module.switches[variable.name] % 2**known.width
    begins = module.variables[variable.name][1] % 2**known.width
    return begins if path is None else path.number(name, known.width)


EINVAL = 2**32 - 22
"""What kstrtobool() makes of no text."""


def with_options_set(module: Module) -> dict[str, int]:
    """What the variables hold that are only set at boot, where the file's own boot options are set; what a handler does that is
    not followed may be any."""
    interpreter = Interpreter(module, {})
    interpreter.globals["static_key_initialized"] = Pointer(Reads("static_key_initialized", lambda: 1), 0)
    try:
        for function, has_value in module.options.items():
            for name, width in (("kstrtobool", 8), ("kstrtoint", 32)):
                interpreter.externals[name] = partial(parsed, width) if has_value else lambda *_: EINVAL
            text = Struct("an option's text", {} if has_value else {0: Field("ends", 8)}, {} if has_value else {0: 0})
            interpreter.call(function, Pointer(text, 0))
    except NotImplementedError:
        return {}
    set_by_functions = {name for name in module.switches if name in interpreter.globals}
    held = {name: interpreter.globals[name].object for name in set_by_functions}
    return (
        module.switches
        | {name: one.load(0, one.fields[0].width) for name, one in held.items()}
        | {name: value for name, value in module.parameters.items() if name in module.switches}
    )


def parsed(width: int, text: Any, to: Pointer) -> int:
    """An option's text says yes, or 1."""
    del text
    to.object.store(to.offset, width, 1)
    return 0


def shown(pool: Struct, given: Sequence[Any]) -> list[Any]:
    """What a message of a pool shows besides texts of the file itself, the pool's device and its name, which it has to show."""

    def is_text(one: Any) -> bool:
        return isinstance(one, Pointer) and isinstance(one.object, View) and not one.object.fields

    name = pool.at("name")
    rest = [one for one in given if not is_text(one) and one != pool["dev"]]
    return [one for one in rest if one != name] if name in rest else ["no name", *rest]


def located(body: Body) -> Body:
    """The body, which says where it cannot follow the code: in the function that it has entered last, if at no instruction."""

    @wraps(body)
    def said(path: Any) -> None:
        ENTERED.clear()
        try:
            body(path)
        except NotImplementedError as lost:
            place = next((module.place_of(function) for module, function in ENTERED), "")
            raise NotFollowed(str(lost)).at(place) from lost

    return said


def lookup_case(code: Code) -> str:
    """The case of `lookup_finds_the_page_of_an_address` that is about a file: pool_find_page may be in debug builds only."""
    return "" if code.module.has("pool_find_page") else "in_debug_builds"


def compile_file(source: Source) -> Code:
    """Compile a file. Raises BuildError."""
    code = Code(source, ir_of(source), ir_of(source, debug=True), VERSIONS[promises_of(source).like])
    for module in (code.module, code.debugging):
        module.aliases.update(functions_of(module))
    if code.debugging.switches and not turn_debugging_off(source):
        code.debugging.switches = with_options_set(code.debugging)
    pools = []
    for size, align, boundary, page_size in CREATED:
        with suppress(Exception):  # the code may fail in any way
            if (pool := created(code, size, align, boundary, page_size)) is not None:
                pools.append((pool, {0: size, 1: boundary, 2: page_size}))
    return replace(code, names=names_of(code.module, pools))


def named_device(code: Code) -> Pointer:
    """A device of which nothing is known but that it has a name."""
    device = code.struct("device")
    device["init_name"] = Pointer(Struct("a name", {}), 0)
    return Pointer(device, 0)


NUMA_NO_NODE = 2**32 - 1


def created(code: Code, size: Any, align: Any, boundary: Any, page_size: Any) -> Struct | None:
    """The pool that dma_pool_create makes; None where it refuses. Quotients, which no geometry depends on, stay uncomputed."""
    device = code.struct("device")
    in_a_ring(device.at("dma_pools.next"))

    def memory(nbytes: Any, flags: int, _: Any = NUMA_NO_NODE) -> Pointer:
        made = replace(code.struct("dma_pool"), unwritten=0 if flags & GFP_ZERO else Fault)
        made.fits_in(nbytes)
        return Pointer(made, 0)

    path = next((one.path for one in (size, align, boundary, page_size) if isinstance(one, Number)), None)
    interpreter = code.interpreter(page_size=page_size, path=path, kmalloc=memory)
    interpreter.uncomputed = frozenset({"udiv", "urem"})
    made = call_create(interpreter, Pointer(device, 0), size, align, boundary)
    return made.object if isinstance(made, Pointer) else None


def any_text() -> Pointer:
    """A pool's name, of which nothing is known."""
    return Pointer(Opaque("the pool's name"), 0)


def call_create(interpreter: Interpreter, *arguments: Any) -> Any:
    """Call dma_pool_create, with a device, a size, an align and a boundary; Linux 6.16 and later have it inline in a header."""
    name = any_text()
    if "dma_pool_create_node" in interpreter.module.functions:
        return interpreter.call("dma_pool_create_node", name, *arguments, NUMA_NO_NODE)
    return interpreter.call("dma_pool_create", name, *arguments)


def geometry_of(pool: Struct | None) -> Geometry | None:
    return None if pool is None else Geometry(pool["size"], pool["boundary"], pool["allocation"])


class PoolsFile:
    """The file of a device, about to be printed: of a pool that has these pages, the first one or two of a walk; and, before it
    in the list, of pools without pages."""

    def __init__(self, code: Code, pool: Struct, *pages: Struct, before: tuple[Struct, ...] = ()) -> None:
        device = self.seen(code, "device")
        in_a_ring(device.at("dma_pools.next"), *(one.at("pools.next") for one in (*before, pool)))
        in_tree = code.promises is SERIES
        self.links_at = node_field(pages[0], 0) if in_tree else "page_list.next"
        self.places = [page.at(self.links_at) for page in pages]
        self.end: Any = 0  # what the walk ends with
        if in_tree:
            pool["page_tree.rb_node"] = self.places[0]
        else:
            self.end = pool.at(self.links_at)
            in_a_ring(self.end, *self.places)
        for other in before:
            other["page_tree.rb_node" if in_tree else self.links_at] = 0 if in_tree else other.at(self.links_at)
        self.rows: list[tuple[Any, ...]] = []
        self.interpreter = code.interpreter(
            page_size=PAGE_SIZE,
            path=getattr(self, "path", None),
            scnprintf=self.printed,
            sysfs_emit=lambda to, *text: self.printed(to, PAGE_SIZE, *text),
            sysfs_emit_at=lambda to, at, *text: self.printed(to + at, PAGE_SIZE - at, *text),
            rb_first=lambda root: root.object.load(root.offset, 64),
            rb_next=lambda _: (*self.places, self.end)[1],
            **self.externals(),
        )
        self.frame = self.interpreter.enter("pools_show", Pointer(device, 0), 0, Pointer(Struct("buf", {}), 0))

    def seen(self, code: Code, struct: str) -> Struct:
        """A struct whose list of pools is looked through."""
        return code.struct(struct)

    def externals(self) -> dict[str, Any]:
        """What the code calls besides, if a proof asks."""
        return {}

    def printed(self, to: Pointer, room: Any, *text: Any) -> Any:
        """How many bytes are printed."""
        del to, room
        if len(text) == 6:  # the format; name, in use, total, size, pages
            self.rows.append(text[1:])
        return 1


def total_in_the_row(code: Code, pool: Struct) -> Any:
    """What pools_show prints of a pool with one page as its total of blocks."""
    page = code.struct("dma_page")
    page.any_value = pool.any_value
    file = PoolsFile(code, pool, page)
    file.interpreter.advance(file.frame)
    if len(file.rows) != 1:
        raise code.not_followed("pools_show prints no row that is known here", "pools_show")
    return file.rows[0][2]


def node_field(page: Struct, place: int) -> str:
    """The name of a field of a page's rb_node: the first is its place in the page."""
    names = [known.name for known in page.fields.values() if known.name.startswith("page_node.")]
    if len(names) < 3:
        raise NotFollowed("there is no page_node").at(page.place or "struct dma_page")
    return names[place]


def is_inside(allocation: Any, offset: Any, nbytes: Any) -> bool:
    return bool(offset >= 0 and offset + nbytes <= allocation)
