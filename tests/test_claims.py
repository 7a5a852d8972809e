"""Every predicate can be true, and can be false: a claim that always holds would make every check of it empty."""

from typing import Any

import pytest

from model.claims import CLAIMS
from model.geometry import Geometry, Refusal

G = Geometry


def one_byte_wrong(content: bytes, *others: Any) -> list[tuple[Any, ...]]:
    """Arguments of a claim about the content of a block, of which each byte in turn is another."""
    return [
        (content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :], *others) for place in range(len(content))
    ]


TRUE_AND_FALSE: dict[str, tuple[tuple[Any, ...], list[tuple[Any, ...]]]] = {
    "create_admits_what_is_promised": (
        (G(8, 16, 16), G(8, 16, 16)),
        [
            (Refusal.SIZE_IS_ZERO, G(8, 16, 16)),
            (G(8, 16, 16), None),
            *((G(8, 16, 16), G(*other)) for other in ((4, 16, 16), (12, 16, 16), (8, 8, 16), (8, 32, 16))),
            *((G(8, 16, 16), G(*other)) for other in ((8, 16, 8), (8, 16, 32))),
        ],
    ),
    "admitted_geometry_is_ordered": ((G(4, 8, 16),), [(G(0, 8, 16),), (G(9, 8, 16),), (G(4, 32, 16),)]),
    "boundary_divides_the_allocation": ((G(4, 8, 16),), [(G(4, 8, 17),)]),
    "alignment_divides_size_and_boundary": ((G(4, 8, 16), 4), [(G(6, 8, 16), 4), (G(4, 6, 16), 4)]),
    "admitted_geometry_fits_an_int": ((G(4, 8, 2**31 - 1),), [(G(3, 8, 16),), (G(4, 8, 2**31),)]),
    "next_boundary_is_a_multiple": ((16, 8), [(17, 8)]),
    # a block of 4 bytes between 8 and 16, in a page of 16
    "layout_stays_between_boundaries": (
        (8, 16, G(4, 8, 16)),
        [(7, 16, G(4, 8, 16)), (13, 16, G(4, 8, 16)), (16, 24, G(4, 8, 16))],
    ),
    "block_lies_inside_its_page": ((12, 4, 16), [(13, 4, 16)]),
    "block_starts_in_a_page": (
        (4095, [8192, 0], 4096),
        [(4096, [8192, 0], 4096), (8191, [8192], 4096), (4097, [0], 4096)],
    ),
    "no_block_crosses_a_boundary": ((4, 4, 8), [(5, 4, 8)]),
    "blocks_are_disjoint": ((4, 8, 4), [(4, 7, 4), (7, 4, 4), (4, 4, 4)]),
    "blocks_are_aligned": ((12, 4), [(13, 4)]),
    "offsets_fit_the_int_link": ((2**31 - 1,), [(2**31,)]),
    "layout_ends": ((4, 8), [(4, 4), (8, 4)]),
    "fresh_blocks_ascend": ((8, 4), [(4, 8), (4, 4)]),
    "no_room_is_wasted": (((4, 7), 4, 4, 8), [((4, 8), 4, 4, 8), ((3, 8), 4, 4, 8), ((4, 20), 4, 4, 8)]),
    "total_counts_the_blocks": ((6, 2, 3), [(5, 2, 3), (7, 2, 3)]),
    "lookup_finds_the_page_of_an_address": ((8, 4, 11, True), [(8, 4, 11, False), (8, 4, 12, True), (8, 4, 7, True)]),
    "virtual_address_names_the_page": ((2, 8191 + 4096, 4096), [(1, 8191 + 4096, 4096), (3, 8191 + 4096, 4096)]),
    "tree_keeps_pages_in_order": ((1, 2), [(2, 1), (1, 1)]),
    "insertion_keeps_pages_disjoint": ((0, 8, 8), [(0, 7, 8), (8, 0, 8)]),
    "tree_is_balanced": (
        ([], False, [], [2, 2]),
        [
            ([1], False, [], [2]),
            ([], True, [], [2]),
            ([], False, [1], [2]),
            ([], False, [], [2, 1]),
            ([], False, [], [2, 3]),
        ],
    ),
    "pages_with_room_are_listed": (([2, 1], {1, 2}), [([1], {1, 2}), ([1, 1], {1})]),
    "free_list_holds_the_free_blocks": (([4, 0], {0, 4}), [([4], {0, 4}), ([4, 4], {4})]),
    "in_use_counts_the_live_blocks": ((3, 3), [(3, 4), (4, 3)]),
    "alloc_fails_only_without_memory": ((True, False), [(True, True), (False, False)]),
    "handle_is_the_blocks_address": ((1, 1), [(1, 2), (2, 1)]),
    "allocated_block_was_free": (((1, 2), [(1, 2)]), [((1, 3), [(1, 2)])]),
    "allocated_block_is_filled": (
        (bytes(4), True, True),
        [
            (b"\xa9" * 4, True, True),
            (bytes(4), False, True),
            (b"\xa9" * 4, True, False),
            *one_byte_wrong(bytes(16), True, True),
            *one_byte_wrong(b"\xa9" * 16, False, True),
        ],
    ),
    "freed_block_is_filled": (
        (b"link" + b"\xa7" * 4, True, True),
        [
            (b"link" + bytes(4), True, True),
            (b"link" + b"\xa7" * 4, False, True),
            (b"link" + bytes(4), True, False),
            *one_byte_wrong(b"link" + b"\xa7" * 16, True, False)[4:],
            *one_byte_wrong(b"link" + bytes(16), False, True)[4:],
        ],
    ),
    "live_block_is_left_alone": ((b"a", b"a"), [(b"a", b"b"), *one_byte_wrong(b"a" * 16, b"a" * 16)]),
    "destroy_leaks_exactly_the_busy_pages": (([1], [1]), [([1], []), ([], [1])]),
    "structs_are_freed": (([],), [(["the pool"],)]),
    "failed_create_leaves_nothing_behind": (([],), [(["the pool"],)]),
    "managed_pool_is_destroyed_once": (([1], [1]), [([], [1]), ([1, 1], [1]), ([2], [1])]),
    "pools_file_exists_while_pools_do": ((True, 2), [(False, 1), (True, 0)]),
    "reports_are_the_kernels": ((["a", "b"], ["b", "a"]), [(["a"], ["b"])]),
    "subtree_is_full": ((3, 3, 2, True), [(2, 3, 2, True), (3, 5, 2, False), (6, 3, 3, False), (7, 8, 3, True)]),
    "tree_height_is_logarithmic": ((3, 4), [(3, 5), (7, 7), (0, 1)]),
    "free_compares_few_addresses": ((3, 4), [(3, 5), (7, 7), (0, 1)]),
    "alloc_touches_few_pages": ((2,), [(3,)]),
    "walk_follows_the_order": (([1, 2], [1, 2]), [([1], [1, 2]), ([2, 1], [1, 2])]),
    "destroy_reads_no_freed_page": (([1], [1], []), [([1, 1], [1], []), ([1], [1], [1])]),
    "list_is_a_ring": (([], [1], [1]), [([1], [1], [1]), ([], [1], [1, 2])]),
    "blocks_are_in_use_or_free": ((1, 2, 3), [(1, 1, 3), (2, 2, 3)]),
    "double_free_is_refused": ((True, True), [(False, True), (True, False)]),
    "refused_free_changes_nothing": (([],), [([1],)]),
    "free_list_of_wrong_length_is_refused": ((True, 3, 2, 4), [(False, 3, 2, 4), (False, 1, 2, 4), (True, 2, 2, 4)]),
    "counters_do_not_wrap": ((5, 3, 2), [(0, 3, 2), (4, 3, 2), (1, 3, -2)]),
    "flags_reach_the_device": (("GFP_NOIO", "GFP_NOIO"), [("GFP_ATOMIC", "GFP_NOIO"), ("GFP_KERNEL", "GFP_NOIO")]),
    "structs_are_on_the_node": ((1, 1), [(0, 1), (-1, 1)]),
    "debug_is_on_where_it_was": ((True, True), [(True, False)]),
    # blocks of which a page has two; 4 asked for, by 2 at once
    "pages_are_bounded_by_the_demand": ((3, 4, 2, 2), [(4, 4, 2, 2), (3, 3, 2, 2)]),
    "block_is_filled_once": ((1,), [(2,)]),
    "patch_07_keeps_what_the_driver_sees": ((b"a", b"a"), [(b"a", b"b")]),
    "patch_06_keeps_the_freed_block": ((b"a", b"a"), [(b"a", b"b")]),
    "patch_08_changes_nothing": (([1], [1]), [([1], [2]), ([2], [1])]),
    "operations_end": (("",), [("no answer",)]),
    "locking_rules_are_kept": (("",), [("a lock is held",)]),
    "operations_are_linearizable": (([],), [(None,)]),
    "pool_stays_in_its_memory": (("",), [("IndexError",)]),
}

