"""The nodes of a tree, as C has them: a struct rb_node, perhaps within a struct dma_page, is a view of a node of a proof.

A node is any object with `child`, `parent` and `red`; C keeps the parent and the colour in one word.
"""

from functools import partial
from typing import Any

from impl.rbtree import LEFT, RIGHT
from kernel.ir import Module, NotFollowed
from kernel.objects import Pointer, View
from proofs.subjects.c_names import AS_OURS, Names

CHILDREN = {"rb_left": LEFT, "rb_right": RIGHT}
WORD = "__rb_parent_color"


class NodeView(View):
    """The struct of a node."""

    node: Any = None


class Nodes:
    """The nodes of a proof, each in a struct of its own. `prefix` are the fields of that struct that lead to its rb_node."""

    def __init__(
        self, module: Module, struct: str = "rb_node", prefix: str = "", writable: bool = True, names: Names = AS_OURS
    ) -> None:
        self.struct, self.prefix, self.writable = names.struct(module, struct), prefix, writable
        self.views: dict[int, NodeView] = {}

    def view(self, node: Any) -> NodeView:
        if id(node) not in self.views:
            view = self.views[id(node)] = NodeView(self.struct.name, self.struct.fields, place=self.struct.place)
            view.node = node
            for name, side in CHILDREN.items():
                view.keep(self.prefix + name, partial(self._read_child, node, side), partial(self._link, node, side))
            view.keep(self.prefix + WORD, partial(self._read_word, node), partial(self._write_word, node))
        return self.views[id(node)]

    def pointer(self, node: Any) -> Any:
        """To the rb_node of a node; 0 if there is none. Raises NotFollowed for what stands for nodes that are not known."""
        if node is None:
            return 0
        if type(node) is object:
            raise NotFollowed("a part of the tree is read of which nothing is known")
        return self.view(node).at(self.prefix + WORD)

    def node(self, value: Any, tag: int = 0) -> Any:
        """The node that a pointer with these low bits leads to; None for a null pointer. Raises NotFollowed for others."""
        if isinstance(value, Pointer) and isinstance(value.object, NodeView):
            view: NodeView = value.object
            if self.views.get(id(view.node)) is view and value.offset == view.offset_of(self.prefix + WORD) + tag:
                return view.node
        if not isinstance(value, Pointer) and value == tag:
            return None
        raise NotFollowed("what should lead to a node leads somewhere else")

    def _read_child(self, node: Any, side: int) -> Any:
        return self.pointer(node.child[side])

    def _link(self, node: Any, side: int, value: Any) -> None:
        self._may_write()
        node.child[side] = self.node(value)

    def _read_word(self, node: Any) -> Any:
        return self.pointer(node.parent) + int(not node.red)

    def _write_word(self, node: Any, value: Any) -> None:
        self._may_write()
        black = value.offset % 2 if isinstance(value, Pointer) else value % 2
        node.parent, node.red = self.node(value, black), black == 0

    def _may_write(self) -> None:
        if not self.writable:
            raise NotFollowed("what should only read the tree writes to it")
