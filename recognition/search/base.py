"""What every search method is, and what they share: exact distances from the descriptors where they lie.

Every method answers as ``scipy.spatial.cKDTree.query`` does: distances float32 [m, k] ascending, rows int64 [m, k];
where a query has fewer than k neighbours within the bound, the distance is inf and the row is the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recognition.features import Float32

Int64 = npt.NDArray[np.int64]


class Searcher(Protocol):
    """Nearest neighbours among the descriptors that it was built with."""

    def search(self, queries: Float32, *, k: int, max_distance: float) -> tuple[Float32, Int64]:
        """The k nearest rows of each query within ``max_distance`` (Euclidean, exclusive as in cKDTree).

        Args:
            queries: float32 [m, d], unit vectors.
            k: > 0.
            max_distance: in (0, 2].

        Returns:
            distances float32 [m, k] ascending (inf: none) and rows int64 [m, k] (number of rows: none). Of rows that
            are equally far, the first ones.
        """


class Blocks:
    """Descriptors in several arrays, float32 [n_i, d], as one sequence of rows."""

    def __init__(self, arrays: Sequence[Float32]) -> None:
        self.arrays = arrays
        self._ends = np.cumsum([len(array) for array in arrays], dtype=np.int64)

    def __len__(self) -> int:
        """Number of rows."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def gather(self, rows: Int64) -> Float32:
        """float32 [n, d]: the given rows, without concatenating the arrays."""
        owner = np.searchsorted(self._ends, rows, side="right")
        out = np.empty((len(rows), self.arrays[0].shape[1]), np.float32)
        for i in np.unique(owner):
            mine = owner == i
            array = self.arrays[i]
            out[mine] = array[rows[mine] - (self._ends[i] - len(array))]
        return out


def nearest(
    blocks: Blocks, queries: Float32, query: Int64, rows: Int64, *, k: int, max_distance: float
) -> tuple[Float32, Int64]:
    """The k nearest of each query's candidates, as a searcher answers; the last step of every method.

    Distances come from differences: 2 - 2ab has no digits left for near copies, and BLAS rounds by block shape. So
    the answer depends on nothing but the candidates.

    Args:
        query, rows: int64 [c] each, pairs of a query and a row to be considered for it, no pair twice.
    """
    distance = np.linalg.norm(queries[query] - blocks.gather(rows), axis=1)
    order = np.lexsort((rows, distance, query))
    order = order[distance[order] < max_distance]
    query, rows, distance = query[order], rows[order], distance[order]
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    query, rows, distance, rank = (array[rank < k] for array in (query, rows, distance, rank))
    distances = np.full((len(queries), k), np.inf, np.float32)
    found = np.full((len(queries), k), len(blocks), np.int64)
    distances[query, rank], found[query, rank] = distance, rows
    return distances, found
