"""The boot options that a file has of its own: a hunt sets them, and the prover follows what they set."""

from pathlib import Path

from hunt.directed import run_all
from hunt.machine import machine
from hunt.revisions import kernel_file
from kernel.pool import boot_options, turn_debugging_off
from kernel.promises import promises_of, revision_of
from tests.kernels import changed, hunt, needs_a_compiler

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
    source = kernel_file(str(with_a_key(tmp_path, BY_A_VALUE))).source
    assert (boot_options(source), promises_of(source).debugs_at_boot) == (["dmapool_checks"], True)
    assert hunt(source) > 5000


def test_what_turns_debugging_off_is_not_set_in_debug_builds(tmp_path: Path) -> None:
    source = kernel_file(str(with_a_key(tmp_path, ONLY_OFF))).source
    assert turn_debugging_off(source)
    assert not promises_of(source).debugs_at_boot


def test_a_bug_behind_a_key_is_found(tmp_path: Path) -> None:
    file = with_a_key(tmp_path, BY_A_FLAG, "\tmemset(vaddr, POOL_POISON_FREED, pool->size);\n", "")
    found = run_all(machine(revision_of(kernel_file(str(file)).source)))
    assert {one.claim.name for one in found} >= {"debug_is_on_where_it_was", "freed_block_is_filled"}
