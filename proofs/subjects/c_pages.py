"""How the C of a kernel's mm/dmapool.c finds a page and adds one: in a tree, as the series has it, or in a list.

The pages are those of the proofs of `proofs.lookup` and `proofs.tree`: the loops of pool_find_page and pool_insert_page run for
one turn, from which they have to go on as they began.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from impl.rbtree import RIGHT, Node
from kernel.execute import Interpreter
from kernel.ir import Module, NotFollowed
from kernel.objects import Opaque, Pointer, View
from proofs.subjects.c_nodes import CHILDREN, Nodes
from proofs.subjects.c_pool import Code, lookup_case, named_device
from proofs.subjects.c_turns import one_turn, roles, turn_at
from proofs.subjects.search_tree import Subtree
from proofs.subjects.subject import ReachedTail

NODE = "page_node."
ROOT = "page_tree.rb_node"


class Pages(Nodes):
    """The struct dma_page of each node. Nothing may be read of a subtree."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.module, "dma_page", NODE, names=code.names)

    def view(self, node: Any) -> Any:
        view = super().view(node)
        if isinstance(node, Subtree):
            view.touched = self._touched
        else:
            view.keep("dma", lambda: node.dma, partial(setattr, node, "dma"))
        return view

    def _touched(self, view: View, field: str, writes: bool) -> None:
        raise NotFollowed(f"{view.name}.{field} of a subtree is {'written' if writes else 'read'}")


class PageTreeInC:
    """A tree of pages of the series, with its pool_find_page and pool_insert_page. `rbtree` repairs it."""

    def __init__(self, path: Any, allocation: Any, code: Code, rbtree: Module | None) -> None:
        self.path, self.allocation, self.code, self.rbtree = path, allocation, code, rbtree
        if not isinstance(allocation, int):
            path.assume("a page has bytes, as an int counts them", lambda: allocation < 2**31)
        self.root: Any = None
        self.pages = Pages(code)
        known = code.struct("dma_pool")
        self.pool = View(known.name, known.fields, place=known.place)
        self.pool.keep(ROOT, lambda: self.pages.pointer(self.root), self._set_root)
        self.pool["allocation"], self.pool["dev"] = allocation, named_device(code)

    def _set_root(self, value: Any) -> None:
        self.root = self.pages.node(value)

    def page(self, node: Any) -> Any:
        """A pointer to the struct dma_page of a node."""
        return 0 if node is None else Pointer(self.pages.view(node), 0)

    def find(self, address: Any) -> Any:
        interpreter = self.code.interpreter(path=self.path)
        frame = interpreter.enter("pool_find_page", Pointer(self.pool, 0), address)
        again = one_turn(interpreter, frame, frame.function.loop(), here=self.pages.pointer(self.root))
        following = None if again is None else self.pages.node(again["here"])
        if following is not None:
            raise ReachedTail(side_of(following), address)
        interpreter.advance(frame)
        return self._found(frame.result)

    def _found(self, page: Any) -> Any:
        if isinstance(page, Pointer) and page.offset == 0 and isinstance(page.object, View):
            return self.pages.node(page + page.object.offset_of(NODE + "__rb_parent_color"))
        if page == 0:
            return None
        raise NotFollowed("what is returned is no page")

    def insert(self, page: Any) -> Any:
        """With the tree hanging in the pool, or, as in a turn that is not the first, on any other page."""
        interpreter = self.code.interpreter(
            path=self.path, rb_insert_color=lambda node, _: self._rebalance(self.pages.node(node))
        )
        frame = interpreter.enter("pool_insert_page", Pointer(self.pool, 0), self.page(page))
        begins = interpreter.advance(frame, frame.function.loop())
        if begins is None:
            raise NotFollowed("pool_insert_page ends before its loop")
        at = {"above": 0, "link": self.pool.at(ROOT)}
        means, root = roles(begins, **at), self.root
        if root is not None and self.path.one_of("the tree hangs", "in the pool", "on a page") == "on a page":
            name = self.path.one_of("on its side", *CHILDREN)
            above = Node(0)
            above.child[CHILDREN[name]] = root
            at = {"above": self.pages.pointer(above), "link": self.pages.view(above).at(NODE + name)}
        again = turn_at(interpreter, frame, means, at)
        if again is not None:
            self._goes_on(root, again, page)
            interpreter.advance(frame)
        return root if frame.result != 0 else None

    def _goes_on(self, root: Any, again: dict[str, Any], page: Any) -> None:
        """Enter the subtree where the next turn is; it has to be about a link of the page that this turn was about."""
        above = self.pages.pointer(root)
        for name, side in CHILDREN.items():
            if again["link"] == self.pages.view(root).at(NODE + name):
                if again.get("above", above) != above:
                    break
                if root.child[side] is not None:
                    raise ReachedTail(side_of(root.child[side]), page.dma)
                return
        raise NotFollowed("the next turn is not about a link of this page")

    def _rebalance(self, page: Any) -> None:
        """rb_insert_color."""
        if self.rbtree is None:
            raise NotFollowed("there is no lib/rbtree.c")
        Interpreter(self.rbtree, {}).call("rb_insert_color", self.pages.pointer(page), self.pool.at(ROOT))