TRUE_AS_WELL: dict[str, list[tuple[Any, ...]]] = {
    "create_admits_what_is_promised": [(Refusal.SIZE_IS_ZERO, None)],
    "admitted_geometry_is_ordered": [(G(1, 1, 1),)],
    "layout_stays_between_boundaries": [(12, 16, G(4, 8, 16)), (0, 8, G(4, 8, 16)), (0, 8, G(8, 8, 8))],
    "admitted_geometry_fits_an_int": [(G(8, 16, 16),)],
    "blocks_are_disjoint": [(8, 4, 4)],
    "offsets_fit_the_int_link": [(0,)],
    "no_room_is_wasted": [((5, 12), 4, 4, 8), ((4, 12), 6, 4, 8)],
    "lookup_finds_the_page_of_an_address": [(8, 4, 8, True), (8, 4, 7, False), (8, 4, 12, False), (8, 4, 13, False)],
    "tree_is_balanced": [([], False, [], [0])],
    "subtree_is_full": [(0, 0, 0, False), (4, 3, 2, False), (7, 6, 3, False), (7, 7, 3, True)],
    "tree_height_is_logarithmic": [(0, 0), (3, 2), (7, 6)],
    "free_compares_few_addresses": [(0, 0), (3, 2), (7, 6)],
    "alloc_touches_few_pages": [(0,)],
    "alloc_fails_only_without_memory": [(False, True)],
    "allocated_block_is_filled": [(bytes(4), True, False), (b"any!", False, False)],
    "freed_block_is_filled": [
        (b"link" + bytes(4), False, True),
        (b"link" + b"any!", False, False),
        (b"a longer link" + b"\xa7" * 4, True, False, 13),
        (b"a longer link" + bytes(4), False, True, 13),
    ],
    "pages_are_bounded_by_the_demand": [(2, 2, 2, 5)],
    "managed_pool_is_destroyed_once": [([], [])],
    "pools_file_exists_while_pools_do": [(False, 0), (True, 1)],
    "block_is_filled_once": [(0,)],
    "debug_is_on_where_it_was": [(False, True), (False, False)],
}
"""Where a bound is reached, or another part of the sentence applies."""


def test_the_table_covers_every_claim() -> None:
    assert set(TRUE_AND_FALSE) == set(CLAIMS)


@pytest.mark.parametrize("name", TRUE_AND_FALSE)
def test_a_claim_can_be_true_and_false(name: str) -> None:
    true, false = TRUE_AND_FALSE[name]
    for instance in (true, *TRUE_AS_WELL.get(name, [])):
        assert CLAIMS[name](*instance) is True
    for instance in false:
        assert CLAIMS[name](*instance) is False
