"""What a kernel's own file calls the structs, fields and functions that proofs are about: each is known by what it does.

Who wants `struct dma_page`, or its `vaddr`, gets what has that role, whatever its name; what has the name has the role.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from kernel.instructions import Global
from kernel.ir import Field, Module, NotFollowed
from kernel.objects import Pointer, Struct

LAYS, FINDS, SHOWS = "pool_initialise_page", "pool_find_page", "pools_show"

CREATED = ((1000, 8, 2048, 4096), (600, 8, 1024, 8192))
"""Arguments of dma_pool_create, and the page size: so the pool's size, boundary and allocation are told apart."""

OF_PAGES_WITH_ROOM = {"avail_page_list", "avail_page_link"}
"""Lists that have a role by their names, which is another one than `page_list` has."""


@dataclass(frozen=True)
class Names:
    """The names in a file: of structs, by ours; of fields, ours by the struct and by theirs."""

    structs: dict[str, str] = field(default_factory=dict)
    fields: dict[str, dict[str, str]] = field(default_factory=dict)

    def struct(self, module: Module, name: str) -> Struct:
        """Raises NotFollowed if there is none."""
        fields, place = module.struct(self.structs.get(name, name))
        ours = self.fields.get(name, {})
        return Struct(name, {offset: renamed(one, ours) for offset, one in fields.items()}, place=place)


AS_OURS = Names()


def renamed(one: Field, ours: dict[str, str]) -> Field:
    head, dot, rest = one.name.partition(".")
    return Field(ours.get(one.name) or ours.get(head, head) + dot + rest, one.width, one.type)


def functions_of(module: Module) -> dict[str, str]:
    """The functions that have other names than ours: what lays a page out is called in the end by dma_pool_alloc, and gets the
    pool and a page; what finds a page is called by dma_pool_free, and gets the pool and an address; what prints the file pools
    has the parameters of each file of a device (show_pools before Linux 5.15)."""
    found = {}
    if LAYS not in module.functions:
        lay = [
            name
            for name in called(module, "dma_pool_alloc")
            if kinds(module, name)[:1] == ["dma_pool*"]
            and len(kinds(module, name)) == 2
            and kinds(module, name)[1].endswith("*")
            and any(module.functions[one].loops for one in (name, *called(module, name)))
        ]
        found[LAYS] = [name for name in lay if not any(name in called(module, one) for one in lay)]
    if FINDS not in module.functions:
        found[FINDS] = [
            name for name in called(module, "dma_pool_free") if kinds(module, name) == ["dma_pool*", "dma_addr_t"]
        ]
    if SHOWS not in module.functions:
        of_a_file = ["device*", "device_attribute*", "char*"]
        found[SHOWS] = [name for name in module.functions if kinds(module, name) == of_a_file]
    return {ours: theirs[0] for ours, theirs in found.items() if len(theirs) == 1}


def kinds(module: Module, function: str) -> list[str]:
    number = len(module.functions[function].parameters)
    return [module.parameter_type(function, one) for one in range(1, number + 1)]


def called(module: Module, function: str, others: bool = False) -> list[str]:
    """The functions of the file that one calls in the end; and `others`, that are not the file's."""
    known, ahead = list[str](), [function]
    while ahead:
        at = ahead.pop()
        blocks = module.functions[at].blocks.values() if at in module.functions else ()
        calls = {one.operands[-1].value for block in blocks for one in block if one.operation == "call"}
        names = {call.name for call in calls if isinstance(call, Global)}
        new = {name for name in names if others or name in module.functions} - set(known)
        known += sorted(new)
        ahead += sorted(new)
    return known


def names_of(module: Module, pools: list[tuple[Struct, dict[int, int]]]) -> Names:
    """The names of a file; `pools` are some that dma_pool_create has made, each with the numbers by which its size, boundary
    and allocation are known. Where a role is not found, the name is ours."""
    structs, fields = dict[str, str](), dict[str, dict[str, str]]()
    try:
        page = module.parameter_type(LAYS, 2).removesuffix("*")
        members = list(module.struct(page)[0].values())
        structs["dma_page"] = page
        fields["dma_page"] = dict(
            pick(members, {"dma": ("dma_addr_t",), "vaddr": ("void*", "char*", "u8*"), "page_list": ("list_head*",)})
        )
    except (NotFollowed, KeyError):
        pass
    pool = list(module.struct("dma_pool")[0].items())
    for pointer in {one.type for _, one in pool if one.type.endswith("*")}:
        try:
            block = list(module.struct(pointer.removesuffix("*"))[0].values())
        except NotFollowed:
            continue
        if {one.type for one in block} >= {pointer, "dma_addr_t"}:
            structs["dma_block"] = pointer.removesuffix("*")
            fields["dma_block"] = dict(pick(block, {"dma": ("dma_addr_t",), "next_block": (pointer,)}))
            fields["dma_pool"] = dict(pick([one for _, one in pool], {"next_block": (pointer,)}))
    fields["dma_pool"] = fields.get("dma_pool", {}) | dict(of_pool(pools))
    return Names(structs, fields)


def pick(members: list[Field], wanted: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    """Ours by theirs, of the fields that are the only ones of their types, where none has our name."""
    names = {one.name.partition(".")[0] for one in members}
    for ours, types in wanted.items():
        found = {one.name.partition(".")[0] for one in members if one.type in types} - OF_PAGES_WITH_ROOM
        if ours not in names and len(found) == 1:
            yield found.pop(), ours


def of_pool(pools: list[tuple[Struct, dict[int, int]]]) -> Iterator[tuple[str, str]]:
    if not pools:
        return
    members = pools[0][0].fields
    names = {one.name.partition(".")[0] for one in members.values()}
    for number, ours in enumerate(("size", "boundary", "allocation")):
        found = [
            one.name
            for offset, one in members.items()
            if all(pool.cells.get(offset) == numbers[number] for pool, numbers in pools)
        ]
        if ours not in names and len(found) == 1:
            yield found[0], ours
    lists = {one.name.removesuffix(".next"): offset for offset, one in members.items() if one.name.endswith(".next")}
    listed = {name for name, offset in lists.items() if leads_away(pools[0][0], offset)}
    if "pools" not in names and len(listed) == 1:
        yield next(iter(listed)), "pools"
    others = set(lists) - listed - OF_PAGES_WITH_ROOM
    if "page_list" not in names and len(others) == 1:
        yield others.pop(), "page_list"


def leads_away(pool: Struct, offset: int) -> bool:
    held = pool.cells.get(offset)
    return isinstance(held, Pointer) and held.object is not pool
