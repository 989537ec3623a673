"""What an index is searched in: the descriptors of one segment, where they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recognition.features import Float32
from recognition.search.base import Int64
from recognition.search.lists import Lists


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Descriptors that belong together, some of which may be no longer in the index.

    Attributes:
        descriptors: float32 [n, d], all of them.
        runs: int64 [r, 2], ascending: first row and end of what is in the index.
        first: the index's row that the first of those is.
        lists: of all n descriptors; None: there are none.
    """

    descriptors: Float32
    runs: Int64
    first: int = 0
    lists: Lists | None = None

    @property
    def arrays(self) -> list[Float32]:
        """float32 [n_i, d] each: what is in the index, in the order of its rows."""
        return [self.descriptors[start:end] for start, end in self.runs.tolist()]

    def numbers(self, rows: Int64) -> Int64:
        """int64 [c]: the index's rows that the given ones of ``descriptors`` are; -1: not in the index any more."""
        starts, ends = self.runs[:, 0], self.runs[:, 1]
        run = np.minimum(np.searchsorted(ends, rows, side="right"), len(self.runs) - 1)
        before = np.concatenate(([0], np.cumsum(ends - starts)))[run]
        inside = (rows >= starts[run]) & (rows < ends[run])
        return np.where(inside, self.first + before + rows - starts[run], -1)
