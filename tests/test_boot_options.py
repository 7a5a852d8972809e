"""The boot options that a file has of its own: a hunt sets them, and the prover follows what they set."""

from pathlib import Path

import pytest

from hunt.directed import run_all
from hunt.machine import machine
from hunt.revisions import kernel_file
from kernel.build import Source
from kernel.ir import Module, NotFollowed, ir_of
from kernel.pool import boot_options, turn_debugging_off
from kernel.promises import promises_of, revision_of
from kernel.switches import only_set_by_options, set_by_options
from model.promises import V6_12
from proofs.compiled import obligations_of
from proofs.engine.obligation import Settings, prove
from proofs.subjects.c_pool import Code, with_options_set
from tests.kernels import changed, fetched, hunt, needs_a_compiler

needs_a_compiler()

WITH_A_KEY = (
    *("#define DMAPOOL_DEBUG 1\n#endif\n", "#endif\n#define DMAPOOL_DEBUG 1\n{}"),
    *("\tpool_init_page(pool, page);", "\tif (static_branch_unlikely(&checks))\n\t\tpool_init_page(pool, page);"),
    *("\tpool_check_block(pool,", "\tif (static_branch_unlikely(&checks))\n\t\tpool_check_block(pool,"),
    "if (!pool_block_err(pool, vaddr, dma)) {",
    """if (!static_branch_unlikely(&checks) && want_init_on_free())
		memset(vaddr, 0, pool->size);
	if (!static_branch_unlikely(&checks) || !pool_block_err(pool, vaddr, dma)) {""",
)
"""Of v6.12: debugging is behind a static key, which is declared, and set at boot, by what is put in for {}."""

BY_A_FLAG = """
static DEFINE_STATIC_KEY_FALSE(checks);

static int __init set_checks(char *wanted)
{
	static_branch_enable(&checks);
	return 1;
}
__setup("dmapool_checks", set_checks);
"""

BY_A_VALUE = """
#include <linux/kstrtox.h>
static DEFINE_STATIC_KEY_MAYBE(CONFIG_SLUB_DEBUG_ON, checks);

static int __init set_checks(char *wanted)
{
	bool on;

	if (kstrtobool(wanted, &on))
		return -EINVAL;
	if (on)
		static_branch_enable(&checks);
	else
		static_branch_disable(&checks);
	return 0;
}
early_param("dmapool_checks", set_checks);
"""

ONLY_OFF = BY_A_VALUE.replace("kstrtobool(wanted, &on)", "on = false")


def with_a_key(folder: Path, declared: str, *more: str) -> Path:
    """Changed further by pairs of texts, before and after."""
    return changed("v6.12", folder, *(text.replace("{}", declared) for text in WITH_A_KEY), *more).file


def test_a_hunt_sets_them_and_finds_nothing_in_a_sound_file(tmp_path: Path) -> None:
    """Also where a handler writes to its text, and a parameter is of a type that is not set."""
    options = BY_A_VALUE.replace("\tif (kstrtobool", "\t*wanted |= ' ';\n\tif (kstrtobool")
    options += "#include <linux/moduleparam.h>\nstatic char *kind;\nmodule_param(kind, charp, 0444);\n"
    source = kernel_file(str(with_a_key(tmp_path, options))).source
    (own, parameter), promises = boot_options(source), promises_of(source)
    assert (own, parameter.endswith("kind"), promises.debugs_by_option) == ("dmapool_checks", True, True)
    assert hunt(source) > 5000


def test_what_turns_debugging_off_is_not_set_in_debug_builds(tmp_path: Path) -> None:
    source = kernel_file(str(with_a_key(tmp_path, ONLY_OFF))).source
    assert turn_debugging_off(source)
    assert not promises_of(source).debugs_by_option


def test_a_bug_behind_a_key_is_found(tmp_path: Path) -> None:
    file = with_a_key(tmp_path, BY_A_FLAG, "\tmemset(vaddr, POOL_POISON_FREED, pool->size);\n", "")
    found = run_all(machine(revision_of(kernel_file(str(file)).source)))
    assert {one.claim.name for one in found} >= {"debug_is_on_where_it_was", "freed_block_is_filled"}


