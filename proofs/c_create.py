"""Making and giving up a pool of a kernel's C, managed or not, whatever is refused on the way.

What the device has is known: its list of pools, its file `pools`, its resources, each of which is memory with a function that
gives up what the memory leads to. The pools here have no pages: `proofs.destroy` is about those.
"""

from typing import Any

from kernel.environment import GFP_ZERO
from kernel.instructions import Global
from kernel.ir import Field
from kernel.objects import Fault, FunctionPointer, Pointer, Struct, View
from model import claims
from proofs.subjects.c_names import SHOWS
from proofs.subjects.c_pool import NUMA_NO_NODE, Code, any_text, call_create, in_a_ring, raise_linked
from proofs.subjects.c_views import NOT_AS_ASSERTED, Mutexes
from proofs.subjects.subject import PAGE_SIZE

ENOENT, ENOMEM = 2**32 - 2, 2**32 - 12


class Device:
    """A device with so many other pools: its file, its list and its resources; what it may refuse, and what it has by then."""

    def __init__(self, path: Any, code: Code, others: int = 0, refuses: bool = True) -> None:
        self.path, self.code, self.refuses = path, code, refuses
        self.file = others > 0
        self.file_under: list[Struct] | None = None  # the mutexes under which it was made and removed each time
        self.mutexes = Mutexes(code)
        self.misuse = self.mutexes.misuse
        self.said: list[str] = []
        self.memory: list[Struct] = []  # what was given, and not given back
        self.freed: list[Struct] = []
        self.resources: list[tuple[Struct, str]] = []  # of the device, each with the function that gives it up
        self.releases: dict[int, str] = {}  # of each resource that was allocated, by its id
        self.nodes: list[Any] = []  # where memory is asked for
        self.view = self.mutexes.seen("device")
        self.others = [self.mutexes.seen("dma_pool") for _ in range(others)]
        in_a_ring(self.view.at("dma_pools.next"), *(other.at("pools.next") for other in self.others))
        for other in self.others:
            other["dev"] = Pointer(self.view, 0)
        page_size = path.one_of("page_size", PAGE_SIZE)
        self.interpreter = self.code.interpreter(page_size=page_size, path=path, **self.externals())
        self.interpreter.uncomputed = frozenset({"udiv", "urem"})
        self.interpreter.touched = self.mutexes.touched_of_the_file

    def externals(self) -> dict[str, Any]:
        return {
            "kmalloc": self.kmalloc,
            "kfree": self.kfree,
            **self.mutexes.externals(),
            "device_create_file": self.device_create_file,
            "device_remove_file": self.device_remove_file,
            "lock_is_held_type": lambda lock, _: int(lock.object in self.mutexes.held),
            "poolproof_lockdep": lambda: self.misuse.append(NOT_AS_ASSERTED),
            "devres_alloc": self.devres_alloc,
            "devres_add": self.devres_add,
            "devres_free": self.kfree,
            "devres_remove": self.devres_remove,
            "devres_destroy": self.devres_destroy,
            "devres_release": self.devres_release,
            "poolproof_log": lambda *_: self.said.append("a message"),
            "rb_first_postorder": self.no_page,
        }

    def serves(self, what: str) -> bool:
        return not (self.refuses and self.path.one_of(what, "serves", "fails") == "fails")

    def kmalloc(self, nbytes: Any, flags: Any, node: Any = NUMA_NO_NODE) -> Pointer | int:
        self.nodes.append(node)
        if not self.serves("kmalloc"):
            return 0
        new = self.mutexes.seen("dma_pool", unwritten=0 if flags & GFP_ZERO else Fault, private=True)
        new.fits_in(nbytes)
        self.memory.append(new)
        return Pointer(new, 0)

    def kfree(self, what: Any) -> None:
        if what == 0:
            return
        if what.object not in self.memory or what.offset != 0 or any(what.object is one for one, _ in self.resources):
            raise Fault(f"{what.object.name} is freed, which is another's, or the device's still")
        raise_linked(what.object)
        self.memory.remove(what.object)
        self.freed.append(what.object)
        what.object.freed = True

    def device_create_file(self, dev: Pointer, *_: Any) -> int:
        if self.file:
            self.misuse.append("the file pools is made, and is there")
        if not self.serves("device_create_file"):
            return ENOMEM
        self.under_a_common_mutex()
        self.file = dev.object is self.view
        return 0

    def device_remove_file(self, dev: Pointer, *_: Any) -> None:
        if not self.file:
            self.misuse.append("the file pools is removed, and is not there")
        if any(one.name in named_in(self.code, SHOWS) for one in self.mutexes.held):
            self.misuse.append(
                "a reader of the file pools waits for a mutex, and who has it removes the file: a deadlock"
            )
        self.under_a_common_mutex()
        self.file = self.file and dev.object is not self.view

    def under_a_common_mutex(self) -> None:
        before = self.mutexes.held if self.file_under is None else self.file_under
        self.file_under = [lock for lock in before if lock in self.mutexes.held]
        if not self.file_under:
            self.misuse.append("the file pools is made and removed under no common mutex")

    def devres_alloc(self, release: FunctionPointer, nbytes: int, flags: Any) -> Pointer | int:
        del flags
        if not self.serves("devres_alloc"):
            return 0
        resource = Struct("a resource", {0: Field("pool", 8 * nbytes)}, unwritten=0)
        self.memory.append(resource)
        self.releases[id(resource)] = release.name
        return Pointer(resource, 0)

    def devres_add(self, dev: Pointer, resource: Pointer) -> None:
        if dev.object is self.view:
            self.resources.append((resource.object, self.releases[id(resource.object)]))

    def devres_remove(self, dev: Pointer, release: FunctionPointer, match: Any, data: Any) -> Pointer | int:
        """The latest resource that matches is not the device's any more."""
        for resource in reversed(self.resources):
            place = Pointer(resource[0], 0)
            if resource[1] == release.name and self.interpreter.call(match.name, dev, place, data):
                self.resources.remove(resource)
                return place
        return 0

    def devres_destroy(self, *arguments: Any) -> int:
        self.kfree(removed := self.devres_remove(*arguments))
        return ENOENT if removed == 0 else 0

    def devres_release(self, dev: Pointer, release: FunctionPointer, match: Any, data: Any) -> int:
        removed = self.devres_remove(dev, release, match, data)
        if not isinstance(removed, Pointer):
            return ENOENT
        self.give_up(removed.object, release.name)
        return 0

    def give_up(self, resource: Struct, release: str) -> None:
        self.interpreter.call(release, Pointer(self.view, 0), Pointer(resource, 0))
        self.kfree(Pointer(resource, 0))

    def no_page(self, root: Pointer) -> int:
        self.path.follow("the tree has no page", lambda: root.object.load(root.offset, 64) == 0)
        return 0

    # What drivers call, and what is left by then.

    def create(self, managed: bool, *arguments: Any) -> View | None:
        """The pool, if one is created with this size, align and boundary."""
        call: Any = self.interpreter.call if managed else call_create
        ahead = ("dmam_pool_create", any_text()) if managed else (self.interpreter,)
        self.mutexes.creating = True
        made = call(*ahead, Pointer(self.view, 0), *arguments)
        self.mutexes.creating = False
        return made.object if isinstance(made, Pointer) else None

    def listed(self) -> list[Struct]:
        """Its pools, in the order of its list."""
        pools, head = list[Struct](), self.view.at("dma_pools.next")
        at = self.view.cells[head.offset]
        while at != head:
            pools.append(at.object)
            at = at.object.cells[at.offset]
        return pools

    def lists(self, pool: Any) -> bool:
        """Whether the pool is in the list, before the others or behind them."""
        return self.listed() in ([pool, *self.others], [*self.others, pool])

    def left(self) -> list[Any]:
        """What an operation has left that was not there before."""
        others = [pool for pool in self.listed() if pool not in self.others]
        return [*self.memory, *others, *self.resources]

    def show_rules(self) -> None:
        """After an operation: of the file, and of mutexes."""
        self.path.show_claim(claims.pools_file_exists_while_pools_do, self.file, len(self.listed()))
        self.path.show_claim(claims.locking_rules_are_kept, self.mutexes.left())


