"""The pools that can be put beside the oracle, by the name of their revision."""

from impl.block_stack import BlockStackPool
from impl.history import OriginalPool
from impl.pool import Pool as SeriesPool
from impl.struct_page import StructPagePool
from model.lockstep import Revision
from model.pool import Pool as ModelPool
from model.promises import Promises

TARGETS: dict[str, Revision] = {
    "model": Revision(ModelPool.create),
    "v4": Revision(StructPagePool.create),
    "series": Revision(SeriesPool.create),
    "v6.1": Revision(OriginalPool.create, Promises(notices_overlap=False)),
    "v6.12": Revision(
        BlockStackPool.create,
        Promises(
            smallest_block=16,
            reports_of_free="pool_block_err",
            notices_foreign_dma=False,
            notices_wrong_vaddr=False,
            notices_overlap=False,
            leaks_every_page=True,
        ),
    ),
}
