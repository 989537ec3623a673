"""All distances by small matrix products: |a - b|^2 = 2 - 2ab for unit vectors; never a whole N x M matrix.

Nearly all similarities are below every bound, so most of the work after a product is to see that there is nothing to
do: one maximum per query and tile. Only where it is above the bound are single similarities looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from recognition.features import Float32
from recognition.search.base import Blocks, Int64, nearest

# Similarities of one tile, 1 MiB of float32: they are read again before they leave the core's cache.
TILE = 2**18
# Rounding of a product, with room: what this lets through too much is measured exactly afterwards.
ROUNDING = 1e-5


class ExactSearcher:
    """Every descriptor is compared with every query, by BLAS, where it lies."""

    def __init__(self, arrays: Sequence[Float32]) -> None:
        self._blocks = Blocks(arrays)

    def search(self, queries: Float32, *, k: int, max_distance: float) -> tuple[Float32, Int64]:
        best = _Nearest(self._blocks, queries, k, max_distance)
        columns = np.ascontiguousarray(queries.T)
        height = max(1, TILE // max(1, len(queries)))
        tile = np.empty((height, len(queries)), np.float32)
        for first_row, rows in _slices(self._blocks.arrays, height):
            best.offer(np.matmul(rows, columns, out=tile[: len(rows)]), first_row)
        return best.settle()


def _slices(arrays: Sequence[Float32], height: int) -> Iterator[tuple[int, Float32]]:
    """Pieces of at most ``height`` rows, each with the number of its first row."""
    first = 0
    for array in arrays:
        plain = np.asarray(array)  # a slice of a memmap costs several times as much
        for start in range(0, len(plain), height):
            yield first + start, plain[start : start + height]
        first += len(plain)


class _Nearest:
    """The k nearest rows of each query among those offered so far, and those that may yet be."""

    def __init__(self, blocks: Blocks, queries: Float32, k: int, max_distance: float) -> None:
        self._blocks = blocks
        self._queries = queries
        self._k = k
        self._max_distance = max_distance
        self._floor = np.full(len(queries), 1 - max_distance**2 / 2 - ROUNDING, np.float32)
        none = np.empty(0, np.int64)
        self._pending: list[tuple[Int64, Int64]] = [(none, none)]
        # Above this many pairs the k nearest are picked, which raises the bounds.
        self._room = 4 * k * len(queries)

    def offer(self, similarity: Float32, first_row: int) -> None:
        """Consider float32 [b, queries] similarities to the rows ``first_row ...``."""
        query = np.flatnonzero(similarity.max(axis=0, initial=-1) > self._floor)
        if not len(query):
            return
        row, which = np.nonzero(similarity[:, query] > self._floor[query])
        self._pending.append((query[which], row + first_row))
        if sum(len(rows) for _, rows in self._pending) > self._room:
            self.settle()

    def settle(self) -> tuple[Float32, Int64]:
        """Keep the k nearest of each query and forget the others."""
        query, rows = (np.concatenate(parts) for parts in zip(*self._pending, strict=True))
        distances, found = nearest(self._blocks, self._queries, query, rows, k=self._k, max_distance=self._max_distance)
        query, rank = np.nonzero(np.isfinite(distances))
        self._pending = [(query, found[query, rank])]
        # Equal distances pass, and are told apart by their rows.
        farthest = np.minimum(distances[:, -1], self._max_distance)
        self._floor = (1 - farthest**2 / 2 - ROUNDING).astype(np.float32)
        return distances, found
