"""Traces: a pool's arguments, the environment and a sequence of operations, as a few lines of JSON that people can read.

    {"poolproof": 1,
     "claim": "no_room_is_wasted",
     "kernel": {"page_size": 4096, "debug": false, "init_on_alloc": false, "init_on_free": false},
     "steps": [
      {"op": "create", "name": "pool", "size": 2048, "align": 1, "boundary": 0},
      {"op": "alloc", "block": "a", "page": {"dma": "0x10000", "meanwhile": []}},
      {"op": "free", "block": "a"}]}

Every step may say what was `expected` and what `happened`. Numbers are integers of 64 bits, or hexadecimal strings.
"""

import dataclasses
import json
import re
import types
import typing
from dataclasses import dataclass
from typing import Any

from model.claims import CLAIMS

VERSION = 1

FLAGS = ("GFP_KERNEL", "GFP_ATOMIC", "GFP_NOIO", "GFP_KERNEL | GFP_DMA", "GFP_ATOMIC | __GFP_NOWARN")
"""GFP flags of callers of dma_pool_alloc: GFP_KERNEL may sleep and start I/O; GFP_ATOMIC, with interrupts off, may not sleep;
GFP_NOIO may sleep, but start no I/O. GFP_DMA32 is none of theirs: kmalloc reports who asks with it."""

DEEPEST = 16
"""Allocations under way at once in a trace."""

MOST_CALLERS = 4
"""At once; as in kernel/shim/shim.h."""


class TraceError(Exception):
    """A trace that cannot be read; the message says where and why."""


@dataclass(frozen=True)
class Kernel:
    """How the kernel was configured, and its boot options."""

    page_size: int = 4096  # bytes
    debug: bool = False  # CONFIG_SLUB_DEBUG_ON
    init_on_alloc: bool = False
    init_on_free: bool = False
    remapped: bool = False  # coherent memory is not in the linear map, as on ARM without coherent caches
    with_options: bool | None = (
        None  # whether the file's own options are set; None: in debug builds, unless they turn debug off
    )

    def options(self) -> dict[str, Any]:
        """What a pool is created with: all but what the device's memory is made with, and boot options that are as usual."""
        return {name: value for name, value in vars(self).items() if name != "remapped" and value is not None}

    def sets_options(self) -> bool:
        """Whether the file's own boot options are set."""
        return self.debug if self.with_options is None else self.with_options


@dataclass(frozen=True)
class Step:
    """One operation, with what was expected of it and what happened, in words."""

    expected: str = dataclasses.field(default="", kw_only=True)
    happened: str = dataclasses.field(default="", kw_only=True)


NO_FAULT = "no fault"
"""What was expected of a step that a fault has ended: the fault says all."""

LONG_NAME = "a name of more than 31 characters, which is cut"
"""Of a pool; struct dma_pool keeps 31 of them."""


@dataclass(frozen=True)
class Create(Step):
    """`dma_pool_create`; sizes in bytes."""

    size: int
    align: int = 1
    boundary: int = 0
    name: str = "pool"


@dataclass(frozen=True)
class PageChoice:
    """What `dma_alloc_coherent` does if it is called: the DMA address it gives, None for a failure.

    `meanwhile` are the operations that other callers run while the pool's lock is dropped. `forced` says that the device
    breaks its own promise: the page may overlap another, and a pool that does not notice is not blamed for it yet.
    """

    dma: int | None
    meanwhile: "tuple[Step, ...]" = ()
    forced: bool = False


@dataclass(frozen=True)
class Alloc(Step):
    """`dma_pool_alloc`; `block` names what it returns, and `page` None leaves the choice of a page to the environment."""

    block: str
    zero: bool = False  # __GFP_ZERO
    flags: str = FLAGS[0]  # besides __GFP_ZERO
    page: PageChoice | None = None


@dataclass(frozen=True)
class Free(Step):
    """`dma_pool_free` of a block that was allocated under this name, at its addresses plus the given bytes."""

    block: str
    vaddr_plus: int = 0
    dma_plus: int = 0


@dataclass(frozen=True)
class Write(Step):
    """A driver or a device writes `data`, in hexadecimal digits, into a block, or what was one, from `offset` bytes on."""

    block: str
    offset: int
    data: str


@dataclass(frozen=True)
class OtherPool(Step):
    """Another pool of the device hands out a block of as many bytes; `dma` is where, None for the environment's choice."""

    block: str
    dma: int | None = None


@dataclass(frozen=True)
class PoolInfo(Step):
    """Reading the file `pools`."""


@dataclass(frozen=True)
class Destroy(Step):
    """`dma_pool_destroy`."""


@dataclass(frozen=True)
class Turn:
    """A caller, counted from 0, goes on for so many events: it takes a lock or drops it, or does what another could see.
    `until` says in words what is next then."""

    caller: int
    events: int
    until: str = ""


