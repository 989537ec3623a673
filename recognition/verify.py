"""Geometric verification: which putative matches of a candidate agree on one affine transform, index -> query.

Two methods: ``skimage``, exactly as the origin (``skimage.measure.ransac`` with ``AffineTransform``), and ``fast``
(OpenCV's ``estimateAffine2D``, a thousand times faster, inlier counts within 1 of it from 30 % inliers up).
RANSAC: Fischler and Bolles, "Random sample consensus", CACM 1981.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recognition.features import Features, Float32
from recognition.match import Candidates
from recognition.profiles import VerifyParams

if TYPE_CHECKING:
    from recognition.index.store import Index

Bool = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]
Model = tuple[Float64, Bool]


@dataclass(frozen=True, slots=True, eq=False)
class VerifiedMatch:
    """One candidate after verification.

    Attributes:
        image: ordinal of the index image.
        matches: number of putative matches.
        inliers: number of them that agree on the transform; 0 when refused.
        score: "effective inliers" >= 0: inliers counted once per cell of either picture, each by its rarity.
        transform: float64 [2, 3], (y, x, 1) in the index image -> (y, x) in the query, original pixels; or None.
        pairs: float32 [inliers, 4], (y, x) in the query and (y, x) in the index image, original pixels.
        refused: why it does not count ("too_few_matches", "no_model", "mirrored", "scale", "shear"), or None.
    """

    image: int
    matches: int
    inliers: int
    score: float
    transform: Float64 | None
    pairs: Float32
    refused: str | None = None

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """(top, left, bottom, right) around the inliers in the query, original pixels."""
        if not len(self.pairs):
            return None
        top, left = (float(side) for side in self.pairs[:, :2].min(axis=0))
        bottom, right = (float(side) for side in self.pairs[:, :2].max(axis=0))
        return top, left, bottom, right


def verify(features: Features, candidates: Candidates, index: Index, params: VerifyParams) -> list[VerifiedMatch]:
    """Verify every candidate; same order, one result each. Deterministic: seeds come from the locations."""
    verified = []
    for i, image in enumerate(candidates.images.tolist()):
        rows = candidates.rows(i)
        verified.append(
            verify_pair(
                features.locations[candidates.query_rows[rows]],
                index.locations(image)[candidates.index_rows[rows]],
                candidates.weights[rows],
                query_size=features.image_size,
                index_size=index.image(image).size,
                params=params,
                image=image,
            )
        )
    return verified


def verify_pair(
    query: Float32,
    index: Float32,
    weights: Float32,
    *,
    query_size: tuple[int, int],
    index_size: tuple[int, int],
    params: VerifyParams,
    image: int = 0,
) -> VerifiedMatch:
    """Verify the putative matches between two pictures.

    Args:
        query, index: float32 [m, 2], (y, x) in original pixels of either picture.
        weights: float32 [m], how much each match counts in the score.
        query_size, index_size: (height, width) of the originals, pixels.
    """
    if len(query) < params.min_matches:
        return _refused(image, len(query), "too_few_matches")
    to_query, to_index = (_frame_scale(size, params.frame) for size in (query_size, index_size))
    source, target = index * to_index, query * to_query
    found = METHODS[params.method](source, target, params)
    if found is None:
        return _refused(image, len(query), "no_model")
    model, inliers = found
    reason = _degenerate(model[:, :2], params) if params.check_model else None
    if reason:
        return _refused(image, len(query), reason)
    return VerifiedMatch(
        image=image,
        matches=len(query),
        inliers=int(inliers.sum()),
        score=effective_inliers(target[inliers], source[inliers], weights[inliers], params.cell),
        transform=np.column_stack((model[:, :2] * to_index, model[:, 2])) / to_query,
        pairs=np.hstack((query[inliers], index[inliers])),
    )


def effective_inliers(query: Float32, index: Float32, weights: Float32, cell: float) -> float:
    """Inliers counted by their spread: the best weight of each occupied cell, summed in the picture with fewer.

    Args:
        query, index: float32 [m, 2], frame pixels. weights: float32 [m]. cell: side in pixels; 0: all count fully.
    """
    if not cell:
        return float(len(query))
    return min(_spread(query, weights, cell), _spread(index, weights, cell))


def _spread(locations: Float32, weights: Float32, cell: float) -> float:
    cells = (locations // cell).astype(np.int64)
    _, owner = np.unique(cells[:, 0] * 2**32 + cells[:, 1], return_inverse=True)
    best = np.zeros(len(locations))
    np.maximum.at(best, owner, weights)
    return float(best.sum())


def _refused(image: int, matches: int, reason: str) -> VerifiedMatch:
    return VerifiedMatch(image, matches, 0, 0.0, None, np.empty((0, 4), np.float32), reason)


def _frame_scale(size: tuple[int, int], frame: tuple[str, int]) -> np.float32:
    side = max(size) if frame[0] == "long" else min(size)
    return np.float32(frame[1] / side)


def _degenerate(linear: Float64, params: VerifyParams) -> str | None:
    """Why a float64 [2, 2] linear part is no view of the same facade, or None when it may be."""
    if np.linalg.det(linear) <= 0:
        return "mirrored"
    largest, smallest = np.linalg.svd(linear, compute_uv=False)
    if smallest < params.min_scale or largest > params.max_scale:
        return "scale"
    return "shear" if largest > params.max_shear * smallest else None


def _fast(source: Float32, target: Float32, params: VerifyParams) -> Model | None:
    import cv2

    # OpenCV seeds its generator anew in every call: the same matches give the same model on any machine.
    model, inliers = cv2.estimateAffine2D(
        source,
        target,
        method=cv2.RANSAC,
        ransacReprojThreshold=params.residual,
        maxIters=params.max_trials,
        confidence=0.999,
        refineIters=0,
    )
    if model is None:
        return None
    return np.asarray(model, np.float64), np.asarray(inliers).ravel() > 0


def _skimage(source: Float32, target: Float32, params: VerifyParams) -> Model | None:
    from skimage.measure import ransac
    from skimage.transform import AffineTransform

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "No inliers found": told by the answer
        model, inliers = ransac(
            (source, target),
            AffineTransform,
            min_samples=3,
            residual_threshold=params.residual,
            max_trials=params.max_trials,
            rng=ransac_seed(source, target),
        )
    if inliers is None or not inliers.any():
        return None
    return np.asarray(model.params[:2], np.float64), np.asarray(inliers, np.bool_)


def ransac_seed(source: Float32, target: Float32) -> int:
    """The seed comes from the content: the same matches are verified the same way on every worker."""
    return zlib.crc32(target.tobytes(), zlib.crc32(source.tobytes()))


METHODS: dict[str, Callable[[Float32, Float32, VerifyParams], Model | None]] = {"fast": _fast, "skimage": _skimage}
