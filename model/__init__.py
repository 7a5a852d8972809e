"""What a DMA pool promises: the claims, the naive pool that keeps them, and the device's memory that it lives in.

Imports the standard library only. Read `geometry`, `pool` and `claims` beside the kernel's documentation of
`dma_pool_create`, `dma_pool_alloc`, `dma_pool_free` and `dma_pool_destroy`.
"""