@dataclass(frozen=True)
class Together(Step):
    """Callers at once, each of which calls alloc, free, create, destroy or poolinfo, one after the other. What a caller
    creates and destroys is a second pool of its own, of blocks of 64 bytes; it has one of these meanwhile. The schedule
    says whose turn it is; where it says nothing, who runs goes on. Where there are interrupts, all callers but the first
    are interrupt handlers on its processor; they allocate with GFP_ATOMIC."""

    callers: tuple[tuple[Step, ...], ...]
    schedule: tuple[Turn, ...] = ()
    interrupts: bool = False

    def calls(self) -> list[tuple[int, Step]]:
        """What is called, with the caller's number."""
        return [(number, call) for number, calls in enumerate(self.callers) for call in calls]


OPERATIONS: dict[str, type[Step]] = {
    "create": Create,
    "alloc": Alloc,
    "free": Free,
    "write": Write,
    "other_pool": OtherPool,
    "poolinfo": PoolInfo,
    "destroy": Destroy,
    "together": Together,
}
NAMES = {operation: name for name, operation in OPERATIONS.items()}
ADDRESSES = {"dma"}

TWO_BLOCKS = (Alloc("a"), Alloc("b"), Free("a"), Alloc("c", zero=True), Free("b"), Free("c"), PoolInfo(), Destroy())
"""What any pool can be asked for: two blocks, of which one is given again and zeroed, and are freed; its row; its end."""


@dataclass(frozen=True)
class Trace:
    """A run of a pool. `claim` names what it breaks, if it breaks anything, and `past` the breaks that it goes past before:
    claims, or claims in a line of C, as `locking_rules_are_kept@dmapool.c:368`."""

    steps: tuple[Step, ...]
    kernel: Kernel = Kernel()
    claim: str | None = None
    past: tuple[str, ...] = ()

    def last_step(self) -> Step:
        """The step that began last: of a trace that breaks a claim, the one that breaks it."""
        step = self.steps[-1]
        while isinstance(step, Alloc) and not step.happened and step.page is not None and step.page.meanwhile:
            step = step.page.meanwhile[-1]
        return step

    def to_json(self) -> dict[str, Any]:
        return {"poolproof": VERSION, **_encode(self)}


