"""Changes of a kernel's file that change nothing: the prover follows them, or says which line of C it cannot follow; it never
refutes."""

from pathlib import Path

import pytest

from kernel.build import Source
from proofs.compiled import obligations_of
from proofs.engine.obligation import Settings, prove
from tests.kernels import changed, needs_a_compiler

needs_a_compiler()

LINK = "\t\t*(int *)(page->vaddr + offset) = next;\n\t\toffset = next;"
SCAN = "\t\tif (dma < page->dma)\n\t\t\tcontinue;\n\t\tif ((dma - page->dma) < pool->allocation)"
ADD_UP = "\t\t\tpages++;\n\t\t\tblocks += page->in_use;\n\t\t}\n\t\tspin_unlock_irq(&pool->lock);"
LAYOUT, ROW, LOOKUP = (
    "free_list_holds_the_free_blocks",
    "total_counts_the_blocks",
    "lookup_finds_the_page_of_an_address",
)

V6_1 = {
    "while": ("\tdo {", "\twhile (offset < pool->allocation) {", "} while (offset < pool->allocation);", "}"),
    "for": (
        "\tdo {",
        "\tfor (;;) {",
        "} while (offset < pool->allocation);",
        "\tif (offset >= pool->allocation)\nbreak;\n}",
    ),
    "pointer": (LINK, "\t\tint *link = page->vaddr + offset;\n\n\t\toffset = *link = next;"),
    "guard": (
        "spin_lock_irq(&pool->lock);",
        "scoped_guard(spinlock_irq, &pool->lock) {",
        ADD_UP,
        "pages++;\nblocks += page->in_use;\n}\n}",
    ),
    "one_condition": (SCAN, "\t\tif (dma >= page->dma && dma - page->dma < pool->allocation)"),
    "one_subtraction": (SCAN, "\t\tif ((dma - page->dma) < pool->allocation)"),
    "list_safe": (
        "struct dma_page *page;\n\n\tlist_for_each_entry(page, &pool->page_list, page_list) {\n\t\tif (dma",
        "struct dma_page *page, *tmp;\n\n\tlist_for_each_entry_safe(page, tmp, &pool->page_list, page_list) {\n\t\tif (dma",
    ),
    "kzalloc_obj": ("kmalloc(sizeof(*retval), GFP_KERNEL)", "kzalloc_obj(*retval)"),
    "order": ("unsigned int in_use;\n\tunsigned int offset;", "unsigned int offset;\n\tunsigned int in_use;"),
}
V6_12 = {
    "else": (
        "boundary;\n\t\t\tcontinue;\n\t\t}\n",
        "boundary;\n\t\t} else {\n",
        "\t\tpool->nr_blocks++;",
        "\t\tpool->nr_blocks++;\n\t\t}",
    ),
    "goto": (
        "\twhile (offset + pool->size <= pool->allocation) {",
        "again:\n\tif (offset + pool->size <= pool->allocation) {",
        "continue;\n\t\t}\n\n\t\tblock =",
        "goto again;\n\t\t}\n\n\t\tblock =",
        "\t\tpool->nr_blocks++;",
        "\t\tpool->nr_blocks++;\n\t\tgoto again;",
    ),
    "order": ("\t\toffset += pool->size;\n\t\tpool->nr_blocks++;", "\t\tpool->nr_blocks++;\n\t\toffset += pool->size;"),
    "guard": (
        "\tmutex_lock(&pools_lock);\n\tlist_for",
        "\tguard(mutex)(&pools_lock);\n\tlist_for",
        "\t}\n\tmutex_unlock(&pools_lock);\n",
        "\t}\n",
    ),
    "counter": (
        "\t\tpool->nr_blocks++;",
        "\t\tnr++;",
        "unsigned int next_boundary",
        "size_t nr = 0;\n\tunsigned int next_boundary",
        "\tlast->next_block = pool->next_block;",
        "\tpool->nr_blocks += nr;\n\tlast->next_block = pool->next_block;",
    ),
    "reverse": ("list_for_each_entry(page, &pool->page_list", "list_for_each_entry_reverse(page, &pool->page_list"),
    "no_empty_turn": (
        "\t\t\tcontinue;\n\t\t}\n\n\t\tblock =",
        "\t\t\tif (offset + pool->size > pool->allocation)\n\t\t\t\tbreak;\n\t\t}\n\n\t\tblock =",
    ),
}
CHANGES = [("v6.1", name) for name in V6_1] + [("v6.12", name) for name in V6_12]


def harmless(version: str, name: str, folder: Path) -> Source:
    return changed(version, folder, *(V6_1 if version == "v6.1" else V6_12)[name])


ABOUT = {
    "guard": ROW,
    "one_condition": LOOKUP,
    "one_subtraction": LOOKUP,
    "list_safe": LOOKUP,
    "reverse": LOOKUP,
    "no_empty_turn": ROW,
}
"""The claim that is proved again; of others, that of the layout."""


@pytest.mark.parametrize(("version", "name"), CHANGES)
def test_a_harmless_change_is_not_refuted(version: str, name: str, tmp_path: Path) -> None:
    obligations = obligations_of(harmless(version, name, tmp_path)).values()
    about = [one for one in obligations if one.claim.name == ABOUT.get(name, LAYOUT)]
    assert about
    for result in (prove(one, Settings()) for one in about):
        said_where = result.verdict == "LOST" and "(dmapool.c:" in result.why
        assert result.as_expected or said_where, (result.obligation, result.verdict, result.why)
