"""Approximate search: each query is compared with the descriptors of the nearest inverted lists, exactly.

Queries are not asked one by one: for each list, all queries that probe it are compared with it in one matrix product.
A photograph has a thousand of them, so that every product is worth its call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from recognition.blas import one_thread
from recognition.features import Float32
from recognition.search.base import Blocks, Int64
from recognition.search.exact import Nearest, offer_all
from recognition.search.lists import LEAST, Int32, Lists
from recognition.search.part import Part

# Share of the lists that a query is compared with: docs/architecture.md, "Search", has the recall of others.
PROBED = 0.15


class AnnSearcher:
    """A share of the inverted lists of every part that has them, all descriptors of the others.

    Args:
        parts: in the order of the index's rows. probed: in (0, 1].
    """

    def __init__(self, parts: Sequence[Part], *, probed: float = PROBED) -> None:
        self._blocks = Blocks([array for part in parts for array in part.arrays])
        self._parts = parts
        self._probed = probed

    @property
    def unlisted(self) -> int:
        """Number of descriptors that are compared one and all though there are enough of them for lists."""
        sizes = (len(part.descriptors) for part in self._parts if part.lists is None)
        return sum(size for size in sizes if size >= LEAST)

    def search(self, queries: Float32, *, k: int, max_distance: float) -> tuple[Float32, Int64]:
        best = Nearest(self._blocks, queries, k, max_distance)
        with one_thread():
            for part in self._parts:
                if part.lists is None:
                    offer_all(best, queries, part.arrays, part.first)
                else:
                    self._offer_probed(best, queries, part, part.lists)
        return best.settle()

    def _offer_probed(self, best: Nearest, queries: Float32, part: Part, lists: Lists) -> None:
        descriptors = np.asarray(part.descriptors)
        for i, query in _probes(queries, lists.centroids, self._probed):
            rows = lists.rows(i)
            if len(rows):
                # take() is twice as fast as an index in brackets
                similarity = descriptors.take(rows, axis=0) @ queries.take(query, axis=0).T
                best.offer(similarity, partial(_numbers, part, rows), query)


def _numbers(part: Part, rows: Int32, places: Int64) -> Int64:
    return part.numbers(rows[places].astype(np.int64))


def _probes(queries: Float32, centroids: Float32, share: float) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Each list that anybody probes, with the queries that do."""
    similarity = queries @ centroids.T
    skipped = min(len(centroids) - 1, round(len(centroids) * (1 - share)))
    least = np.partition(similarity, skipped, axis=1)[:, skipped, None]
    owner, query = np.nonzero((similarity >= least).T)
    ends = np.searchsorted(owner, np.arange(len(centroids)), side="right")
    for i, end in enumerate(ends):
        start = ends[i - 1] if i else 0
        if start < end:
            yield i, query[start:end]
