"""dma_pool_destroy of a kernel's C where the pages are in a list, of v6.1 and v6.12: any page, at its turn.

The turns before are done, so that the page is the first of the list; the walk knows it and the next one. `proofs.destroy` has
the same for pages in a tree.
"""

from functools import partial
from typing import Any, NamedTuple

from impl.pool import POOL_POISON_FREED
from kernel.execute import Frame, Interpreter
from kernel.ir import Field, NotFollowed
from kernel.objects import Pointer, Struct
from model import claims
from proofs.subjects.c_device import LoggedDevice
from proofs.subjects.c_pool import Code, any_ring, in_a_ring
from proofs.subjects.c_turns import roles
from proofs.subjects.c_views import any_number

LINK = "page_list.next"


class Turn(NamedTuple):
    """A walk, by the end of a page's turn, and the link of the page behind it."""

    device: LoggedDevice
    pool: Struct
    page: Struct
    second: Pointer
    busy: bool
    debug: bool
    is_last: bool
    interpreter: Interpreter
    frame: Frame
    again: dict[str, Any]


def any_field(path: Any, struct: Struct, known: Field) -> Any:
    """Of a link of a list, that the pool or the page is in it, or is alone in one."""
    return any_ring(path, struct, known) if known.type == "list_head*" else any_number(path, struct, known)


def at_its_turn(path: Any, code: Code) -> Turn:
    """Any page. Of v6.12, all pages are busy if a block of any is in use."""
    device = LoggedDevice()
    debug = path.one_of("debug", False, True)
    pool, page, following, of = (code.struct(name) for name in ("dma_pool", "dma_page", "dma_page", "device"))
    allocation, dma, count = path.number("allocation"), path.number("dma"), path.number("blocks in use")
    path.assume(
        "a page has bytes, as an int counts them", lambda: allocation >= 1 and allocation < 2**31 and count < 2**31
    )
    pool["allocation"], page["dma"], page["vaddr"], pool["dev"] = allocation, dma, Pointer(device, 0), Pointer(of, 0)
    (pool if code.stacks else page)["nr_active" if code.stacks else "in_use"] = count
    pool.any_value = page.any_value = partial(any_field, path)
    others = [code.struct("dma_pool").at("pools.next")] * path.one_of("other pools of the device", 0, 1)
    in_a_ring(of.at("dma_pools.next"), pool.at("pools.next"), *others)
    rest = path.one_of("pages behind it", "none", "one", "more")
    beyond = Struct("the pages further on", page.fields)
    behind = {"none": [], "one": [following], "more": [following, beyond]}[rest]
    links = [struct.at(LINK) for struct in (pool, page, *behind)]
    in_a_ring(*links)
    if rest == "more":  # any number of pages, of which nothing is known
        del beyond.cells[beyond.offset_of(LINK)], pool.cells[pool.offset_of("page_list.prev")]
    second, third = links[2 % len(links)], links[3 % len(links)]

    def about(here: Pointer, after: Pointer) -> dict[str, Pointer]:
        return {"page": here + -here.object.offset_of(LINK), "next page": after + -page.offset_of(LINK), "link": here}

    interpreter = code.interpreter(debug, path=path, **device.externals())
    frame = interpreter.enter("dma_pool_destroy", Pointer(pool, 0))
    begins = interpreter.advance(frame, frame.function.loop())
    if begins is None:
        raise NotFollowed("dma_pool_destroy ends before its loop")
    page_of = page.at(LINK)
    means = roles(begins, **about(page_of, second))
    path.follow(
        "nothing is given back before the walk", lambda: not device.freed and {*map(type, device.seen)} <= {str}
    )
    again = interpreter.resume(frame, begins)
    after = third if rest != "none" else second
    path.follow("the walk goes on", lambda: again is not None)
    assert again is not None
    then = about(second, after)
    path.follow("it goes on with the next page", lambda: all(again[name] == then[role] for name, role in means.items()))
    return Turn(device, pool, page, second, count >= 1, debug, rest == "none", interpreter, frame, again)


def busy_page_is_reported(path: Any, subject: Code) -> None:
    turn = at_its_turn(path, subject)
    said = [what for what in turn.device.seen if what == "busy"]
    path.show_claim(claims.reports_are_the_kernels, said, ["busy"] if turn.busy else [])


def destroy_leaks_exactly_the_busy_pages(path: Any, subject: Code) -> None:
    device, pool, page, second, busy, debug, is_last, interpreter, frame, again = at_its_turn(path, subject)
    listed = pool[LINK] == second and second.object["page_list.prev"] == pool.at(LINK)
    path.show("no link to the page is left", lambda: claims.list_is_a_ring([] if listed else [page], [], []))
    path.show_claim(claims.structs_are_freed, [] if page in device.freed else [page])
    path.show("nothing else is freed", lambda: len(device.freed) == 1)
    done = [what for what in device.seen if what != "busy"]
    given_back = [what for what in done if what[0] == "given back"]
    path.show_claim(claims.destroy_leaks_exactly_the_busy_pages, [] if given_back else [1], [1] if busy else [])
    path.show("a busy page is left alone", lambda: not busy or not done)
    allocation = pool["allocation"]
    poisoned = ("filled", 0, allocation, POOL_POISON_FREED)
    as_got = ("given back", pool["dev"], allocation, Pointer(device, 0), page["dma"], 0)
    promised = [[poisoned, as_got]] * debug + [[as_got]] * (subject.stacks or not debug)
    path.show("any other is given back as it was got", lambda: busy or done in promised)
    path.show_claim(claims.locking_rules_are_kept, device.locks.left())
    if is_last:
        over = interpreter.resume(frame, again)
        path.show_claim(claims.structs_are_freed, [] if pool in device.freed else [pool])
        path.show("at last, the pool is freed", lambda: over is None and device.freed == [page, pool])
