"""Changes of one token of C: which there are, and that a seed draws the same ones."""

from bugs.drawn import Change, changes
from command.drawn import judge, planted, same_code
from kernel.ir import ir_of
from tests.kernels import fetched

TEXT = """/* a < b */
#define LESS(a, b) ((a) < (b))
int less(struct pair *pair, int most)
{
	return pair->first + 1 < most && pair->second;	// most
}
"""


def test_each_token_becomes_what_may_stand_there() -> None:
    found = {(change.line, change.old, change.new) for change in changes(TEXT, [5], 1)}
    assert {("<", "<="), ("<", ">"), ("&&", "||"), ("1", "2"), ("1", "0"), ("+", "-")} <= {one[1:] for one in found}
    assert {("first", "second"), ("second", "first")} <= {one[1:] for one in found}
    assert all({old, new} <= {"first", "second"} or {old, new}.isdisjoint({"first", "second"}) for _, old, new in found)
    assert {line for line, *_ in found} == {5}


def test_a_change_is_one_token_and_a_seed_draws_the_same_ones() -> None:
    drawn = list(changes(TEXT, range(1, 7), 1))
    assert drawn == list(changes(TEXT, range(1, 7), 1)) != list(changes(TEXT, range(1, 7), 2))
    for change in drawn:
        before, after = TEXT.splitlines(), change.text.splitlines()
        assert [n for n in range(len(before)) if before[n] != after[n]] == [change.line - 1]
        assert before[:2] == after[:2], "neither comments nor macros"


def test_a_name_becomes_one_that_may_compile() -> None:
    """A keyword is no name, and a variable of another function is none here."""
    other = TEXT + "int more(struct pair *one, int least)\n{\n\tif (least)\n\t\treturn less(one, least);\n}\n"
    found = {(change.old, change.new) for seed in range(9) for change in changes(other, range(1, 13), seed)}
    assert {("one", "least"), ("least", "one"), ("pair", "most"), ("less", "more")} <= found
    assert not {("one", "most"), ("if", "less"), ("return", "least"), ("int", "one"), ("pair", "one")} & found


def test_a_change_that_compiles_into_the_same_code_is_equivalent() -> None:
    source = fetched("v6.12")
    text, original = source.file.read_text(), [ir_of(source, debug) for debug in (False, True)]
    assert same_code(original[0], ir_of(source))
    before, after = "*(struct dma_pool **)res ==", "*(struct device_attribute **)res =="
    change = Change(1, before, after, text.replace(before, after))
    assert judge(source, original, change, [], 0).idle == "compiles into the same code"
    with planted(source, Change(1, "", "", text.replace("pool->nr_active++", "pool->nr_active--"))) as changed:
        assert not same_code(original[0], ir_of(changed))
