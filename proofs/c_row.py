"""The row of a pool in the device's file `pools`, as a kernel's C prints it: with any number of pages.

Where pages are walked through, by induction: a turn counts a page and its blocks in use, and the row has the counts. That its
total is right, `proofs.counting` shows.
"""

from typing import Any

from kernel.objects import Pointer, Struct
from model import claims
from model.promises import SERIES, V6_1
from proofs.subjects.c_pool import Code, PoolsFile, geometry_of
from proofs.subjects.c_views import Mutexes
from proofs.subjects.subject import PAGE_SIZE


class File(PoolsFile):
    """The file of a device with two pools, the second of which is looked at: every field is any number, as is every one of its
    first page. The other's row has any number of bytes, so that this one begins anywhere."""

    def __init__(self, path: Any, code: Code) -> None:
        self.path = path
        self.mutexes = Mutexes(code)
        self.pool = self.seen(code, "dma_pool")
        self.page, self.next_page = self.seen(code, "dma_page"), self.seen(code, "dma_page")
        for struct in (self.pool, self.page):
            struct.any_value = lambda of, field: path.number(f"{of.name}.{field.name}", field.width)
        other = self.seen(code, "dma_pool")
        other.any_value = self.pool.any_value
        self.written, self.is_right = 0, True
        for name in ("size", "boundary", "allocation"):
            other[name] = path.number(f"the other's {name}")
        path.assume_claim(claims.admitted_geometry_is_ordered, geometry_of(other))
        super().__init__(code, self.pool, self.page, self.next_page, before=(other,))
        self.interpreter.uncomputed = frozenset({"udiv"})

    def seen(self, code: Code, struct: str) -> Struct:
        del code
        return self.mutexes.seen(struct)

    def externals(self) -> dict[str, Any]:
        return self.mutexes.externals()

    def place(self, name: str, page: Pointer | int) -> Any:
        """What a variable of the walk holds at a page: its link, or the page itself, before which the link's bytes are."""
        return page + -self.page.offset_of(self.links_at) if name == "page" and isinstance(page, Pointer) else page

    def printed(self, to: Pointer, room: Any, *text: Any) -> Any:
        """Each has to begin where the one before it ends."""
        super().printed(to, room, *text)
        self.is_right = self.is_right and bool(to.offset == self.written and room == PAGE_SIZE - self.written)
        nbytes = self.path.number(f"bytes that are printed at {len(self.rows)}")
        self.path.assume("the rows fit the file", lambda: nbytes < 100)
        self.written = self.written + nbytes
        return nbytes

    def show_row(self, in_use: Any, pages: Any) -> None:
        self.path.follow("two rows are printed", lambda: len(self.rows) == 2)
        name, printed, _, size, number = self.rows[-1]
        right = {
            "the place": self.is_right,
            "how much is printed in all": self.frame.result == self.written,
            "the name": name == self.pool.at("name"),
            "the blocks in use": printed == in_use,
            "the size": size == self.pool["size"],
            "the pages": number == pages,
        }
        self.path.show_claim(
            claims.reports_are_the_kernels, [what for what, is_right in right.items() if is_right], [*right]
        )
        self.path.show_claim(claims.locking_rules_are_kept, self.mutexes.left())


def row_has_the_counts(path: Any, subject: Code) -> None:
    """Of v6.12, which keeps counts."""
    file = File(path, subject)
    file.interpreter.advance(file.frame)
    file.show_row(file.pool["nr_active"], file.pool["nr_pages"])


def row_counts_the_pages(path: Any, subject: Code) -> None:
    """Of the others, which walk through the pages."""
    file = File(path, subject)
    for name in ("size", "boundary", "allocation"):
        file.pool.load(file.pool.offset_of(name), file.pool.fields[file.pool.offset_of(name)].width)
    path.assume_claim(claims.admitted_geometry_is_ordered, geometry_of(file.pool))
    walk = file.frame.function.loop(1, of=2)
    begins = file.interpreter.advance(file.frame, walk)
    begins = begins and file.interpreter.resume(file.frame, begins)  # the other pool's has no turn
    path.follow("the walk through the pages begins", lambda: begins is not None)
    assert begins is not None
    (at,) = (name for name, value in begins.items() if isinstance(value, Pointer))
    first, following = file.places
    path.follow("it begins with the first page, and with no counts", lambda: begins[at] == file.place(at, first))
    counts = {name: path.number(f"{name} by then") for name in begins if name != at}
    path.follow(
        "pages and blocks are counted", lambda: {*counts} == {"pages", "blocks"} and not any(map(begins.get, counts))
    )
    most = 2**31 if subject.promises is V6_1 else 2**60  # v6.1 counts blocks in an int
    path.assume("the counts fit", lambda: counts["pages"] < 2**31 and counts["blocks"] < most)
    if path.one_of("the walk is", "at a page", "over") == "over":
        file.interpreter.resume(file.frame, {**counts, at: file.place(at, file.end)})
        file.show_row(counts["blocks"], counts["pages"])
        return
    then = file.interpreter.resume(file.frame, {**counts, at: file.place(at, first)})
    path.follow("the walk goes on with the next", lambda: then is not None)
    assert then is not None
    path.follow("page", lambda: then[at] == file.place(at, following))
    path.show("a page is counted", lambda: then["pages"] == counts["pages"] + 1)
    in_use = file.page["in_use"]
    path.assume(
        "the blocks in use fit an int",
        lambda: in_use < 2**31 and (subject.promises is SERIES or in_use + counts["blocks"] < 2**31),
    )
    path.show_claim(claims.counters_do_not_wrap, then["blocks"], counts["blocks"], in_use)
    path.show_claim(claims.reports_are_the_kernels, file.rows[1:], [])
    path.show_claim(claims.locking_rules_are_kept, "; ".join(file.mutexes.misuse))
