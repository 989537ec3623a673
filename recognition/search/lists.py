"""Inverted lists: descriptors grouped around centroids, so that a query is compared with the nearest groups only.

As the coarse quantiser of "Video Google" (Sivic and Zisserman, ICCV 2003) and of IVF indexes (Jégou et al., PAMI 2011),
with spherical k-means (Dhillon and Modha, 2001). Within a list nothing is compressed: what is stored are row numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.features import Float32
from recognition.search.base import Int64

Int32 = npt.NDArray[np.int32]

# Fewer descriptors are compared in less time than it takes to choose among them.
LEAST = 20_000
# About the mean length of a list: shorter ones cost more calls, longer ones more comparisons for the same recall.
LENGTH = 400
_SAMPLED = 64  # descriptors per centroid that k-means sees
_ITERATIONS = 10
_CHUNK = 8_192


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Inverted lists of float32 [n, d] descriptors.

    Attributes:
        centroids: float32 [l, d], unit vectors.
        ends: int64 [l], accumulated lengths: list i is order[ends[i - 1] (0 for i = 0) : ends[i]].
        order: int32 [n], every row once, ascending within a list.
    """

    centroids: Float32
    ends: Int64
    order: Int32

    def rows(self, i: int) -> Int32:
        """int32: the rows of list ``i``."""
        return self.order[self.ends[i - 1] if i else 0 : self.ends[i]]


def make_lists(descriptors: Float32, *, length: int = LENGTH) -> Lists:
    """Group float32 [n, d] unit vectors, n > 0, in lists of about ``length`` rows: the same for the same input."""
    rng = np.random.default_rng(0)
    count = max(1, len(descriptors) // length)
    sample = descriptors[np.sort(rng.choice(len(descriptors), min(len(descriptors), count * _SAMPLED), replace=False))]
    centroids = _spherical_k_means(sample, sample[rng.choice(len(sample), count, replace=False)])
    owner = _nearest_centroid(descriptors, centroids)
    ends = np.cumsum(np.bincount(owner, minlength=count), dtype=np.int64)
    return Lists(centroids, ends, np.argsort(owner, kind="stable").astype(np.int32))


def _spherical_k_means(sample: Float32, centroids: Float32) -> Float32:
    """float32 [l, d]: Lloyd's iterations from the given centroids; one without descriptors stays where it is."""
    for _ in range(_ITERATIONS):
        sums = np.zeros_like(centroids)
        np.add.at(sums, _nearest_centroid(sample, centroids), sample)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        centroids = np.where(norms > 0, sums / np.maximum(norms, np.finfo(np.float32).tiny), centroids)
    return centroids


def _nearest_centroid(descriptors: Float32, centroids: Float32) -> Int64:
    """int64 [n]: the most similar centroid of each descriptor."""
    chunks = range(0, len(descriptors), _CHUNK)
    return np.concatenate([(descriptors[i : i + _CHUNK] @ centroids.T).argmax(axis=1) for i in chunks])
