// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The cover letter's workload in a real kernel, on the kernel's own device: a line of nanoseconds for each round, of the allocs, of the
 * frees and the destruction, and of as many pages, allocated and freed without a pool.
 */
#include <linux/dma-mapping.h>
#include <linux/dmapool.h>
#include <linux/ktime.h>
#include <linux/platform_device.h>
#include <linux/reboot.h>
#include <linux/vmalloc.h>

#define BLOCKS 373959
#define ROUNDS 4

static struct { void *vaddr; dma_addr_t dma; } *blocks;

static void measure(struct device *dev)
{
	struct dma_pool *pool = dma_pool_create("chain", dev, 128, 16, 0);
	u64 start = ktime_get_ns(), allocated, freed, of_device;
	unsigned long page = 0;
	int n, pages = 0;

	for (n = 0; n < BLOCKS; n++)
		blocks[n].vaddr = dma_pool_alloc(pool, GFP_KERNEL, &blocks[n].dma);
	allocated = ktime_get_ns() - start;
	for (n = 0; n < BLOCKS; n++) {
		if (!blocks[n].vaddr)
			panic("there is no memory");
		pages += (unsigned long)blocks[n].vaddr >> 12 != page;
		page = (unsigned long)blocks[n].vaddr >> 12;
	}
	start = ktime_get_ns();
	for (n = 0; n < BLOCKS; n++)
		dma_pool_free(pool, blocks[n].vaddr, blocks[n].dma);
	dma_pool_destroy(pool);
	freed = ktime_get_ns() - start;

	start = ktime_get_ns();
	for (n = 0; n < pages; n++)
		blocks[n].vaddr = dma_alloc_coherent(dev, 4096, &blocks[n].dma, GFP_KERNEL);
	of_device = ktime_get_ns() - start;
	start = ktime_get_ns();
	for (n = 0; n < pages; n++)
		dma_free_coherent(dev, 4096, blocks[n].vaddr, blocks[n].dma);
	pr_info("workload: %llu %llu %llu %llu\n", allocated, freed, of_device, ktime_get_ns() - start);
}

static int __init workload(void)
{
	struct platform_device *device = platform_device_register_simple("poolproof", -1, NULL, 0);

	blocks = vmalloc(BLOCKS * sizeof(*blocks));
	if (IS_ERR(device) || !blocks || dma_coerce_mask_and_coherent(&device->dev, DMA_BIT_MASK(64)))
		panic("there is no device, or no memory");
	for (int round = 0; round < ROUNDS; round++)
		measure(&device->dev);
	kernel_halt();
	return 0;
}
late_initcall(workload);
