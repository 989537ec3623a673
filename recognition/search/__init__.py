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

# Up to here a photograph is compared with everything in a third of a second; beyond, a few neighbours in a hundred
# are worth less than the time.
EXACT_MAX_DESCRIPTORS = 500_000


def make_searcher(parts: Sequence[Part], method: Method = "auto") -> Searcher:
    """The searcher for the parts of an index (``Index.parts``); ``auto`` picks by their number of descriptors.

    Parts without inverted lists are small, or older than these: ``ann`` compares everything in them.
    """
    arrays = [array for part in parts for array in part.arrays]
    if method == "kdtree":
        return KDTreeSearcher(arrays)
    few = sum(len(array) for array in arrays) <= EXACT_MAX_DESCRIPTORS
    return ExactSearcher(arrays) if method == "exact" or (method == "auto" and few) else AnnSearcher(parts)
