"""dma_pool_destroy of C: any page at its turn; and where the pages are in a tree, the walk as a whole."""

from collections.abc import Iterator
from typing import Any

from impl.rbtree import Node
from kernel.execute import Frame, Interpreter
from kernel.ir import Field, Module, NotFollowed
from kernel.objects import Opaque, Pointer, Struct
from kernel.words import Unknown
from model import claims
from proofs.subjects.arbitrary import AnyPage
from proofs.subjects.c_lists import CPool
from proofs.subjects.c_pages import Pages
from proofs.subjects.c_pool import Code, any_ring, in_a_ring
from proofs.subjects.c_turns import roles
from proofs.subjects.c_views import Spinlocks, any_number

NODE = "page_node.__rb_parent_color"
NOTHING = Unknown("undef", 0, 0)


class DestroyedInC(CPool):
    """`AnyPool`, which the C destroys."""

    ALWAYS_NEEDS = ()

    def in_the_address_space(self, dma: Any) -> None:
        """Where a page lies is no matter."""

    def given_back(self, dev: Any, nbytes: Any, vaddr: Any, dma: Any, attributes: Any) -> None:
        self.path.show("a page is given back to the pool's device", lambda: dev == self.view["dev"] and attributes == 0)
        self.locks.sleeps("dma_free_coherent")
        self.memory.free_coherent(nbytes, vaddr, dma)

    def kfree(self, what: Pointer) -> None:
        super().kfree(what)
        self.gone.append(what.object)

    def begun(self, page: Any, **more: Any) -> tuple[Interpreter, Frame, dict[str, Any]]:
        """dma_pool_destroy, where its walk through the pages begins, and the variables of that."""
        self.gone: list[Any] = []
        self.shows = [] if self.code.stacks else [page.vaddr]
        self.locks = Spinlocks()
        self.locks.pools.append(self.view)
        device = self.code.struct("device")
        others = [self.code.struct("dma_pool").at("pools.next")] * self.path.one_of("other pools of the device", 0, 1)
        in_a_ring(device.at("dma_pools.next"), self.view.at("pools.next"), *others)
        self.view["dev"] = Pointer(device, 0)
        interpreter = self.running(dma_free_coherent=self.given_back, **self.locks.externals(), **more)
        frame = interpreter.enter("dma_pool_destroy", Pointer(self.view, 0))
        begins = interpreter.advance(frame, frame.function.loop())
        if begins is None:
            raise NotFollowed("dma_pool_destroy ends before its loop")
        early = "nothing is given back before the walk"
        self.path.follow(early, lambda: not self.gone and {*map(type, self.log)} <= {str})
        return interpreter, frame, begins

    def show_freed(self, struct: Struct) -> None:
        """By the end of a page's turn."""
        self.path.show_claim(claims.structs_are_freed, [] if struct in self.gone else [struct])
        self.path.show("nothing else is freed", lambda: len(self.gone) == 1)
        self.path.show_claim(claims.locking_rules_are_kept, self.locks.left())

    def show_end(self, frame: Frame, struct: Struct) -> None:
        self.path.show_claim(claims.structs_are_freed, [] if self.view in self.gone else [self.view])
        self.path.show("at last, the pool is freed", lambda: frame.returned and self.gone == [struct, self.view])


class TreeDestroyedInC(DestroyedInC):
    """Of the series: the pages are in a tree."""

    def destroy(self) -> None:
        (page,) = self.page_tree.postorder()
        struct = self.at(page).object
        here = struct.at(NODE)
        others = Pointer(Opaque("the page after it"), here.offset)
        following = self.path.one_of("after it in postorder", 0, 1) and others

        def after(node: Pointer) -> Any:
            if struct.freed:
                raise_freed(struct)
            self.path.follow("the walk goes on from the page", lambda: node == here)
            return following

        interpreter, frame, begins = self.begun(page, rb_first_postorder=lambda _: here, rb_next_postorder=after)
        variable = page_variable(begins, Pointer(struct, 0))
        again = interpreter.resume(frame, begins)
        then = following if following == 0 else following + -here.offset
        self.path.follow("the walk goes on with the next page", lambda: again is not None and again[variable] == then)
        self.show_freed(struct)
        interpreter.resume(frame, dict.fromkeys(begins, NOTHING) | {variable: 0})
        self.show_end(frame, struct)


