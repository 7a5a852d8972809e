"""dma_pool_destroy of C where the pages are in a tree, as the series has it: any page at its turn, and the walk as a whole."""

from collections.abc import Iterator
from typing import Any

from impl.rbtree import Node
from kernel.execute import Interpreter
from kernel.ir import Module, NotFollowed
from kernel.objects import Opaque, Pointer, Struct
from kernel.words import Unknown
from model import claims
from proofs.subjects.c_device import LoggedDevice
from proofs.subjects.c_lists import CPool
from proofs.subjects.c_pages import Pages
from proofs.subjects.c_pool import Code, in_a_ring

NODE = "page_node.__rb_parent_color"
NOTHING = Unknown("undef", 0, 0)


class DestroyedInC(CPool):
    """`AnyPool`, which the C destroys."""

    ALWAYS_NEEDS = ()

    def in_the_address_space(self, dma: Any) -> None:
        """Where a page lies is no matter."""

    def given_back(self, dev: Any, nbytes: Any, vaddr: Any, dma: Any, attributes: Any) -> None:
        self.path.show("a page is given back to the pool's device", lambda: dev == self.view["dev"] and attributes == 0)
        self.path.show("no lock is held by then", lambda: not self.locked.taken and not self.locked.irqs_off)
        self.memory.free_coherent(nbytes, vaddr, dma)

    def kfree(self, what: Pointer) -> None:
        super().kfree(what)
        self.gone.append(what.object)

    def destroy(self) -> None:
        (page,) = self.page_tree.postorder()
        self.gone: list[Any] = []
        struct, device = self.at(page).object, self.code.struct("device")
        in_a_ring(device.at("dma_pools.next"), self.view.at("pools.next"))
        self.view["dev"] = Pointer(device, 0)
        here = struct.at(NODE)
        others = Pointer(Opaque("the page after it"), here.offset)
        following = self.path.one_of("after it in postorder", 0, 1) and others

        def after(node: Pointer) -> Any:
            if struct.freed:
                raise_freed(struct)
            self.path.follow("the walk goes on from the page", lambda: node == here)
            return following

        interpreter = self.running(
            rb_first_postorder=lambda _: here,
            rb_next_postorder=after,
            dma_free_coherent=self.given_back,
        )
        frame = interpreter.enter("dma_pool_destroy", Pointer(self.view, 0))
        begins = interpreter.advance(frame, frame.function.loop())
        variable = page_variable(begins, Pointer(struct, 0))
        again = interpreter.resume(frame, begins or {})
        then = following if following == 0 else following + -here.offset
        self.path.follow("the walk goes on with the next page", lambda: again is not None and again[variable] == then)
        self.path.show_claim(claims.structs_are_freed, [] if struct in self.gone else [struct])
        self.path.show("nothing else is freed", lambda: len(self.gone) == 1)
        interpreter.resume(frame, dict.fromkeys(begins or {}, NOTHING) | {variable: 0})
        self.path.show("at last, the pool is freed", lambda: frame.returned and self.gone == [struct, self.view])


def raise_freed(struct: Struct) -> None:
    struct.load(0, struct.fields[0].width)


def page_variable(begins: dict[str, Any] | None, page: Any) -> str:
    """The variable that is the page; the loop may have others only that have no value where it begins."""
    found = [name for name, value in (begins or {}).items() if not isinstance(value, Unknown) and value == page]
    others = [name for name, value in (begins or {}).items() if name not in found and not isinstance(value, Unknown)]
    if len(found) != 1 or others:
        raise NotFollowed("the walk does not begin with the first page, and nothing else")
    return found[0]


class VisitedInC:
    """A tree of a few pages, which dma_pool_destroy visits: lib/rbtree.c gives the first page, and the next one."""

    def __init__(self, path: Any, code: Code, rbtree: Module) -> None:
        self.path, self.code, self.rbtree = path, code, rbtree
        self.root: Any = None
        self.pages = Pages(code)

    def _deepest(self, node: Any) -> Any:
        raise NotFollowed(f"{node} is visited first, which no lemma says")

    _next_postorder = _deepest

    def _first(self, root: Pointer) -> Any:
        nodes, interpreter = self.pages, Interpreter(self.rbtree, {})
        interpreter.replaced["rb_left_deepest_node"] = lambda node: nodes.pointer(self._deepest(nodes.node(node)))
        return interpreter.call("rb_first_postorder", root)

    def _following(self, node: Pointer) -> Any:
        if node.object.freed:
            raise_freed(node.object)
        return self.pages.pointer(self._next_postorder(self.pages.node(node)))

    def postorder(self) -> Iterator[Node]:
        device, pool, of = LoggedDevice(), self.code.struct("dma_pool"), self.code.struct("device")
        in_a_ring(of.at("dma_pools.next"), pool.at("pools.next"))
        pool["page_tree.rb_node"], pool["dev"], pool["allocation"] = self.pages.pointer(self.root), Pointer(of, 0), 1
        more = {"rb_first_postorder": self._first, "rb_next_postorder": self._following}
        interpreter = self.code.interpreter(path=self.path, **device.externals() | more)
        interpreter.replaced["pool_free_page"] = lambda _, page, __: device.kfree(page)
        frame = interpreter.enter("dma_pool_destroy", Pointer(pool, 0))
        begins = interpreter.advance(frame, frame.function.loop())
        while begins is not None:
            freed = len(device.freed)
            begins = interpreter.resume(frame, begins)
            yield from (view.node for view in device.freed[freed:] if view is not pool)
