"""Why the fourth version of the series, of 2018, was reverted: what `virt_to_page` says of coherent memory."""

from typing import Any

from impl.older import MEMORY, PAGE_OFFSET, page_frame
from model import claims
from model.memory import VMALLOC_BASE, VMALLOC_END
from proofs.engine.obligation import Counterexample, Obligations
from proofs.engine.path import Theory

obligation = Obligations(__name__)

PAGE_SIZES = tuple(1 << log for log in range(12, 17))


def explain(inputs: dict[str, Any]) -> Counterexample:
    """What is in the memory map for a block, and where that memory is."""
    vaddr, physical, page_size = inputs["vaddr"], inputs["physical"], inputs["page_size"]
    frame = page_frame(vaddr, page_size)
    entries = MEMORY // page_size
    return Counterexample(
        f"{vaddr:#x}, which is mapped to physical address {physical:#x}, leads to page frame {physical // page_size:#x}",
        f"virt_to_page leads to page frame {frame:#x}; the memory map ends at {entries:#x}",
    )


def any_coherent_memory(path: Any) -> tuple[Any, Any, Any]:
    """The size of the kernel's pages, and a byte of coherent memory: its physical and its virtual address."""
    page_size, physical = path.one_of("page_size", *PAGE_SIZES), path.number("physical")
    path.assume("there is memory at the physical address", lambda: physical < MEMORY)
    return page_size, physical, path.number("vaddr")


@obligation(claims.virtual_address_names_the_page, "v4", Theory.U64, explain=explain)
def virtual_address_names_the_page(path: Any) -> None:
    page_size, physical, vaddr = any_coherent_memory(path)
    path.assume("coherent memory is in the linear map", lambda: vaddr == PAGE_OFFSET + physical)
    frame = page_frame(vaddr, page_size)
    path.show("there is a struct page for the frame", lambda: frame < MEMORY // page_size)
    path.show_claim(claims.virtual_address_names_the_page, frame, physical, page_size)


@obligation.refuted(claims.virtual_address_names_the_page, "v4", Theory.U64, explain=explain, case="remapped")
def remapped_memory_names_another_page(path: Any) -> None:
    page_size, physical, vaddr = any_coherent_memory(path)
    path.assume("coherent memory is remapped", lambda: vaddr >= VMALLOC_BASE and vaddr < VMALLOC_END)
    path.show_claim(claims.virtual_address_names_the_page, page_frame(vaddr, page_size), physical, page_size)
