"""A kernel's own lib/rbtree.c, as the steps that `proofs.balance` and `proofs.walk` are about.

Its loops are cut where a turn begins. What a turn knows is the loop's variables and memory; the
variables are known by their values, so that a turn from any place is one from where the loop really gets to.
"""

from functools import cached_property
from typing import Any

from impl.rbtree import LEFT, RIGHT, Node, Place
from kernel.execute import Frame, Interpreter
from kernel.ir import Module, NotFollowed
from kernel.objects import Pointer, View
from proofs.subjects.any_tree import TreeState
from proofs.subjects.c_nodes import Nodes
from proofs.subjects.c_turns import Values, by_role, one_turn, roles, turn_at
from proofs.subjects.subject import ReachedTail

DESCENTS = {"rb_first": (0, 1), "rb_next": (0, 2), "rb_erase": (0, 2)}
"""The functions with a loop that goes down on the left: which of their loops it is, and of how many."""


class RbTree:
    """A file, compiled."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def root(self, node: Any = 0) -> View:
        """A struct rb_root."""
        fields, place = self.module.struct("rb_root")
        return View("rb_root", fields, {0: node}, place)

    @cached_property
    def repair_variables(self) -> dict[str, str]:
        """What the variables of rb_erase's repair are, by what they are where the left one of three black nodes is erased."""
        root, left, right = Node(1), Node(0), Node(2)
        root.child = [left, right]
        left.parent = right.parent = root
        root.red = left.red = right.red = False
        nodes, interpreter = Nodes(self.module), Interpreter(self.module, {})
        frame = interpreter.enter("rb_erase", nodes.pointer(left), Pointer(self.root(nodes.pointer(root)), 0))
        begins = interpreter.advance(frame, frame.function.loop(1, of=2))
        if begins is None:
            raise NotFollowed("rb_erase does not repair a tree of three black nodes")
        return roles(begins, parent=nodes.pointer(root), lighter=0)


class TreeInC(TreeState):
    """Any red-black tree, on which rb_insert_color and rb_erase work."""

    repaired_by = ("erase_turn",)

    def __init__(self, path: Any, file: RbTree) -> None:
        super().__init__(path)
        self.file = file
        self.nodes = Nodes(file.module)
        self.interpreter = Interpreter(file.module, {})
        root = file.root()
        root.keep("rb_node", self._read_root, self._write_root)
        self.root_of_c = root.at("rb_node")

    def _read_root(self) -> Any:
        raise NotFollowed("the root is read, of which nothing is known")

    def _write_root(self, value: Any) -> None:
        self.root = self.nodes.node(value)

    def _repair_red(self, node: Any) -> Any:
        pointer = self.nodes.pointer
        frame = self.interpreter.enter("rb_insert_color", pointer(node), self.root_of_c)
        known = {"node": pointer(node), "parent": pointer(node.parent)}
        again = one_turn(self.interpreter, frame, frame.function.loop(), **known)
        if again is None:
            return None
        higher = self.nodes.node(again["node"])
        if higher is None or again.get("parent", pointer(higher.parent)) != pointer(higher.parent):
            raise NotFollowed("the next turn is not about a node and its parent")
        return higher

    def _repair_black(self, place: Place) -> Place | None:
        """A turn of ____rb_erase_color, from any place."""
        parent, side = place
        means = self.file.repair_variables
        function = self.interpreter.module.function("rb_erase")
        values = Values({function.parameters[1]: self.root_of_c})
        frame = Frame(function, values, function.loop(1, of=2), "before")
        at = {"parent": self.nodes.pointer(parent), "lighter": self.nodes.pointer(parent.child[side])}
        again = turn_at(self.interpreter, frame, means, at)
        if again is None:
            return None
        above, lighter = self.nodes.node(again["parent"]), self.nodes.node(again["lighter"])
        if lighter is None or above is None or lighter not in (above.child[LEFT], above.child[RIGHT]):
            raise NotFollowed("the next turn is not about a node and its parent")
        return above, LEFT if above.child[LEFT] is lighter else RIGHT

    def erase(self, page: Any) -> None:
        """rb_erase, up to the first turn of its repair."""
        interpreter = Interpreter(self.interpreter.module, {})
        frame = interpreter.enter("rb_erase", self.nodes.pointer(page), self.root_of_c)
        interpreter.cuts["rb_erase", frame.function.loop(0, of=2)] = self._descend
        begins = interpreter.advance(frame, frame.function.loop(1, of=2))
        if begins is None:
            return
        found = by_role(begins, self.file.repair_variables)
        parent = self.nodes.node(found["parent"])
        if parent is None or found["lighter"] != 0:
            raise NotFollowed("the repair does not begin at a place without a page")
        side = RIGHT if parent.child[RIGHT] is None else LEFT
        if parent.child[side] is not None:
            raise NotFollowed("the repair begins where no page is missing")
        self._repair_black((parent, side))

    def _leftmost(self, node: Any) -> Any:
        raise NotFollowed(f"rb_erase goes down from {node.name}, of which no lemma says where that ends")

    def _descend(self, begins: dict[str, Any]) -> dict[str, Any]:
        """The last turn of the loop that goes down on the left: its variables are a node and the left child of that."""
        above, here = self._above_and_here(begins)
        following = self._leftmost(here)
        last = {id(above): following.known_parent, id(here): following}
        return {name: self.nodes.pointer(last[id(self.nodes.node(value))]) for name, value in begins.items()}

    def _above_and_here(self, begins: dict[str, Any]) -> tuple[Any, Any]:
        nodes = list({id(node): node for node in map(self.nodes.node, begins.values())}.values())
        for above, here in (nodes, nodes[::-1]) if len(nodes) == 2 and None not in nodes else ():
            if above.child.now[LEFT] is here:
                return above, here
        raise NotFollowed("the loop does not begin with a node and its left child")


