/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the dmapool.c under test calls of the kernel, and memory.c or pages.c answers, under other names: included before all else.
 * Which functions the headers' kmalloc, kzalloc and so on call depends on the version.
 */
#include <linux/version.h>

#define dma_alloc_attrs poolproof_dma_alloc
#define dma_free_attrs poolproof_dma_free
#define device_create_file poolproof_device_create_file
#define device_remove_file poolproof_device_remove_file
#define __devres_alloc_node poolproof___devres_alloc_node
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define __kmalloc poolproof___kmalloc
#define __kmalloc_node poolproof___kmalloc_node
#define kmalloc_large poolproof_kmalloc_large
#define kmalloc_large_node poolproof_kmalloc_large_node
#define kmalloc_trace poolproof_kmalloc_trace
#define kmalloc_node_trace poolproof_kmalloc_node_trace
#define kmem_cache_alloc poolproof_kmem_cache_alloc
#define kmem_cache_alloc_node poolproof_kmem_cache_alloc_node
#define kstrdup poolproof_kstrdup
#else
#define __kmalloc_noprof poolproof___kmalloc_noprof
#define __kmalloc_node_noprof poolproof___kmalloc_node_noprof
#define __kmalloc_large_noprof poolproof___kmalloc_large_noprof
#define __kmalloc_large_node_noprof poolproof___kmalloc_large_node_noprof
#define __kmalloc_cache_noprof poolproof___kmalloc_cache_noprof
#define __kmalloc_cache_node_noprof poolproof___kmalloc_cache_node_noprof
#define kmem_cache_alloc_noprof poolproof_kmem_cache_alloc_noprof
#define kmem_cache_alloc_node_noprof poolproof_kmem_cache_alloc_node_noprof
#define kstrdup poolproof_kstrdup
#endif
