"""Descriptors -> nearest neighbours: ``kdtree`` as the origin, ``exact`` (BLAS), ``ann`` (inverted lists), ``auto``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from recognition.search.ann import AnnSearcher
from recognition.search.base import Searcher
from recognition.search.exact import ExactSearcher
from recognition.search.kdtree import KDTreeSearcher
from recognition.search.part import Part

__all__ = ["AnnSearcher", "ExactSearcher", "KDTreeSearcher", "Method", "Part", "Searcher", "make_searcher"]

Method = Literal["auto", "kdtree", "exact", "ann"]

# Where `exact` overtakes the KD-tree in 40 dimensions: a single photograph's worth (docs/architecture.md, "Search").
KDTREE_MAX_DESCRIPTORS = 1_000
# Up to here a photograph is compared with everything in a third of a second; beyond, a few neighbours in a hundred
# are worth less than the time.
EXACT_MAX_DESCRIPTORS = 500_000


def make_searcher(parts: Sequence[Part], method: Method = "auto") -> Searcher:
    """The searcher for the parts of an index (``Index.parts``); ``auto`` picks by their number of descriptors.

    Parts without inverted lists are small, or older than these: ``ann`` compares everything in them.
    """
    arrays = [array for part in parts for array in part.arrays]
    if method == "auto":
        method = _by_size(sum(len(array) for array in arrays))
    if method == "kdtree":
        return KDTreeSearcher(arrays)
    return ExactSearcher(arrays) if method == "exact" else AnnSearcher(parts)


def _by_size(descriptors: int) -> Method:
    if descriptors <= KDTREE_MAX_DESCRIPTORS:
        return "kdtree"
    return "exact" if descriptors <= EXACT_MAX_DESCRIPTORS else "ann"