class WalksInC:
    """rb_first, rb_next, rb_left_deepest_node and rb_next_postorder, from any node; and the loop of rb_erase that goes down."""

    def __init__(self, path: Any, file: RbTree) -> None:
        self.path = path
        self.file, self.module = file, file.module
        self.nodes = Nodes(file.module, writable=False)

    def _leftmost(self, node: Any) -> Any:
        """From a node on, in any of the loops that go down on the left."""
        name = self.path.one_of("the loop is of", *DESCENTS)
        above: Any = None if name == "rb_first" else Node(0)
        if name == "rb_first":
            arguments: list[Any] = [Pointer(self.file.root(self.nodes.pointer(node)), 0)]
        elif name == "rb_next":
            above.child[RIGHT] = node
            arguments = [self.nodes.pointer(above)]
        else:
            page = Node(0)
            page.child, above.child[LEFT] = [Node(0), above], node
            arguments = [self.nodes.pointer(page), 0]
        return self._descend(name, DESCENTS[name], arguments, node, above, ends_there=name == "rb_erase")

    def _deepest(self, node: Any) -> Any:
        return self._descend("rb_left_deepest_node", (0, 1), [self.nodes.pointer(node)], node, None)

    def _descend(
        self, name: str, which: tuple[int, int], arguments: list[Any], node: Any, above: Any, ends_there: bool = False
    ) -> Any:
        """A turn of a loop that goes down, at a node: where the function returns, that is what it returns. Where it
        `ends_there`, the loop is only a part of it, and what its variables are at its end counts."""
        interpreter = Interpreter(self.module, {})
        frame = interpreter.enter(name, *arguments)
        known = {"here": self.nodes.pointer(node), "above": self.nodes.pointer(above)}
        try:
            again = one_turn(interpreter, frame, frame.function.loop(*which), leave=False, **known)
            if again is None:
                interpreter.advance(frame) if not ends_there else None
                return node if ends_there else self.nodes.node(frame.result)
        except ReachedTail as early:
            raise NotFollowed(f"{name} reads of {early.part.name} before its turn") from early
        following = self.nodes.node(again["here"])
        if again.get("above", known["here"]) != known["here"]:
            raise NotFollowed("the next turn is not about the node after this one")
        raise ReachedTail(following)

    def _next(self, node: Any) -> Any:
        given: dict[int, Any] = {}

        def leftmost(begins: dict[str, Any]) -> dict[str, Any]:
            (start,) = {id(value.object): value for value in begins.values()}.values()
            first = Node(0)  # the first page of the subtree: it has none on the left
            given[id(first)] = self._leftmost(self.nodes.node(start))
            return dict.fromkeys(begins, self.nodes.pointer(first))

        interpreter = Interpreter(self.module, {})
        frame = interpreter.enter("rb_next", self.nodes.pointer(node))
        down, up = (frame.function.loop(number, of=2) for number in (0, 1))
        interpreter.cuts["rb_next", down] = leftmost
        begins = interpreter.advance(frame, up)
        if begins is not None:
            means = roles(begins, here=self.nodes.pointer(node))
            again = turn_at(interpreter, frame, means, {"here": self.nodes.pointer(node)})
            if again is not None:
                raise ReachedTail(self.nodes.node(again["here"]).parent)
        found = self.nodes.node(frame.result)
        return given.get(id(found), found)

    def _next_postorder(self, node: Any) -> Any:
        given: dict[int, Any] = {}

        def deepest(start: Any) -> Any:
            first = Node(0)
            given[id(first)] = self._deepest(self.nodes.node(start))
            return self.nodes.pointer(first)

        interpreter = Interpreter(self.module, {})
        interpreter.replaced["rb_left_deepest_node"] = deepest
        try:
            found = self.nodes.node(interpreter.call("rb_next_postorder", self.nodes.pointer(node)))
        except ReachedTail as reached:
            if reached.part.freed:
                raise
            raise NotFollowed(f"rb_next_postorder reads of {reached.part.name}") from reached
        return given.get(id(found), found)
