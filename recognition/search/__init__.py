"""Descriptors -> nearest neighbours: ``kdtree`` (the origin's), ``exact`` (BLAS), ``auto`` (by measured size)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from recognition.features import Float32
from recognition.search.base import Searcher
from recognition.search.exact import ExactSearcher
from recognition.search.kdtree import KDTreeSearcher

__all__ = ["ExactSearcher", "KDTreeSearcher", "Method", "Searcher", "make_searcher"]

Method = Literal["auto", "kdtree", "exact"]

# Where `exact` overtakes the KD-tree in 40 dimensions: a single photograph's worth (docs/architecture.md, "Search").
KDTREE_MAX_DESCRIPTORS = 1_000


def make_searcher(blocks: Sequence[Float32], method: Method = "auto") -> Searcher:
    """The searcher for float32 [n_i, d] blocks of descriptors; ``auto`` picks by their number."""
    count = sum(len(block) for block in blocks)
    if method == "kdtree" or (method == "auto" and count <= KDTREE_MAX_DESCRIPTORS):
        return KDTreeSearcher(blocks)
    return ExactSearcher(blocks)
