"""Search in a few images of the index only: all of their descriptors, exactly, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recognition.blas import one_thread
from recognition.features import Float32
from recognition.search.base import Blocks, Int64
from recognition.search.exact import Nearest, offer_all

if TYPE_CHECKING:
    from recognition.index.store import Index


class ShortlistSearcher:
    """The k nearest among the descriptors of ``images``, int64 [s] ordinals; rows are the whole index's."""

    def __init__(self, index: Index, images: Int64) -> None:
        self._index = index
        self._images = np.sort(images)

    def search(self, queries: Float32, *, k: int, max_distance: float) -> tuple[Float32, Int64]:
        best = Nearest(Blocks(self._index.blocks), queries, k, max_distance)
        with one_thread():
            for i in self._images.tolist():
                first = int(self._index.boundaries[i - 1]) if i else 0
                offer_all(best, queries, [self._index.descriptors(i)], first)
        return best.settle()
