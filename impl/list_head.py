"""The kernel's doubly linked ring, `struct list_head`, as far as the list of pages with room needs it (patch 09)."""

from typing import Any


class ListHead:
    """A place in a ring: an `owner`'s, or the head's, which has none.

    A link that is in no ring points at itself; so does the head of an empty ring.
    """

    __slots__ = ("next", "owner", "prev")

    def __init__(self, owner: Any = None) -> None:
        self.owner = owner
        self.next = self
        self.prev = self


def list_add(link: ListHead, head: ListHead) -> None:
    """Put `link` first in the ring of `head`."""
    link.next = head.next
    link.prev = head
    head.next.prev = link
    head.next = link


def list_del_init(link: ListHead) -> None:
    """Take `link` out of its ring, so that `list_empty(link)` says so."""
    link.prev.next = link.next
    link.next.prev = link.prev
    link.next = link.prev = link


def list_empty(link: ListHead) -> bool:
    """Whether a ring has no link but its head; of a page's link: whether it is in no ring."""
    return link.next is link