def named_in(code: Code, function: str) -> set[str]:
    """The file's variables that a function passes on, as it does a lock."""
    blocks = code.module.function(function).blocks.values() if code.module.has(function) else ()
    operands = [
        operand.value for block in blocks for one in block if one.operation == "call" for operand in one.operands
    ]
    return {value.name for value in operands if isinstance(value, Global)}


def any_arguments(path: Any) -> tuple[Any, Any, Any]:
    return path.number("size"), path.number("align"), path.number("boundary")


def create_makes_a_pool_or_leaves_nothing(path: Any, subject: Code) -> None:
    """For any arguments, whatever is refused."""
    device = Device(path, subject, path.one_of("other pools of the device", 0, 1))
    kinds = (False, True) if subject.module.has("dmam_pool_create") else (False,)
    pool = device.create(path.one_of("managed", *kinds), *any_arguments(path))
    if pool is None:
        path.show_claim(claims.failed_create_leaves_nothing_behind, device.left())
    else:
        path.show("the pool is in its device's list, whose others stay", lambda: device.lists(pool))
    device.show_rules()


def new_pool_has_no_blocks(path: Any, subject: Code) -> None:
    """Where the inductions over alloc and free begin: a stack, that is, and its counts; and the list of pages."""
    device = Device(path, subject, refuses=False)
    pool: Any = device.create(False, 64, 8, 0)
    path.follow("a pool is created", lambda: pool is not None)

    def held(name: str) -> Any:
        return pool.load(place := pool.offset_of(name), pool.fields[place].width)

    head = pool.at("page_list.next")
    path.show("it has no page", lambda: held("page_list.next") == head and held("page_list.prev") == head)
    path.show_claim(claims.total_counts_the_blocks, held("nr_blocks"), 0, 0)
    path.show("no page is counted", lambda: held("nr_pages") == 0)
    path.show_claim(claims.in_use_counts_the_live_blocks, held("nr_active"), 0)
    path.show_claim(claims.free_list_holds_the_free_blocks, [] if held("next_block") == 0 else [0], [])


