"""A kernel's code on views of the proofs' objects does what it does natively, on plain integers; and what proofs of it say."""

from pathlib import Path

import pytest

from kernel.build import Variant
from kernel.pool import KernelPool
from model.memory import Memory
from proofs.compiled import obligations_of
from proofs.engine.obligation import Settings, prove
from proofs.engine.path import Replay, Theory
from proofs.subjects.arbitrary import put_in_list
from proofs.subjects.c_lists import CPool
from proofs.subjects.c_pool import compile_file
from proofs.subjects.c_stack import CStack
from proofs.subjects.subject import give_back
from tests.kernels import TINY, fetched, needs_a_compiler, tiny

needs_a_compiler()

BLOCK, PAGE = 1024, 4096


@pytest.mark.parametrize("debug", [False, True])
def test_a_stack_of_c_is_the_native_one(debug: bool) -> None:
    """Four blocks, all in use at first: a step frees the block of its number, or allocates one. Debug builds refuse the block
    that is freed again."""
    source = fetched("v6.12")
    code = compile_file(source)  # which tries pools of its own
    native = KernelPool.create(source, Variant(), "pool", Memory(), BLOCK, 1, 0, debug=debug)
    assert native is not None
    blocks = [native.alloc() or (0, 0) for _ in range(4)]
    numbers = {"tail": 0, "live": 4, "blocks": 4, "pages": 1, "size": BLOCK, "boundary": PAGE, "allocation": PAGE}
    stack = CStack(code, Replay(Theory.U64, numbers | {"debug": debug}), "debug")
    for number, (vaddr, dma) in enumerate(blocks):
        stack.block(str(number), vaddr, dma)
    live = list(blocks)
    for step in [0, 2, None, 1, 3, 0, None, 2, None, None, *([0, 0] if debug else [])]:
        stack.below = [block for block in stack.known if (block.vaddr, block.dma) not in live]
        if step is None:
            given = native.alloc()
            assert stack.alloc() == given
            live.append(given or (0, 0))
        elif blocks[step] in live or debug:
            reports = len(native.log) - len(stack.log)
            for pool in (native, stack):
                give_back(pool, *blocks[step])
            assert len(native.log) - len(stack.log) == reports
            live = [block for block in live if block != blocks[step]]
    assert stack.nr_active == len(live)


@pytest.mark.parametrize("debug", [False, True])
def test_a_list_of_c_is_the_native_one(debug: bool) -> None:
    """A page of four blocks, of which the first and the third are free."""
    source = fetched("v6.1")
    code = compile_file(source)
    native = KernelPool.create(source, Variant(), "pool", Memory(), BLOCK, 1, PAGE, debug=debug)
    assert native is not None
    blocks = [native.alloc() or (0, 0) for _ in range(3)]
    page_at = blocks[0]
    for number in (2, 0):
        native.free(*blocks[number])
    numbers = {
        "size": BLOCK,
        "boundary": PAGE,
        "allocation": PAGE,
        "blocks per page": 3,
        "the page's vaddr": page_at[0],
        "the page's dma": page_at[1],
        "blocks of the page in use": 1,
        "the end of the list": PAGE,
        "offset of the first free block": 0,
        "offset of the second free block": 2 * BLOCK,
        "other pages with room": "none",
        "where the walk ends": PAGE,
    }
    pool = CPool(code, Replay(Theory.U64, numbers | {"debug": debug}), "debug")
    page = pool.page("the page")
    pool.found = page
    put_in_list(pool, [page])
    vaddr, dma = pool.alloc()
    assert (page_at[0] + vaddr.offset, dma) == native.alloc()
    assert (page.in_use, page.offset) == (2, 2 * BLOCK)
    pool._is_refused = lambda *_: False  # type: ignore[method-assign]
    give_back(pool, page.vaddr + BLOCK, page.dma + BLOCK)
    native.free(*blocks[1])
    vaddr, dma = pool.alloc()
    assert (page_at[0] + vaddr.offset, dma) == native.alloc()
    assert pool.misuse() == ""


def test_what_stands_for_a_loop_is_a_lemma() -> None:
    proved = prove(obligations_of(fetched("v6.12"))["refused_free_changes_nothing/kernel/u64"], Settings())
    assert {"double_free_is_refused/kernel", "lookup_finds_the_page_of_an_address/kernel/in_debug_builds"} == set(
        proved.lemmas
    )


def test_the_list_of_pages_with_room_is_no_list_of_all_pages(tmp_path: Path) -> None:
    """The series has the first by a name that proofs know; a file that has the second may call it as it likes."""
    for field, role in (("avail_page_list", "avail_page_list"), ("all_of_them", "page_list")):
        source = tiny(tmp_path)
        links = "	struct list_head pools;\n"
        source.file.write_text(TINY.replace(links, f"{links}	struct list_head {field};\n"))
        names = {one.name for one in compile_file(source).struct("dma_pool").fields.values()}
        assert f"{role}.next" in names
