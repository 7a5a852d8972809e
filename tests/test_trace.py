"""Traces: what is written can be read, what is damaged is refused in one clear line, and past ones still replay."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from command.replay import made_for
from hunt.revisions import REVISIONS
from kernel.once import ROOT
from model.lockstep import replay
from model.trace import (
    Alloc,
    Create,
    Destroy,
    Free,
    Kernel,
    PageChoice,
    PoolInfo,
    Step,
    Trace,
    TraceError,
    Write,
    dumps,
    loads,
)
from tests.running import TRACES, Command

SCHEMA = Draft202012Validator(json.loads((ROOT / "model" / "trace.schema.json").read_text()))
words = st.integers(0, 2**64 - 1)
said = st.text(max_size=3)
pages = st.builds(PageChoice, dma=st.none() | words, meanwhile=st.just(()) | st.just((PoolInfo(),)))


@given(
    create=st.builds(Create, size=words, align=words, boundary=words, name=said, expected=said, happened=said),
    allocs=st.lists(
        st.builds(Alloc, block=said, zero=st.booleans(), page=st.none() | pages),
        unique_by=lambda a: a.block,
        max_size=4,
    ),
    kernel=st.builds(
        Kernel,
        page_size=st.sampled_from([4, 4096, 65536]),
        **{name: st.booleans() for name in vars(Kernel()) if name not in ("page_size", "with_options")},
        with_options=st.none() | st.booleans(),
    ),
)
def test_a_trace_is_read_as_it_was_written(create: Create, allocs: list[Alloc], kernel: Kernel) -> None:
    frees = [Free(alloc.block, dma_plus=16) for alloc in allocs]
    trace = Trace((create, *allocs, *frees, Destroy()), kernel, "no_room_is_wasted")
    assert loads(dumps(trace)) == trace
    SCHEMA.validate(json.loads(dumps(trace)))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"poolproof": 2}, "version 2, but only version 1"),
        ({"poolproof": True}, "version True, but only version 1"),
        ({"steps": []}, "the first step has to be create"),
        ({"steps": {}}, "trace.steps: a list is expected"),
        ({"kernels": {}}, "unknown field 'kernels'"),
        ({"claim": 3}, "trace.claim: str is expected"),
        ({"steps": [{"op": "make"}]}, 'trace.steps[0]: an object with "op" one of create'),
        ({"steps": [{"op": ["create"]}]}, 'an object with "op" one of create'),
        ({"steps": [{"op": "create"}]}, "trace.steps[0]: field 'size' is missing"),
        ({"steps": [{"op": "create", "size": True}]}, "steps[0].size: an integer is expected"),
        ({"steps": [{"op": "create", "size": -5}]}, "-5 is not a number of 64 bits"),
        ({"steps": [{"op": "create", "size": "128"}]}, "is not a hexadecimal number such as 0x"),
        ({"steps": [{"op": "create", "size": "0xz"}]}, "is not a hexadecimal number"),
        ({"steps": [{"op": "create", "size": 4, "align ": 1}]}, "unknown field 'align '"),
        ({"steps": [{"op": "free", "block": "a", "zero": True}]}, "unknown field 'zero'"),
        ({"steps": [{"op": "alloc", "block": "a", "page": {"dma": 0, "meanwhile": [{"op": "alloc"}]}}]}, "is missing"),
        ({"steps": [{"op": "write", "block": "a", "offset": 0, "data": "0"}]}, "the first step has to be create"),
    ],
)
def test_what_is_no_trace_is_refused_by_the_schema_and_the_reader(changed: dict[str, Any], complaint: str) -> None:
    trace = {"poolproof": 1, "steps": [{"op": "create", "size": 4}]}
    SCHEMA.validate(trace)
    assert not SCHEMA.is_valid({**trace, **changed})
    with pytest.raises(TraceError, match=re.escape(complaint)):
        loads(json.dumps({**trace, **changed}))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not JSON that can be read"),
        ("[" * 100_000, "not JSON that can be read"),
        ('{"poolproof": 1, "steps": [{"op": "create", "size": ' + "9" * 5000 + "}]}", "not JSON that can be read"),
        ("[]", 'there is no "poolproof"'),
        ("{}", 'not a poolproof trace: there is no "poolproof": 1'),
        ('{"poolproof": 1}', "trace: field 'steps' is missing"),
        ('{"poolproof": 1, "claim": "nonsense", "steps": [{"op": "create", "size": 4}]}', "there is no claim"),
        (
            '{"poolproof": 1, "steps": [{"op": "create", "size": 4}, {"op": "alloc", "block": "a", '
            '"page": {"dma": 0, "meanwhile": [{"op": "destroy"}]}}]}',
            "destroy, while an allocation is under way",
        ),
    ],
)
def test_a_damaged_trace_is_one_line(text: str, complaint: str, tmp_path: Path, command: Command) -> None:
    with pytest.raises(TraceError, match=re.escape(complaint)):
        loads(text)
    file = tmp_path / "damaged.json"
    file.write_text(text)
    ran = command("replay", file)
    assert (ran.status, ran.err.count("\n"), complaint in ran.err) == (2, 1, True)


STEPS = '{"poolproof": 1, "steps": [{"op": "create", "size": 64}, {"op": "alloc", "block": "a"%s}%s]}'
"""A trace that can be read, and room for more: in the allocation, and behind it."""


def read(allocation: str = "", behind: str = "") -> Trace:
    return loads(STEPS % (allocation, behind and f", {behind}"))


@pytest.mark.parametrize(
    ("allocation", "behind", "complaint"),
    [
        ("", '{"op": "create", "size": 4}', "steps[2]: a second create; a trace is about one pool"),
        ("", '{"op": "free", "block": "b"}', "steps[2]: block 'b' is freed, but was not allocated before"),
        (
            "",
            '{"op": "write", "block": "b", "offset": 0, "data": "00"}',
            "steps[2]: block 'b' is written to, but was not allocated before",
        ),
        ("", '{"op": "alloc", "block": "a"}', "steps[2]: block 'a' is allocated twice; choose another name"),
        ("", '{"op": "other_pool", "block": "a"}', "steps[2]: block 'a' is allocated twice; choose another name"),
        (
            "",
            '{"op": "write", "block": "a", "offset": 0, "data": "FF"}',
            "steps[2].data: 'FF' is not 1 to 64 bytes in hexadecimal digits, such as ffff00",
        ),
        (
            ', "page": {"dma": 0, "meanwhile": [{"op": "poolinfo"}, {"op": "free", "block": "a"}]}',
            "",
            "steps[1].page.meanwhile[1]: block 'a' is freed, but was not allocated before",
        ),
        ("", '"free"', 'trace.steps[2]: an object with "op" one of create, alloc, free, write, other_pool, poolinfo, '),
        ("", '{"op": "make"}', 'destroy, together is expected, not {"op": "make"}'),
        (', "page": {"dma": 0, "meanwhile": 7}', "", "trace.steps[1].page.meanwhile: a list is expected, not 7"),
        ("", '{"op": "free", "block": 7}', "trace.steps[2].block: str is expected, not 7"),
        (', "page": [0]', "", "trace.steps[1].page: an object is expected, not [0]"),
        (', "page": {"dma": [1]}', "", "trace.steps[1].page.dma: an integer is expected, not [1]"),
        (', "size": 1', "", "steps[1]: unknown field 'size'; known are expected, happened, block, zero, flags, page"),
        (', "zero": "' + "z" * 59 + '"', "", f'zero: bool is expected, not "{"z" * 56}...'),
        (', "zero": "' + "z" * 58 + '"', "", f'zero: bool is expected, not "{"z" * 58}"'),
        (', "page": {"dma": 18446744073709551616}', "", "dma: 18446744073709551616 is not a number of 64 bits"),
        ("", '{"op": "free", "block": "a", "dma_plus": -18446744073709551617}', "is not a number of 64 bits"),
    ],
)
def test_an_error_says_where_it_is(allocation: str, behind: str, complaint: str) -> None:
    with pytest.raises(TraceError, match=re.escape(complaint) + ("" if complaint.endswith(", ") else "$")):
        read(allocation, behind)


def test_numbers_have_64_bits_and_where_they_are_added_a_sign() -> None:
    read(', "page": {"dma": 18446744073709551615}')
    read(', "page": {"dma": "0xffffffffffffffff"}')
    lowest = "-18446744073709551616"
    read("", f'{{"op": "free", "block": "a", "dma_plus": {lowest}, "vaddr_plus": {lowest}}}')
    read("", f'{{"op": "write", "block": "a", "offset": {lowest}, "data": "00"}}')


def test_a_free_may_name_a_block_of_the_allocation_that_waits_around_it() -> None:
    """Not the waiting one, but one that was allocated before it, or meanwhile."""
    inner = '{"op": "alloc", "block": "c"}, {"op": "free", "block": "a"}, {"op": "free", "block": "c"}'
    read("", f'{{"op": "alloc", "block": "b", "page": {{"dma": null, "meanwhile": [{inner}]}}}}')


def test_a_page_has_at_least_four_bytes() -> None:
    steps = (Create(4),)
    assert loads(dumps(Trace(steps, Kernel(page_size=4)))).kernel.page_size == 4
    for page_size in (0, 2, 6):
        with pytest.raises(TraceError, match=f"a power of two is expected, not {page_size}$"):
            loads(dumps(Trace(steps, Kernel(page_size=page_size))))


def test_operations_inside_each_other_without_end_are_refused() -> None:
    deep = '{"op": "poolinfo"}'
    for depth in range(300):
        deep = f'{{"op": "alloc", "block": "b{depth}", "page": {{"dma": null, "meanwhile": [{deep}]}}}}'
    with pytest.raises(TraceError, match=r"^too many operations inside each other$"):
        read("", deep)


@pytest.mark.parametrize("file", TRACES, ids=lambda file: file.stem)
def test_a_past_counterexample_still_breaks_the_revision_in_its_name(file: Path, command: Command) -> None:
    SCHEMA.validate(json.loads(file.read_text()))
    revision = file.name.partition("-")[0]
    ran = command("replay", file, "--on", revision)
    assert (ran.status, f"{revision} breaks {loads(file.read_text()).claim}:" in ran.out) == (1, True)
    assert command("replay", file, "--on", "oracle").status == 0


def test_the_longest_name_of_a_revision_in_a_files_name_counts() -> None:
    files = ("x/v6.1-as-it-is-a_claim.json", "x/v6.12-a_claim-a_case.json", "mine.json")
    assert [made_for(file) for file in files] == ["v6.1-as-it-is", "v6.12", "series"]


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ((Create(64), Alloc("a", page=PageChoice(None)), Free("a")), "gave no block"),
        ((Create(64), Destroy(), PoolInfo()), "refused or destroyed"),
        ((Create(64), Alloc("a"), Write("a", 4096, "00")), "not in one page"),
        ((Create(2**31 - 4), Alloc("a")), "too large to run"),
    ],
)
def test_a_trace_that_cannot_be_run_is_refused(
    steps: tuple[Step, ...], complaint: str, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "impossible.json").write_text(dumps(Trace(steps)))
    ran = command("replay", tmp_path / "impossible.json")
    assert (ran.status, complaint in ran.err) == (2, True)


def test_operations_run_while_the_lock_is_dropped() -> None:
    """Two callers wait for a page at once; the second comes first, and frees its block before the first has one."""
    meanwhile = (Alloc("b", page=PageChoice(0x8000)), Alloc("c", page=PageChoice(None)), Free("b"))
    steps = (Create(4096), Alloc("a", page=PageChoice(0x2000, meanwhile)), Alloc("d"), PoolInfo(), Destroy())
    for revision in ("oracle", "series"):
        happened = replay(Trace(steps), REVISIONS[revision])
        assert [step.happened for step in happened.steps[-2:]] == [
            "pool                2    2 4096  2",
            "pages leaked: 2",
        ]
        (first,) = (step for step in happened.steps if isinstance(step, Alloc) and step.block == "a")
        assert first.page is not None
        assert [step.happened[:4] for step in first.page.meanwhile] == ["byte", "NULL", "the "]


def test_the_last_step_is_the_one_that_began_last() -> None:
    """Inside of an allocation that waits, unless that has come to its end."""
    inner = Alloc("c", page=PageChoice(None, (PoolInfo(), Free("a"))))
    waiting = Alloc("b", page=PageChoice(None, (PoolInfo(), inner)))
    assert Trace((Create(64), Alloc("a"), waiting)).last_step() == Free("a")
    done = Alloc("b", page=PageChoice(None, (PoolInfo(), inner)), happened="NULL")
    assert Trace((Create(64), Alloc("a"), done)).last_step() == done
    assert Trace((Create(64), Alloc("a"))).last_step() == Alloc("a")
