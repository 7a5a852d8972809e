"""How the promises of `model` are kept fast: the DMA pool of the 2022 patch series, and what it replaced.

Imports the standard library only, so that it shares no mistake with the oracle in `model`.

| kernel function | series (pool.py) | v6.1 (v6_1.py) | v6.12 (v6_12.py) |
|---|---|---|---|
| dma_pool_create: argument check | layout.admit | admit | admit |
| dma_pool_create | Pool.create | the same | V6_12Pool.create |
| dma_pool_alloc | Pool.alloc | the same, _page_with_room | alloc |
| pool_alloc_page | Pool._alloc_page | the same | _alloc_page |
| pool_initialise_page | layout.laid_blocks, next_block | next_block | _initialise_page, turn |
| pool_insert_page (patch 10) | Pool._add_page, PageTree.insert | _add_page: a list | _initialise_page |
| pool_find_page | PageTree.find | _find_page: a scan (until 2015, and of 2018: older.py) | _find_page, debug only |
| pool_block_pop, pool_block_push |  |  | _pop, _push |
| pool_check_block, pool_block_err | _report_if_corrupted, _is_refused, _walk | the same, _walk | _check_block, _block_err |
| what alloc and free fill a block with (patches 06, 07) | _fill_allocated, _fill_freed | the same, its own way | alloc, free |
| dma_pool_free | Pool.free | the same | free |
| dma_pool_destroy, pool_free_page | Pool.destroy, _free_page | destroy | destroy |
| pools_show | Pool.poolinfo | blks_per_alloc | poolinfo |
| blks_per_alloc (patch 04) | layout.blks_per_alloc |  |  |
| rb_insert_color, rb_erase, rb_next | rbtree.PageTree |  |  |
| list_add, list_del_init | list_head |  |  |
| spin_lock_irqsave, lockdep_assert_held | lock.Lock | the same | the same |
"""
