"""Verified matches -> scores: effective inliers, how similar the photographs are as a whole, what siblings say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.features import Float32
from recognition.profiles import RankParams
from recognition.verify import VerifiedMatch

if TYPE_CHECKING:
    from recognition.index.store import Index

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]


class Scored(NamedTuple):
    """A verified match with all that counts for it."""

    score: float
    similarity: float | None
    match: VerifiedMatch


def by_score(
    verified: Sequence[VerifiedMatch], similarities: Float32 | None, index: Index, params: RankParams
) -> list[Scored]:
    """Best first. What is similar as a whole needs fewer inliers, what is not, more; a landmark's images support
    each other: the query resembles several photographs of what it shows, and of anything else one by chance."""
    scores = np.array([match.score for match in verified], np.float64)
    if similarities is not None:
        scores = np.maximum(0, scores + params.similarity * similarities.astype(np.float64))
    landmarks = index.landmark_of[[match.image for match in verified]] if verified else np.empty(0, np.int32)
    scores += params.support * _best_sibling(scores, landmarks)
    found = [None] * len(verified) if similarities is None else similarities.tolist()
    scored = [Scored(*one) for one in zip(scores.tolist(), found, verified, strict=True)]
    return sorted(scored, key=lambda one: (-one.score, -one.match.inliers))


def _best_sibling(scores: Float64, landmarks: Int32) -> Float64:
    """For each image the best score of another one of its landmark, float64 [n]; 0 where there is none."""
    order = np.lexsort((-scores, landmarks))
    owner, ranked = landmarks[order], scores[order]
    _, first, count = np.unique(owner, return_index=True, return_counts=True)
    second = np.where(count > 1, ranked[np.minimum(first + 1, len(ranked) - 1)], 0.0)
    sibling = np.repeat(ranked[first], count)
    sibling[first] = second
    found = np.empty_like(scores)
    found[order] = sibling
    return found
