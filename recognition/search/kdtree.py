"""The origin's search: a KD-tree over a copy of all descriptors, built anew in every process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recognition.features import Float32
from recognition.search.base import Blocks, Int64, nearest


class KDTreeSearcher:
    """``scipy.spatial.cKDTree``, exact; of rows that are equally far from a query, any may take the k-th place."""

    def __init__(self, arrays: Sequence[Float32]) -> None:
        from scipy.spatial import cKDTree

        self._blocks = Blocks(arrays)
        self._tree = cKDTree(np.concatenate(arrays))

    def search(self, queries: Float32, *, k: int, max_distance: float) -> tuple[Float32, Int64]:
        # A list of k keeps the answer two-dimensional for k = 1.
        _, rows = self._tree.query(queries, k=list(range(1, k + 1)), distance_upper_bound=max_distance)
        query, rank = np.nonzero(rows < len(self._blocks))
        return nearest(self._blocks, queries, query, rows[query, rank], k=k, max_distance=max_distance)
