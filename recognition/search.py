"""Descriptors -> nearest neighbours: ``kdtree`` (the origin's), ``exact`` (BLAS), ``auto`` (by measured size).

Every method answers as ``scipy.spatial.cKDTree.query`` does: distances float32 [m, k] ascending, rows int64 [m, k];
where a query has fewer than k neighbours within the bound, the distance is inf and the row is the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from recognition.features import Float32

Int64 = npt.NDArray[np.int64]
Method = Literal["auto", "kdtree", "exact"]

# Where `exact` overtakes the KD-tree in 40 dimensions: a single photograph's worth (docs/architecture.md, "Search").
KDTREE_MAX_DESCRIPTORS = 1_000
# Rows per matrix product: 1,000 queries x 8,192 rows = 32 MB of float32, small enough to stay near the cache.
BLOCK_ROWS = 8_192


class Searcher(Protocol):
    """Nearest neighbours among the descriptors that it was built with."""

    def search(self, queries: Float32, *, k: int, max_distance: float) -> tuple[Float32, Int64]:
        """The k nearest rows of each query within ``max_distance`` (Euclidean, exclusive as in cKDTree).

        Args:
            queries: float32 [m, d], unit vectors.
            k: > 0.
            max_distance: in (0, 2].

        Returns:
            distances float32 [m, k] ascending (inf: none) and rows int64 [m, k] (number of rows: none).
        """


class KDTreeSearcher:
    """``scipy.spatial.cKDTree`` over a copy of all descriptors: the origin's way, and the reference for the others."""

    def __init__(self, blocks: Sequence[Float32]) -> None:
        from scipy.spatial import cKDTree

        self._tree = cKDTree(np.concatenate(blocks))

    def search(self, queries: Float32, *, k: int, max_distance: float) -> tuple[Float32, Int64]:
        # A list of k keeps the answer two-dimensional for k = 1.
        distances, rows = self._tree.query(queries, k=list(range(1, k + 1)), distance_upper_bound=max_distance)
        return distances.astype(np.float32), rows.astype(np.int64)


class ExactSearcher:
    """All distances by blocked matrix products: |a - b|^2 = 2 - 2ab for unit vectors; never a whole N x M matrix."""

    def __init__(self, blocks: Sequence[Float32]) -> None:
        self._blocks = blocks
        self._count = sum(len(block) for block in blocks)

    def search(self, queries: Float32, *, k: int, max_distance: float) -> tuple[Float32, Int64]:
        best = _Nearest(len(queries), k, max_distance, self._count)
        first = 0
        for block in self._blocks:
            for start in range(0, len(block), BLOCK_ROWS):
                best.offer(queries @ np.asarray(block[start : start + BLOCK_ROWS]).T, first + start)
            first += len(block)
        return self._measured(queries, best.rows, max_distance)

    def _measured(self, queries: Float32, rows: Int64, max_distance: float) -> tuple[Float32, Int64]:
        """Distances from differences: 2 - 2ab has no digits left for near copies, and BLAS rounds by block shape."""
        found = rows < self._count
        query, _ = np.nonzero(found)
        distances = np.full(rows.shape, np.inf, np.float32)
        distances[found] = np.linalg.norm(queries[query] - gather(self._blocks, rows[found]), axis=1)
        distances[distances >= max_distance] = np.inf
        rows = np.where(np.isinf(distances), self._count, rows)
        order = np.lexsort((rows, distances), axis=1)
        return np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)


class _Nearest:
    """The k most similar rows of each query seen so far."""

    def __init__(self, queries: int, k: int, max_distance: float, none: int) -> None:
        self.k = k
        self.rows = np.full((queries, k), none, np.int64)
        # A hair below the bound: what rounding lets through here is measured exactly at the end.
        self._floor = np.full(queries, 1 - max_distance**2 / 2 - 1e-5, np.float32)
        self._similarity = np.full((queries, k), -np.inf, np.float32)

    def offer(self, similarity: Float32, first_row: int) -> None:
        """Consider float32 [queries, b] similarities to the rows ``first_row ...``."""
        # Flat: NumPy finds the few set bits of one long row several times faster than those of a matrix.
        hits = np.flatnonzero(similarity > self._floor[:, None])
        if not len(hits):
            return
        query, column = np.divmod(hits, similarity.shape[1])
        pool = np.concatenate((self._similarity.ravel(), similarity.ravel()[hits]))
        rows = np.concatenate((self.rows.ravel(), column + first_row))
        owner = np.concatenate((np.repeat(np.arange(len(self.rows)), self.k), query))
        order = np.lexsort((rows, -pool, owner))
        starts = np.searchsorted(owner[order], np.arange(len(self.rows)))
        chosen = order[starts[:, None] + np.arange(self.k)]
        self._similarity, self.rows = pool[chosen], rows[chosen]
        np.maximum(self._floor, self._similarity[:, -1], out=self._floor)


def gather(blocks: Sequence[Float32], rows: Int64) -> Float32:
    """float32 [n, d]: the given rows of the concatenated blocks, without concatenating them."""
    ends = np.cumsum([len(block) for block in blocks])
    owner = np.searchsorted(ends, rows, side="right")
    out = np.empty((len(rows), blocks[0].shape[1]), np.float32)
    for i in np.unique(owner):
        mine = owner == i
        out[mine] = blocks[i][rows[mine] - (ends[i] - len(blocks[i]))]
    return out


def make_searcher(blocks: Sequence[Float32], method: Method = "auto") -> Searcher:
    """The searcher for float32 [n_i, d] blocks of descriptors; ``auto`` picks by their number."""
    count = sum(len(block) for block in blocks)
    if method == "kdtree" or (method == "auto" and count <= KDTREE_MAX_DESCRIPTORS):
        return KDTreeSearcher(blocks)
    return ExactSearcher(blocks)