def managed_pool_is_what_is_asked_for(path: Any, subject: Code) -> None:
    """dma_pool_create gets the device, size, align and boundary of dmam_pool_create; of the name, nothing is shown."""
    device, passed, asked = Device(path, subject, refuses=False), list[Any](), any_arguments(path)
    name = "dma_pool_create_node" if subject.module.has("dma_pool_create_node") else "dma_pool_create"

    def create(*given: Any) -> int:
        passed.append(given)
        return 0

    device.interpreter.replaced[name] = create
    device.create(True, *asked)
    for _, of, *given in passed:
        path.show("it is of the device", lambda of=of: of.object is device.view)
        path.show(claims.create_admits_what_is_promised.name, lambda given=given: tuple(given[:3]) == asked)


def structs_are_on_the_node(path: Any, subject: Code) -> None:
    """Of a new pool; of a new page, `c_alloc.page_is_on_the_node`."""
    device, node = Device(path, subject), path.number("node")
    path.assume("a node is an int", lambda: node < 2**31)
    device.interpreter.call("dma_pool_create_node", any_text(), Pointer(device.view, 0), 64, 8, 0, node)
    for asked in device.nodes:
        path.show_claim(claims.structs_are_on_the_node, asked, node)


def destroy_removes_the_file_of_the_last_pool(path: Any, subject: Code) -> None:
    """Of a pool without pages; or of none, which a driver may pass."""
    device = Device(path, subject, path.one_of("other pools of the device", 0, 1), refuses=False)
    pool = device.create(False, 64, 8, 0)
    path.follow("a pool is created", lambda: pool is not None)
    if path.one_of("destroyed is", "the pool", "NULL") == "NULL":
        device.interpreter.call("dma_pool_destroy", 0)
        path.show("nothing changes", lambda: not device.freed and device.lists(pool))
    else:
        device.interpreter.call("dma_pool_destroy", Pointer(pool, 0))
        path.show("the pool is gone, and no other", lambda: device.freed == [pool] and not device.left())
        path.show("nothing is said", lambda: not device.said)
    device.show_rules()


def pool_that_is_not_managed_is_left_alone(path: Any, subject: Code) -> None:
    """A driver takes it for a managed one."""
    device = Device(path, subject, refuses=False)
    pool = device.create(False, 64, 8, 0)
    path.follow("a pool is created", lambda: pool is not None)
    device.interpreter.call("dmam_pool_destroy", Pointer(pool, 0))
    path.show_claim(claims.managed_pool_is_destroyed_once, device.freed, [])
    path.show("that is said", lambda: len(device.said) == 1)


def managed_pool_is_destroyed_once(path: Any, subject: Code) -> None:
    """A device with two managed pools, of which a driver destroys one or none; the device takes the rest with it."""
    device = Device(path, subject, refuses=False)
    pools = [device.create(True, 64, 8, 0) for _ in range(2)]
    path.follow("two pools are created", lambda: None not in pools)
    by_driver = path.one_of("the driver destroys", "neither", "the first", "the second")
    gone = {"neither": [], "the first": pools[:1], "the second": pools[1:]}[by_driver]
    for pool in gone:
        device.interpreter.call("dmam_pool_destroy", Pointer(pool, 0))
    destroyed = [one for one in device.freed if one in pools]
    path.show_claim(claims.managed_pool_is_destroyed_once, destroyed, gone)
    device.show_rules()
    for resource in reversed(device.resources[:]):
        device.resources.remove(resource)
        device.give_up(*resource)
    destroyed = [one for one in device.freed if one in pools]
    rest = [pool for pool in reversed(pools) if pool not in gone]
    path.show_claim(claims.managed_pool_is_destroyed_once, destroyed, [*gone, *rest])
    path.show("nothing is left, and nothing was said", lambda: not device.left() + device.said)
    device.show_rules()
