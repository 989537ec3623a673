"""Which of an image's keypoints to keep: the best of each part of it first, then the best that are left.

The best alone crowd where the texture is: one facade, or the crowd before it, takes them all, and the tower beside it
is never seen again. Spreading them is an old remedy (Brown, Szeliski and Winder, "Multi-image matching using
multi-scale oriented patches", CVPR 2005); a quota per cell is its simplest form.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CELLS = 8  # along the longer side
SHARE = 0.5  # of the features, in [0, 1], goes to the cells in equal parts
POOL = 5  # times as many as are kept: weaker ones are sky and noise, wherever they are


def spread(locations: npt.NDArray[np.float32], size: tuple[int, int], count: int) -> npt.NDArray[np.int64]:
    """Rows of the keypoints to keep, ascending: all of them when they are no more than ``count``.

    Args:
        locations: float32 [n, 2], (y, x) in pixels, best first; those behind the first ``POOL * count`` are not kept.
        size: (height, width) of the image, pixels.
        count: >= 0, how many to keep.
    """
    if len(locations) <= count:
        return np.arange(len(locations))
    cell = np.floor(locations[: POOL * count] * (CELLS / max(size))).astype(np.int64)
    place = _place_in_cell(cell[:, 0] * (CELLS + 1) + cell[:, 1])
    occupied = int((place == 0).sum())
    first = place < int(count * SHARE) // max(1, occupied)
    rest = np.flatnonzero(~first)[: count - int(first.sum())]
    return np.sort(np.concatenate((np.flatnonzero(first), rest)))


def _place_in_cell(cell: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many before each are in the same cell, int64 [n]."""
    order = np.argsort(cell, kind="stable")
    _, starts, counts = np.unique(cell[order], return_index=True, return_counts=True)
    place = np.empty(len(cell), np.int64)
    place[order] = np.arange(len(cell)) - np.repeat(starts, counts)
    return place
