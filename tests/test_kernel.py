"""Your own kernel as a target: what cannot be built is reported, faults in C are found, what is known breaks there too."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from bench import native
from hunt.revisions import REVISIONS
from kernel import fetch
from kernel.build import Source, Variant, build, find
from kernel.compiler import BuildError
from kernel.fetch import NEWEST
from kernel.pool import KernelPool
from kernel.promises import revision_of
from kernel.protocol import ALLOC, FREE, OPERATION
from kernel.worker import KernelFault
from model.lockstep import Lockstep, replay
from model.memory import Memory
from model.trace import Alloc, Create, Destroy, Free, Kernel, OtherPool, PageChoice, Trace, Write, loads
from report.runs import keep
from tests.kernels import TINY, changed, created, fetched, hunt, needs_a_compiler, tiny
from tests.pools import broken_by
from tests.running import Command

needs_a_compiler()

TRACES = Path(__file__).parent / "traces"


# What is built.


def test_a_pool_that_does_nothing_wrong_runs(tmp_path: Path) -> None:
    pool = created(tiny(tmp_path))
    vaddr, dma = pool.alloc() or (0, 0)
    assert (vaddr, dma) == (pool.memory.base, 2**32)
    pool.memory.block(vaddr, 64)[:] = b"\x55" * 64
    pool.free(vaddr, dma)
    assert pool.log == [f"dma_pool_free tiny, {vaddr:016x}/{dma:#018x}"]
    assert pool.poolinfo() == "tiny                1    0   64  1"
    pool.destroy()
    assert not pool.memory.mappings


def test_a_later_kernel_creates_a_pool_at_a_node(tmp_path: Path) -> None:
    later = TINY.replace("dma_pool_create(", "dma_pool_create_node(").replace(
        "size_t boundary)", "size_t boundary, int node)"
    )
    later = later.replace("kzalloc(sizeof(*pool), GFP_KERNEL)", "kzalloc_node(sizeof(*pool), GFP_KERNEL, node)")
    (tmp_path / "later.c").write_text(later)
    assert created(Source(tmp_path / "later.c", fetched(NEWEST).tree)).alloc()


def refusal_of(source: Source) -> str:
    """Why a file is not built, which is said in one line."""
    with pytest.raises(BuildError) as refusal:
        build(source, Variant())
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("here", "more", "words"),
    [
        ("", "#include <linux/no_such.h>", "tiny.c includes linux/no_such.h, which the headers of "),
        ("xb_init(&pool->lock);", "", "implicit declaration of function 'xb_init'"),
        ("pool->used = XB_FLAGS;", "", "'XB_FLAGS' undeclared"),
        (
            "pool->dev->node_number = 1;",
            "",
            "struct device' has no member named 'node_number'; the headers are those of ",
        ),
        ("", "struct xb_array all;", "storage size of 'all' isn't known; the headers are those of "),
        ("", "xb_initcall(start);", "type defaults to 'int' in declaration of 'xb_initcall'"),
        ("", "xb_groups(start)\nstatic int all;", "there is no macro xb_groups; "),
        ("", "#if PAGE_SIZE > 4096\n#endif", "PAGE_SIZE is no constant here: it is chosen for each pool"),
        ("", "static char all[PAGE_SIZE];", "PAGE_SIZE is no constant here: it is chosen for each pool"),
        ("", "#if CONFIG_ANY > 1\n#endif", '"CONFIG_ANY" is not defined'),
        ("pool->used = ;", "", "it does not compile: expected expression"),
    ],
)
def test_what_does_not_compile_is_reported_in_one_line(tmp_path: Path, here: str, more: str, words: str) -> None:
    said = refusal_of(tiny(tmp_path, here, more))
    assert words in said
    assert said.startswith(f"{tmp_path}/tiny.c")


@pytest.mark.parametrize(
    "wrong",
    ["pool->used = ;", "pool->unused = 1;", "container_of(pool, struct dma_pol, lock);", "#error not ready"],
)
def test_a_file_that_does_not_compile_is_blamed_itself(tmp_path: Path, wrong: str) -> None:
    """The line begins with the place in the file, and quotes the compiler."""
    place = "MORE" if wrong.startswith("#") else "HERE"
    line = TINY[: TINY.index(f"/* {place} */")].count("\n") + 1
    said = refusal_of(tiny(tmp_path, **{place.lower(): wrong}))
    blamed = rf"{re.escape(str(tmp_path))}/tiny\.c:{line}:\d+: it does not compile: [#\w']"
    assert re.match(blamed, said)
    assert "shim" not in said


def test_a_missing_compiler_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "there-is-none -O1")
    assert refusal_of(tiny(tmp_path)) == "there is no compiler 'there-is-none -O1', which CC names"
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("kernel.compiler.find_spec", lambda _: None)
    assert refusal_of(tiny(tmp_path)).startswith("there is no C compiler: install gcc or clang, or say ")


def test_a_file_without_a_tree_is_compiled_with_the_newest_headers_that_fit(tmp_path: Path) -> None:
    """In those of v6.16 and later, a header has dma_pool_create."""
    chosen = find(tiny(tmp_path).file).tree
    assert chosen is not None
    assert chosen.name == "v6.12"


def test_a_kernel_that_includes_what_is_not_there_is_reported(tmp_path: Path, command: Command) -> None:
    ran = command("fuzz", "--kernel", tiny(tmp_path, more="#include <linux/no_such.h>").file)
    assert "includes linux/no_such.h, which the headers of" in ran.err
    assert (ran.status, ran.err.count("\n")) == (2, 1)


def test_what_was_built_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tiny(tmp_path)
    program = build(source, Variant())
    monkeypatch.setattr("kernel.build.compile_all", None)
    assert build(source, Variant()) == program
    with pytest.raises(TypeError):
        build(source, Variant(debug=True))


def test_a_kernel_that_cannot_be_fetched_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr(fetch, "KERNELS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = command("kernels", "v6.1")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    (tmp_path / "v6.1").symlink_to(fetched("v6.1").tree or tmp_path)
    assert command("kernels", "v6.1").status == 0  # it is there


# The kernel's own.


KNOWN = {
    "v6.1": [
        "v6.1-no_room_is_wasted",
        "v6.1-total_counts_the_blocks",
        "v6.1-block_lies_inside_its_page",
        "v6.1-block_lies_inside_its_page-two_blocks",
        "v6.1-layout_ends",
        "v6.1-create_admits_what_is_promised",
        "v6.1-pool_stays_in_its_memory",
        "v6.1-operations_end-link_in_a_circle",
        "series-create_admits_what_is_promised-size_0",
    ],
    "v6.12": [file.stem for file in sorted(TRACES.glob("v6.12-*.json"))],
}


@pytest.mark.parametrize(("version", "name"), [(version, name) for version in KNOWN for name in KNOWN[version]])
def test_what_is_known_breaks_in_the_kernels_own_code(version: str, name: str) -> None:
    known = loads((TRACES / f"{name}.json").read_text())
    assert broken_by(known, revision_of(fetched(version), REVISIONS[version].promises)).claim.name == known.claim


def test_a_size_of_nearly_2_to_the_64_divides_by_zero() -> None:
    """v6.1 rounds it up to 0, and the file `pools` divides by it."""
    pool = KernelPool.create(fetched("v6.1"), Variant(), "pool", Memory(), 2**64 - 1, 2, 0)
    assert pool is not None
    with pytest.raises(KernelFault, match=r"division by zero, in pools_show \(dmapool.c:\d+\)"):
        pool.poolinfo()


@pytest.mark.parametrize("version", ["v6.1", "v6.12"])
def test_a_hunt_finds_nothing_that_is_not_known(version: str) -> None:
    assert hunt(fetched(version), examples=20) > 5000


def test_the_lock_is_dropped_around_the_page_allocation(tmp_path: Path) -> None:
    """Others run meanwhile; if it is not dropped, they wait for ever."""
    nested = Alloc("a", page=PageChoice(0x10000, meanwhile=(Alloc("b", page=PageChoice(0x20000)), Free("b"))))
    steps = Trace((Create(2048), nested, Alloc("c"), Free("a"), Free("c"), Destroy()))
    happened = replay(steps, revision_of(fetched("v6.12")))
    assert happened.steps[-1].happened == "pages leaked: 0"
    drop = "		spin_unlock_irqrestore(&pool->lock, flags);\n\n		page = pool_alloc_page"
    take = "		spin_lock_irqsave(&pool->lock, flags);\n		pool_initialise_page"
    fail = "		if (!page)\n			return NULL;\n\n"
    held = "		if (!page) {\n			spin_unlock_irqrestore(&pool->lock, flags);\n			return NULL;\n		}\n"
    changes = (drop, "		page = pool_alloc_page", take, "		pool_initialise_page", fail, held)
    source = changed("v6.12", tmp_path, *changes)
    assert "may sleep, and is called with a lock held" in broken_by(steps, revision_of(source)).happened


def test_the_messages_are_the_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    """Every one of them, word for word, in debug builds."""
    reported = (
        Free("a"),
        Free("b", dma_plus=2**40),
        Write("a", 50, "00"),
        Alloc("c"),
        OtherPool("x", dma=2**48),
        Free("x"),
    )
    for version in ("v6.1", "v6.12"):
        lockstep = Lockstep(revision_of(fetched(version)), Kernel(debug=True))
        for step in (Create(100), Alloc("a"), Alloc("b"), Free("a"), *reported, Destroy()):
            lockstep.run(step)
        assert lockstep.destroyed is not None
        output = " ".join(lockstep.destroyed.log)
        for message in ("already free", "(bad dma)", "(corrupted)", "busy"):
            assert message in output, version
    assert not capsys.readouterr().err


def test_a_driver_may_write_a_pointer_that_it_knows() -> None:
    """A link that a driver writes has the virtual address that it sees; the kernel's code follows it all the same."""
    known = loads((TRACES / "v6.12-block_starts_in_a_page-link_to_another_pool.json").read_text())
    assert broken_by(known, revision_of(fetched("v6.12"))).happened.startswith("bytes 0 to 1000 of another pool")


