"""All distances by small matrix products: |a - b|^2 = 2 - 2ab for unit vectors; never a whole N x M matrix.

Nearly all similarities are below every bound, so most of the work after a product is to see that there is nothing to
do: one maximum per query and tile. Only where it is above the bound are single similarities looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from recognition.blas import one_thread
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
        best = Nearest(self._blocks, queries, k, max_distance)
        with one_thread():
            offer_all(best, queries, self._blocks.arrays, 0)
        return best.settle()


def offer_all(best: Nearest, queries: Float32, arrays: Sequence[Float32], first: int) -> None:
    """Compare every descriptor of the arrays, whose rows are ``first ...``, with every query."""
    columns = np.ascontiguousarray(queries.T)
    height = max(1, TILE // max(1, len(queries)))
    tile = np.empty((height, len(queries)), np.float32)
    for array in arrays:
        plain = np.asarray(array)  # a slice of a memmap costs several times as much
        for start in range(0, len(plain), height):
            rows = plain[start : start + height]
            best.offer(np.matmul(rows, columns, out=tile[: len(rows)]), partial(np.add, first + start))
        first += len(plain)


class Nearest:
    """The k nearest rows of each query among those offered so far, and those that may yet be."""

    def __init__(self, blocks: Blocks, queries: Float32, k: int, max_distance: float) -> None:
        self._blocks = blocks
        self._queries = queries
        self._k = k
        self._max_distance = max_distance
        self._everyone = np.arange(len(queries))
        self._floor = np.full(len(queries), 1 - max_distance**2 / 2 - ROUNDING, np.float32)
        none = np.empty(0, np.int64)
        self._pending: list[tuple[Int64, Int64]] = [(none, none)]
        self._waiting = 0
        # Above this many pairs the k nearest are picked, which raises the bounds.
        self._room = 4 * k * len(queries)

    def offer(
        self,
        similarity: Float32,
        number: Callable[[Int64], Int64],
        queries: npt.NDArray[np.intp] | None = None,
    ) -> None:
        """Consider float32 [b, q] similarities of b rows and some queries, no pair twice.

        Args:
            number: tells int64 rows of the index (-1: none) from rows of ``similarity``.
            queries: int64 [q]: which queries; None: all.
        """
        queries = self._everyone if queries is None else queries
        floor = self._floor[queries]
        hot = np.flatnonzero(similarity.max(axis=0, initial=-1) > floor)
        if not len(hot):
            return
        row, which = np.nonzero(similarity[:, hot] > floor[hot])
        rows, query = number(row), queries[hot[which]]
        self._pending.append((query[rows >= 0], rows[rows >= 0]))
        self._waiting += len(rows)
        if self._waiting > self._room:
            self.settle()

    def settle(self) -> tuple[Float32, Int64]:
        """Keep the k nearest of each query and forget the others; distances and rows as a searcher answers."""
        query, rows = (np.concatenate(parts) for parts in zip(*self._pending, strict=True))
        distances, found = nearest(self._blocks, self._queries, query, rows, k=self._k, max_distance=self._max_distance)
        query, rank = np.nonzero(np.isfinite(distances))
        self._pending, self._waiting = [(query, found[query, rank])], 0
        # Equal distances pass, and are told apart by their rows.
        farthest = np.minimum(distances[:, -1], self._max_distance)
        self._floor = (1 - farthest**2 / 2 - ROUNDING).astype(np.float32)
        return distances, found
