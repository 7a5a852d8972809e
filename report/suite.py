"""The promises as a suite of KUnit tests in C, mm/dmapool_kunit.c, for any kernel's own tree: a case for each claim.

It uses a device of the kernel, and only the functions that drivers use; so it has no say in DMA addresses, sees no layout but
that of blocks in use, and its pages are as large as the kernel's. Each case runs for a number of pools.
"""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from hunt.directed import GEOMETRIES
from hunt.revisions import REVISIONS
from kernel.once import ROOT
from model.bad_input import BadInput
from model.checks import BrokenClaim
from model.claims import CLAIMS, pool_stays_in_its_memory
from model.geometry import INT_MAX, SMALLEST_BLOCK, Geometry, Refusal, create
from model.lockstep import replay
from model.trace import Create, Trace, loads
from report.kunit import TAB, WIDTH, kunit_test, rendered

FRAME = Path(__file__).parent / "suite.c.jinja"
TRACES = ROOT / "tests" / "traces"
PAGE = 4096
"""Bytes of a page of the kernels for which the pools are chosen; the tests hold for others, too."""

KUNITCONFIG = (
    "CONFIG_KUNIT=y\n# What needs DMA in User Mode Linux.\nCONFIG_VIRTIO_UML=y\nCONFIG_UML_PCI_OVER_VIRTIO=y\n"
)
"""A .kunitconfig for the kernel's own tools/testing/kunit/kunit.py."""

NO_BREAK = "\u00a0"
"""A space at which no line is broken."""

Arguments = tuple[int, int, int]
"""Size, alignment and boundary."""


def kunit_suite() -> str:
    """The C of the suite."""
    promised = {arguments: create(*arguments, PAGE) for arguments in dict.fromkeys(all_arguments())}
    return rendered(FRAME, promise=promise, pools=in_c(promised, False), refused=in_c(promised, True))


def all_arguments() -> Iterator[Arguments]:
    """Of the directed runs' pools, as they would be for a page of 4096 bytes; of the traces that can be tests; and the least
    size that is too large."""
    for size, align, boundary, page_size in GEOMETRIES:
        yield size * PAGE // page_size, align, boundary * PAGE // page_size
    for file in sorted(TRACES.glob("*.json")):
        trace = loads(file.read_text())
        first = trace.steps[0]
        if isinstance(first, Create) and can_be_in_a_suite(trace, first):
            yield first.size, first.align, first.boundary
    yield INT_MAX + 1, 1, 0


def can_be_in_a_suite(trace: Trace, first: Create) -> bool:
    """Whether no known pool overwrites memory that is not its own, v6.12 keeps what is promised, the arguments fit a size_t of
    32 bits, and what a free block holds does not decide whether there is a pool."""
    try:
        kunit_test(trace, str(trace.claim))
        replay(trace, REVISIONS["v6.12"])
    except (BadInput, BrokenClaim):
        return False
    if trace.claim == pool_stays_in_its_memory.name:
        return False
    links = (SMALLEST_BLOCK, REVISIONS["v6.12"].promises.smallest_block)
    arguments = first.size, first.align, first.boundary
    kept = [create(*arguments, PAGE, link) for link in links]
    return max(arguments) < 2**32 and isinstance(kept[0], Refusal) == isinstance(kept[1], Refusal)


def in_c(promised: Mapping[Arguments, Geometry | Refusal], refused: bool) -> str:
    """The arguments that are refused, or those that are not, several in a line."""
    kept = [arguments for arguments, geometry in promised.items() if isinstance(geometry, Refusal) == refused]
    listed = ", ".join(f"{{ {size}, {align}, {boundary} }}".replace(" ", NO_BREAK) for size, align, boundary in kept)
    return textwrap.indent(textwrap.fill(listed, WIDTH - TAB), "\t").replace(NO_BREAK, " ") + ","


def promise(claim: str) -> str:
    """A claim's sentence as a comment in the kernel's style."""
    lines = textwrap.wrap(CLAIMS[claim].sentence, WIDTH - 3)
    if len(lines) == 1 and len(lines[0]) <= WIDTH - 6:
        return f"/* {lines[0]} */"
    return "\n".join(["/*", *(f" * {line}" for line in lines), " */"])