def test_functions_may_call_each_other_in_turn() -> None:
    code = "@x = global i32 0\n" + "".join(
        f"define void @{name}() {{\n  call void @{other}()\n  %1 = load i32, ptr @x\n  ret void\n}}\n"
        for name, other in ("fg", "gf")
    )
    assert Module(code).read_by("f") == {"f", "g", "x"}


def test_the_prover_follows_what_they_set(tmp_path: Path) -> None:
    in_the_loop = "\t\tif (offset + pool->size > next_boundary) {", "\t\tif (static_key_enabled(&checks) && 0) {"
    source = Source(with_a_key(tmp_path, BY_A_VALUE, *in_the_loop), fetched("v6.12").tree)
    plain, debugging = ir_of(source), ir_of(source, debug=True)
    assert (plain.switches, debugging.switches, with_options_set(plain)) == (
        {"checks": 0},
        {"checks": 1},
        {"checks": 1},
    )
    with pytest.raises(NotFollowed, match=r"checks is read in a loop, and is set by a boot option, in .*dmapool.c:\d+"):
        Code(source, plain, debugging, V6_12).alike("pool_initialise_page")
    with pytest.raises(NotFollowed, match=r"checks is read, and is set by a boot option"):
        Code(source, plain, debugging, V6_12).alike("pool_initialise_page", whole=True)


def test_the_prover_knows_which_page_is_laid_out_otherwise_where_they_are_set(tmp_path: Path) -> None:
    """The loop itself is the same."""
    loop = "\twhile (offset + pool->size <= pool->allocation) {"
    skips = loop, "\tif (static_key_enabled(&checks))\n\t\toffset = pool->size;\n" + loop
    source = Source(with_a_key(tmp_path, BY_A_VALUE, *skips), fetched("v6.12").tree)
    result = prove(obligations_of(source)["free_list_holds_the_free_blocks/kernel/u64/alloc"], Settings())
    assert (result.verdict, "the first turn is at the page's start" in result.why) == ("NOT_FOLLOWED", True)


@pytest.mark.parametrize(("poison", "verdict"), [("POOL_POISON_FREED", "PROVED"), ("0", "REFUTED")])
def test_the_prover_refutes_a_bug_behind_a_key(tmp_path: Path, poison: str, verdict: str) -> None:
    source = Source(
        with_a_key(tmp_path, BY_A_FLAG, "memset(vaddr, POOL_POISON_FREED", f"memset(vaddr, {poison}"),
        fetched("v6.12").tree,
    )
    assert prove(obligations_of(source)["freed_block_is_filled/kernel/u64"], Settings()).verdict == verdict


def test_what_others_set_as_well_may_hold_anything() -> None:
    options = """
@checks = internal global i8 0, align 1
@level = internal global i32 3, align 4
@other = internal global i32 3, align 4
@__setup_f = internal global { ptr, ptr, i32 } { ptr @__setup_str_f, ptr @f, i32 0 }, section "poolproof_options", align 8
@__param_level = internal constant { ptr, ptr, ptr, i16, i8 } { ptr @s, ptr null, ptr @param_ops_int, i16 292, { ptr @level } }
define internal i32 @f(ptr %0) {
  store i8 1, ptr @checks
}
define void @g() {
  %1 = load i8, ptr @checks
  store i32 1, ptr @other
}
"""
    text = '@__setup_str_f = internal constant [8 x i8] c"checks=\\00"\n'
    assert (set_by_options(options)[0], set_by_options(text + options)[0]) == ({"f": False}, {"f": True})
    assert only_set_by_options(options) == {"checks", "level"}
    assert only_set_by_options(options.replace("i16 292", "i16 420")) == {"checks"}
    assert only_set_by_options(options.replace("ptr @other", "ptr @checks")) == {"level", "other"}
    assert only_set_by_options(options.replace("  %1 =", "  call i32 @f(ptr null)\n  %1 =")) == set()
