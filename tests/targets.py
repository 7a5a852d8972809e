"""The pools that can be put beside the oracle, by the name of their revision."""

from dataclasses import replace

from impl.block_stack import BlockStackPool
from impl.history import OriginalPool
from impl.pool import Pool as SeriesPool
from impl.struct_page import StructPagePool
from model.lockstep import Revision
from model.pool import Pool as ModelPool
from model.promises import SERIES, V6_1, V6_12
from tests.inside import inside_of_pages, inside_of_stack, look

TARGETS: dict[str, Revision] = {
    "model": Revision(ModelPool.create),
    "v4": Revision(StructPagePool.create, inside=inside_of_pages),
    "series": Revision(SeriesPool.create, look=look, inside=inside_of_pages),
    # Held to what v6.1 was meant to promise, which it breaks; and to what it keeps in fact.
    "v6.1": Revision(
        OriginalPool.create,
        replace(SERIES, notices_overlap=False, keeps_in_debug_builds=V6_1.keeps_in_debug_builds),
        inside=inside_of_pages,
    ),
    "v6.1-as-it-is": Revision(OriginalPool.create, V6_1, inside=inside_of_pages),
    "v6.12": Revision(BlockStackPool.create, V6_12, inside=inside_of_stack),
}