def side_of(subtree: Any) -> int:
    """The side on which an abstract subtree hangs. Raises NotFollowed for a page that is known."""
    if not isinstance(subtree, Subtree):
        raise NotFollowed("the next turn is not about a subtree")
    return subtree.dma.side


class ListInC:
    """A list of any number of pages, of v6.1 or v6.12, for its pool_find_page: the first page, perhaps `more` behind it, and
    perhaps others behind the second one, of which nothing but its links may be read.

    The list is read in one direction, whichever that is.
    """

    LINKS = "page_list.next", "page_list.prev"

    def __init__(self, code: Code, module: Module, path: Any, page: Any, allocation: Any, more: bool) -> None:
        self.path, self.direction = path, ""
        structs = [code.names.struct(module, name) for name in ("dma_pool", "dma_page", "dma_page")]
        self.pool, first, second = (View(one.name, one.fields, place=one.place) for one in structs)
        self.pool["allocation"], first["dma"] = allocation, page.dma
        self.offset = first.offset_of(self.LINKS[0])
        self.head, self.first = self.pool.at(self.LINKS[0]), first.at(self.LINKS[0])
        self.second = second.at(self.LINKS[0]) if more else self.head
        self._third = None if more else self.first
        for name in self.LINKS:
            self.pool.keep(name, partial(self._follow, name, lambda: self.first), self._written)
            first.keep(name, partial(self._follow, name, lambda: self.second), self._written)
            second.keep(name, partial(self._follow, name, self.third), self._written)

    def third(self) -> Pointer:
        """The link that follows the one of the second page, or the head, if there is only one page."""
        if self._third is None:
            more = self.path.one_of("pages behind the second", True, False)
            self._third = Pointer(Opaque("the pages behind the second"), self.offset) if more else self.head
        return self._third

    def _follow(self, name: str, to: Callable[[], Pointer]) -> Pointer:
        self.direction = self.direction or name
        if name != self.direction:
            raise NotFollowed("the list is read in both directions")
        return to()

    def _written(self, _: Any) -> None:
        raise NotFollowed("pool_find_page changes the list")

    def means(self, variables: dict[str, Any], here: Pointer, following: Callable[[], Pointer]) -> dict[str, str]:
        """What a loop's variables are, where a turn is about the page whose link is `here`. Raises NotFollowed."""
        places = {"link": here, "page": here + -self.offset}
        if not all(value in places.values() for value in variables.values()):
            places |= {"the next link": following(), "the next page": following() + -self.offset}
        return roles(variables, **places)


def found_in_list(code: Code, path: Any, page: Any, allocation: Any, more: bool, address: Any) -> bool:
    """Whether pool_find_page finds the first page of a list. Raises ReachedTail where its loop goes on with the others."""
    path.assume("a page has bytes, as an int counts them", lambda: allocation < 2**31)
    path.assume("the page lies in the address space", lambda: page.dma + allocation <= 2**64)
    interpreter = code.interpreter(debug=lookup_case(code) != "", path=path)
    pages = ListInC(code, interpreter.module, path, page, allocation, more)
    frame = interpreter.enter("pool_find_page", Pointer(pages.pool, 0), address)
    begins = interpreter.advance(frame, frame.function.loop())
    if begins is None:
        raise NotFollowed("pool_find_page ends before its loop")
    means = pages.means(begins, pages.first, lambda: pages.second)
    again = interpreter.resume(frame, begins)
    if again is not None:
        if pages.means(again, pages.second, pages.third) != means:
            raise NotFollowed("the next turn is not about the next page")
        if more:
            raise ReachedTail(RIGHT, address)
        interpreter.advance(frame)
    if frame.result != 0 and frame.result != pages.first + -pages.offset:
        raise NotFollowed("what is returned is no page")
    return bool(frame.result != 0)