def loads(text: str) -> Trace:
    """The trace that a JSON text says. Raises TraceError."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TraceError(f"not JSON that can be read: {error}") from error
    return from_json(document)


def from_json(document: Any) -> Trace:
    """The trace that parsed JSON says: what `Trace.to_json` gives. Raises TraceError."""
    if not isinstance(document, dict) or "poolproof" not in document:
        raise TraceError('not a poolproof trace: there is no "poolproof": 1')
    fields = {key: value for key, value in document.items() if key != "poolproof"}
    version = document["poolproof"]
    if type(version) is not int or version != VERSION:
        raise TraceError(f"poolproof: version {version!r}, but only version {VERSION} can be read")
    try:
        trace = _decode(Trace, fields, "trace")
    except RecursionError as error:
        raise TraceError("too many operations inside each other") from error
    assert isinstance(trace, Trace)
    _check_order(trace.steps)
    page_size = trace.kernel.page_size
    if page_size < 4 or page_size & (page_size - 1):
        raise TraceError(f"trace.kernel.page_size: a power of two is expected, not {page_size}")
    if trace.claim is not None and trace.claim not in CLAIMS:
        raise TraceError(f"trace.claim: there is no claim {trace.claim!r}")
    return trace


def dumps(trace: Trace) -> str:
    """The trace as JSON, a line per step."""
    return _indented(trace.to_json()) + "\n"


def _check_order(steps: tuple[Step, ...]) -> None:
    if not steps or not isinstance(steps[0], Create):
        raise TraceError("steps[0]: the first step has to be create")
    _check_names(steps[1:], set(), "steps", 1)


def _check_names(steps: tuple[Step, ...], blocks: set[str], where: str, first: int = 0) -> None:
    for number, step in enumerate(steps, first):
        here = f"{where}[{number}]"
        if isinstance(step, Create):
            raise TraceError(f"{here}: a second create; a trace is about one pool")
        if isinstance(step, Destroy) and ".meanwhile" in where:
            raise TraceError(f"{here}: destroy, while an allocation is under way")
        if isinstance(step, Together):
            _check_callers(step, blocks, here)
        if isinstance(step, Free | Write) and step.block not in blocks:
            done = "freed" if isinstance(step, Free) else "written to"
            raise TraceError(f"{here}: block {step.block!r} is {done}, but was not allocated before")
        if isinstance(step, Write) and not re.fullmatch("([0-9a-f]{2}){1,64}", step.data):
            raise TraceError(f"{here}.data: {step.data!r} is not 1 to 64 bytes in hexadecimal digits, such as ffff00")
        if isinstance(step, Alloc) and step.flags not in FLAGS:
            raise TraceError(f"{here}.flags: one of {', '.join(FLAGS)} is expected, not {step.flags!r}")
        if isinstance(step, Alloc | OtherPool):
            if step.block in blocks:
                raise TraceError(f"{here}: block {step.block!r} is allocated twice; choose another name")
            if isinstance(step, Alloc) and step.page is not None:
                if where.count(".meanwhile") == DEEPEST:
                    raise TraceError(f"{here}: more than {DEEPEST} allocations inside each other")
                _check_names(step.page.meanwhile, blocks, f"{here}.page.meanwhile")
            blocks.add(step.block)


def _check_callers(step: Together, blocks: set[str], where: str) -> None:
    if not 2 <= len(step.callers) <= MOST_CALLERS:
        raise TraceError(f"{where}.callers: 2 to {MOST_CALLERS} of them are expected, not {len(step.callers)}")
    before = set(blocks)
    for number, calls in enumerate(step.callers):
        own, created, may_sleep = set(before), False, not (step.interrupts and number)
        for place, call in enumerate(calls):
            here = f"{where}.callers[{number}][{place}]"
            match call:
                case Alloc(page=None, zero=False) if call.block not in blocks:
                    own.add(call.block)
                    blocks.add(call.block)
                case Free(vaddr_plus=0, dma_plus=0) if call.block in own:
                    own.discard(call.block)
                    before.discard(call.block)
                case Create(size=64, align=1, boundary=0) | Destroy() if (
                    may_sleep and isinstance(call, Destroy) == created
                ):
                    created = not created
                case PoolInfo() if may_sleep:
                    pass
                case _:
                    raise TraceError(
                        f"{here}: of callers at once, one allocates under a new name, without a page or zero, frees a block "
                        "that it or a caller before it has, creates a pool of size 64, destroys that, or reads the file pools; "
                        "an interrupt handler allocates and frees"
                    )
        before |= own


def _encode(value: Any) -> Any:
    """A dataclass as a JSON object without the fields that say nothing."""
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    fields = {}
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        required = field.default is dataclasses.MISSING
        if required or content != field.default:
            address = field.name in ADDRESSES and content is not None
            fields[field.name] = hex(content) if address else _encode(content)
    if isinstance(value, Step):
        said = {key: fields.pop(key) for key in ("expected", "happened") if key in fields}
        return {"op": NAMES[type(value)], **fields, **said}
    return fields


def _decode(kind: Any, value: Any, where: str) -> Any:
    """A JSON value as what a field's annotation asks for; an error says where it isn't."""
    if isinstance(kind, types.UnionType):
        if value is None and type(None) in kind.__args__:
            return None
        (kind,) = (member for member in kind.__args__ if member is not type(None))
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise TraceError(f"{where}: a list is expected, not {_brief(value)}")
        return tuple(_decode(kind.__args__[0], item, f"{where}[{number}]") for number, item in enumerate(value))
    if kind is Step:
        if not isinstance(value, dict) or str(value.get("op")) not in OPERATIONS:
            raise TraceError(
                f'{where}: an object with "op" one of {", ".join(OPERATIONS)} is expected, not {_brief(value)}'
            )
        operation = OPERATIONS[value["op"]]
        return _decode(operation, {key: item for key, item in value.items() if key != "op"}, where)
    if dataclasses.is_dataclass(kind):
        return _decode_fields(kind, value, where)
    if kind is int:
        return _decode_number(value, where)
    if not isinstance(value, kind):
        raise TraceError(f"{where}: {kind.__name__} is expected, not {_brief(value)}")
    if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
        raise TraceError(f"{where}: {_brief(value)} has half of a character")
    return value


def _decode_fields(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise TraceError(f"{where}: an object is expected, not {_brief(value)}")
    annotations = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in value:
        if key not in fields:
            raise TraceError(f"{where}: unknown field {key!r}; known are {', '.join(fields)}")
    for name, field in fields.items():
        if field.default is dataclasses.MISSING and name not in value:
            raise TraceError(f"{where}: field {name!r} is missing")
    return kind(**{key: _decode(annotations[key], item, f"{where}.{key}") for key, item in value.items()})


def _decode_number(value: Any, where: str) -> int:
    if isinstance(value, str):
        if not re.fullmatch("-?0x[0-9a-f]{1,16}", value):
            raise TraceError(f"{where}: {value!r} is not a hexadecimal number such as 0x1000, of at most 64 bits")
        return int(value, 16)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TraceError(f"{where}: an integer is expected, not {_brief(value)}")
    lowest = -(2**64) if where.endswith(("_plus", "offset")) else 0
    if not lowest <= value < 2**64:
        raise TraceError(f"{where}: {value} is not a number of 64 bits")
    return value


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _indented(document: dict[str, Any]) -> str:
    """JSON with one line per field, and one per step."""
    steps = ",\n  ".join(json.dumps(step) for step in document["steps"])
    fields = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in document.items() if key != "steps"]
    return "{" + ",\n ".join([*fields, f'"steps": [\n  {steps}]']) + "}"
