"""dma_pool_destroy of C where the pages are in a tree, as the series has it: any page at its turn, and the walk as a whole."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from impl.rbtree import Node
from kernel.execute import Interpreter
from kernel.ir import Module, NotFollowed
from kernel.objects import Opaque, Pointer, Struct, View
from kernel.words import Unknown
from proofs.c_destroy import Device, in_a_ring
from proofs.subjects.arbitrary import AnyPage, AnyPool
from proofs.subjects.c_pages import Pages
from proofs.subjects.c_pool import Code

NODE = "page_node.__rb_parent_color"
NOTHING = Unknown("undef", 0, 0)


class PageBytes(Device):
    """The memory of a page, which is only filled."""

    def __init__(self, page: AnyPage) -> None:
        super().__init__()
        self.page = page

    def fill(self, offset: Any, nbytes: Any, byte: int) -> None:
        self.page.fill(offset, nbytes, byte % 256)


class DestroyedInC(AnyPool):
    """`AnyPool`, which the C destroys."""

    def __init__(self, code: Code, path: Any, *options: str, needs: tuple[str, ...]) -> None:
        super().__init__(path, *options, needs=needs)
        self.code = code
        self.places: dict[int, tuple[Any, Pointer]] = {}

    def bare_page(self, name: str = "the page") -> AnyPage:
        page = super().bare_page(name)
        page.vaddr = Pointer(PageBytes(page), 0)  # type: ignore[assignment]
        return page

    def put(self, link: Any, view: View, field: str) -> None:
        """Have a link of Python as the list_head that begins at a field of a struct."""
        self.places[id(link)] = link, view.at(f"{field}.next")
        for end in ("next", "prev"):
            if hasattr(link, end):
                view.keep(f"{field}.{end}", partial(self._read, link, end), partial(self._write, link, end))

    def _read(self, link: Any, end: str) -> Pointer:
        other = getattr(link, end)
        if id(other) not in self.places:  # a page of which only its link is known
            self.put(other, self._view("dma_page"), "avail_page_link")
        return self.places[id(other)][1]

    def _write(self, link: Any, end: str, value: Any) -> None:
        known = [one for one, place in self.places.values() if place == value]
        if end == "next":
            link.next = known[0] if known else None
        else:
            link.prev = known[0] if known else None

    def _view(self, name: str) -> View:
        fields, place = self.code.module.struct(name)
        return View(name, fields, place=place)

    def destroy(self) -> None:
        (page,) = self.page_tree.postorder()
        device, pool, struct, of = Device(), self._view("dma_pool"), self._view("dma_page"), self.code.struct("device")
        self.put(self.avail_page_list, pool, "avail_page_list")
        self.put(page.avail_page_link, struct, "avail_page_link")
        for name in ("vaddr", "dma", "in_use"):
            struct[name] = getattr(page, name)
        pool["allocation"], pool["dev"] = self.geometry.allocation, Pointer(of, 0)
        in_a_ring(of.at("dma_pools.next"), pool.at("pools.next"))
        here = struct.at(NODE)
        others = Pointer(Opaque("the page after it"), here.offset)
        following = self.path.one_of("after it in postorder", 0, 1) and others

        def after(node: Pointer) -> Any:
            if struct.freed:
                raise_freed(struct)
            self.path.follow("the walk goes on from the page", lambda: node == here)
            return following

        interpreter = self.code.interpreter(
            **device.externals()
            | {
                "rb_first_postorder": lambda _: here,
                "rb_next_postorder": after,
                "poolproof_log": lambda *_: self.log.append("busy"),
                "dma_free_coherent": lambda _, *given: self.memory.free_coherent(*given),
            }
        )
        interpreter.module = self.code.debugging if self.debug else self.code.module
        frame = interpreter.enter("dma_pool_destroy", Pointer(pool, 0))
        begins = interpreter.advance(frame, frame.function.loop())
        variable = page_variable(begins, Pointer(struct, 0))
        again = interpreter.resume(frame, begins or {})
        then = following if following == 0 else following + -here.offset
        self.path.follow("the walk goes on with the next page", lambda: again is not None and again[variable] == then)
        self.path.show("the page is freed, and nothing else", lambda: device.freed == [struct])
        interpreter.resume(frame, dict.fromkeys(begins or {}, NOTHING) | {variable: 0})
        self.path.show("at last, the pool is freed", lambda: frame.returned and device.freed == [struct, pool])


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
        del path
        self.code, self.rbtree = code, rbtree
        self.root: Any = None
        self.pages = Pages(code.module)

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
        device, pool, of = Device(), self.code.struct("dma_pool"), self.code.struct("device")
        in_a_ring(of.at("dma_pools.next"), pool.at("pools.next"))
        pool["page_tree.rb_node"], pool["dev"], pool["allocation"] = self.pages.pointer(self.root), Pointer(of, 0), 1
        more = {"rb_first_postorder": self._first, "rb_next_postorder": self._following}
        interpreter = self.code.interpreter(**device.externals() | more)
        interpreter.replaced["pool_free_page"] = lambda _, page, __: device.kfree(page)
        frame = interpreter.enter("dma_pool_destroy", Pointer(pool, 0))
        begins = interpreter.advance(frame, frame.function.loop())
        while begins is not None:
            freed = len(device.freed)
            begins = interpreter.resume(frame, begins)
            yield from (view.node for view in device.freed[freed:] if view is not pool)