@pytest.mark.parametrize("version", ["v6.1", "v6.12"])
def test_a_batch_runs_natively(version: str) -> None:
    pool = KernelPool.create(fetched(version), Variant(), "pool", Memory(), 128, 1, 0)
    assert pool is not None
    number, per_page = 10_000, 31 if version == "v6.1" else 32
    pages = [2**32 + 4096 * n for n in range(-(-number // per_page))]
    allocs = b"".join(OPERATION.pack(ALLOC, slot, 0) for slot in range(number))
    one_too_many = OPERATION.pack(ALLOC, number, 0) * per_page
    frees = b"".join(OPERATION.pack(FREE, slot, 0) for slot in range(number))
    done = pool.batch(allocs + one_too_many + frees, number + 1, pages)
    assert done.failed == per_page - -number % per_page
    blocks = sorted(done.blocks[1 : 2 * number : 2])
    assert all(second - first >= 128 for first, second in pairwise(blocks))
    row = pool.poolinfo().split()
    assert (int(row[-1]), int(row[-4])) == (len(pages), -number % per_page)


@pytest.mark.parametrize("version", ["v6.1", "v6.12"])
def test_a_volume_of_operations_holds(version: str, command: Command) -> None:
    ran = command("volume", "--kernel", fetched(version).file, "--operations=20000")
    assert (ran.status, ran.out.count("operations a second")) == (0, len(native.POOLS) + 1)


def test_a_counter_of_16_bits_is_too_small(tmp_path: Path, command: Command) -> None:
    source = changed(
        "v6.12", tmp_path, "	size_t nr_active;", "	unsigned short nr_active;", "%4zu %4zu %4u", "%4u %4zu %4u"
    )
    ran = command("volume", "--kernel", source.file, "--operations=2000")
    assert ran.status == 1
    assert "in_use_counts_the_live_blocks is BROKEN" in ran.out
    assert f"run it again: make volume KERNEL={source.file}" in ran.out


def test_what_breaks_in_volume_is_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    top = "	pool->next_block = block;\n}"
    source = changed(
        "v6.12", tmp_path, top, "	if (pool->nr_active % 100)\n	" + top
    )  # it loses a block now and then
    monkeypatch.setattr("bench.native.keep", lambda trace, name: keep(trace, name, tmp_path))
    monkeypatch.setattr("bench.native.POOLS", (Create(128),))
    ran = command("volume", "--kernel", source.file, "--operations=150000")
    assert (ran.status, "pages_are_bounded_by_the_demand is BROKEN" in ran.out) == (1, True)
    broken = "	*handle = block->dma;"
    source = changed(
        "v6.12", tmp_path, broken, broken + "\n	if ((unsigned long)block / 128 % 100 == 99)\n		*handle += 4;"
    )
    ran = command("volume", "--kernel", source.file, "--operations=50000")
    assert (ran.status, "handle_is_the_blocks_address is BROKEN" in ran.out) == (1, True)
    written = loads((tmp_path / f"volume-handle_is_the_blocks_address-128-{source.label()}.json").read_text())
    assert broken_by(written, revision_of(source))


def test_a_tree_that_is_older_than_all_that_build_is_told_so(tmp_path: Path) -> None:
    tree = fetched("v6.1").tree
    assert tree is not None
    for name in ("include", "lib"):
        (tmp_path / name).symlink_to(tree / name)
    (tmp_path / "Makefile").write_text("VERSION = 4\nPATCHLEVEL = 19\n")
    (tmp_path / "mm").mkdir()
    (tmp_path / "mm" / "dmapool.c").write_text(f"{fetched('v6.1').file.read_text()}int i;m\n")
    said = "; the tree is of v4.19, and v5.10 is the oldest that is known to build"
    assert refusal_of(find(tmp_path)).endswith(said)