class ListDestroyedInC(DestroyedInC):
    """Of v6.1 and v6.12: the pages are in a list. The turns before are done, so that the page is the first one; the walk knows
    it and the next one. Of v6.12, all pages are busy if a block of any is in use, and none is poisoned."""

    def has_room(self, page: AnyPage) -> bool:  # noqa: ARG002
        """The list has all pages."""
        return True

    def destroy(self) -> None:
        page: Any = self.avail_page_list.next.owner
        struct, following = self.at(page).object, page.avail_page_link.next
        bits = 31  # of a count of the blocks of a page; those of all pages may be as many as their counter holds
        if self.code.stacks:
            self.poisons_pages = False
            bits = self.view.fields[self.view.offset_of("nr_active")].width
            self.views.keep(self.view, "nr_active", page, "in_use")
        self.path.assume(
            "a page has bytes, as an int counts them",
            lambda: self.geometry.allocation >= 1 and self.geometry.allocation < 2**31 and page.in_use < 2**bits,
        )
        self.view.any_value = struct.any_value = self.any_field

        def about(link: Any) -> dict[str, Any]:
            here, after = self.views.pointer(link), self.views.pointer(link.next)
            to_the_page = -struct.offset_of(f"{self.link_field}.next")
            return {"page": here + to_the_page, "next page": after + to_the_page, "link": here}

        interpreter, frame, begins = self.begun(page)
        means = roles(begins, **about(page.avail_page_link))
        again = interpreter.resume(frame, begins)
        self.path.follow("the walk goes on", lambda: again is not None)
        assert again is not None
        then = about(following)
        on = "it goes on with the next page"
        self.path.follow(on, lambda: all(again[name] == then[role] for name, role in means.items()))
        self.show_freed(struct)
        if following is self.avail_page_list:
            interpreter.resume(frame, again)
            self.show_end(frame, struct)

    def any_field(self, struct: Struct, known: Field) -> Any:
        """Of a link of a list, that the pool or the page is in it, or is alone in one."""
        kind = any_ring if known.type == "list_head*" else any_number
        return kind(self.path, struct, known)


def raise_freed(struct: Struct) -> None:
    struct.load(0, struct.fields[0].width)


def page_variable(begins: dict[str, Any], page: Any) -> str:
    """The variable that is the page; the loop may have others only that have no value where it begins."""
    known = {name: value for name, value in begins.items() if not isinstance(value, Unknown)}
    if len(known) != 1 or not all(value == page for value in known.values()):
        raise NotFollowed("the walk does not begin with the first page, and nothing else")
    return next(iter(known))


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
        pool, of, freed = self.code.struct("dma_pool"), self.code.struct("device"), list[Any]()
        in_a_ring(of.at("dma_pools.next"), pool.at("pools.next"))
        pool["page_tree.rb_node"], pool["dev"], pool["allocation"] = self.pages.pointer(self.root), Pointer(of, 0), 1
        walk: dict[str, Any] = {"rb_first_postorder": self._first, "rb_next_postorder": self._following}

        def free(_: Any, page: Pointer, __: Any) -> None:
            page.object.freed = True
            freed.append(page.object)

        interpreter = self.code.interpreter(path=self.path, **walk)
        interpreter.replaced["pool_free_page"] = free
        frame = interpreter.enter("dma_pool_destroy", Pointer(pool, 0))
        begins = interpreter.advance(frame, frame.function.loop())
        while begins is not None:
            freed.clear()
            begins = interpreter.resume(frame, begins)
            yield from [view.node for view in freed]
