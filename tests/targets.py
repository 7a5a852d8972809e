"""The pools that can be put beside the oracle, by the name of their revision."""

from impl.history import OriginalPool
from impl.pool import Pool as SeriesPool
from model.lockstep import CreateTarget
from model.pool import Pool as ModelPool

TARGETS: dict[str, CreateTarget] = {
    "model": ModelPool.create,
    "series": SeriesPool.create,
    "v6.1": OriginalPool.create,
}
