"""Geometric verification: which putative matches of a candidate agree on one affine transform, index -> query.

Two methods: ``skimage``, exactly as the origin (``skimage.measure.ransac`` with ``AffineTransform``), and ``fast``
(OpenCV's ``estimateAffine2D``, a thousand times faster, inlier counts within 3 of 1,000 from 30 % inliers up).
RANSAC: Fischler and Bolles, "Random sample consensus", CACM 1981.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recognition.features import Features, Float32
from recognition.match import Candidates, Int32, Int64
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
        return _box(self.pairs[:, :2])

    @property
    def index_box(self) -> tuple[float, float, float, float] | None:
        """(top, left, bottom, right) around the inliers in the index image, original pixels."""
        return _box(self.pairs[:, 2:])


def _box(locations: Float32) -> tuple[float, float, float, float] | None:
    if not len(locations):
        return None
    top, left = (float(side) for side in locations.min(axis=0))
    bottom, right = (float(side) for side in locations.max(axis=0))
    return top, left, bottom, right


@dataclass(frozen=True, slots=True, eq=False)
class Putative:
    """The putative matches of a query with some pictures, as many as there are.

    Attributes:
        query, index: float32 [p, 2], (y, x) in original pixels of either picture.
        weights: float32 [p], how much each match counts in the score.
        boundaries: int64 [c], accumulated: picture i owns the matches b[i-1] .. b[i].
        query_size: (height, width) of the query's original, pixels. index_sizes: int32 [c, 2], of each picture's.
    """

    query: Float32
    index: Float32
    weights: Float32
    boundaries: Int64
    query_size: tuple[int, int]
    index_sizes: Int32

    @property
    def counts(self) -> Int64:
        """int64 [c]: number of putative matches of each picture."""
        return np.diff(self.boundaries, prepend=0)


def verify(features: Features, candidates: Candidates, index: Index, params: VerifyParams) -> list[VerifiedMatch]:
    """Verify every candidate; same order, one result each. Deterministic: seeds come from the locations."""
    images = np.repeat(candidates.images, np.diff(candidates.boundaries, prepend=0))
    putative = Putative(
        features.locations[candidates.query_rows],
        index.locations_at(images, candidates.index_rows),
        candidates.weights,
        candidates.boundaries,
        features.image_size,
        index.sizes(candidates.images),
    )
    return verify_matches(putative, params, candidates.images.tolist())


def verify_matches(putative: Putative, params: VerifyParams, images: Sequence[int] = (0,)) -> list[VerifiedMatch]:
    """Verify the putative matches with each picture, in order. images: [c], what the results call the pictures.

    All but RANSAC itself is done for all pictures at once: done for each, it took longer than RANSAC does.
    """
    counts = putative.counts
    owner = np.repeat(np.arange(len(counts)), counts)
    to_query = _frame_scale(np.array(putative.query_size), params)
    to_index = _frame_scale(putative.index_sizes, params)
    source, target = putative.index * to_index[owner, None], putative.query * to_query
    models, inlier, refused = _models(source, target, putative.boundaries, params)
    if params.check_model:
        refused = [
            reason or worse for reason, worse in zip(refused, _degenerate(models[:, :, :2], params), strict=True)
        ]
        inlier &= np.array([reason is None for reason in refused], np.bool_)[owner]
    kept = np.flatnonzero(inlier)
    inliers = np.bincount(owner[kept], minlength=len(counts))
    scores = effective_inliers(
        target[kept], source[kept], putative.weights[kept], owner[kept], len(counts), params.cell
    )
    transforms = np.concatenate((models[:, :, :2] * to_index[:, None, None], models[:, :, 2:]), axis=2) / to_query
    pairs, ends = np.hstack((putative.query[kept], putative.index[kept])), np.cumsum(inliers)
    mine = [pairs[start:end] for start, end in zip((ends - inliers).tolist(), ends.tolist(), strict=True)]
    columns = (images, counts.tolist(), inliers.tolist(), scores.tolist(), transforms, mine, refused)
    return [
        VerifiedMatch(image, matches, agreed, score, None if reason else transform, rows, reason)
        for image, matches, agreed, score, transform, rows, reason in zip(*columns, strict=True)
    ]


def effective_inliers(
    query: Float32, index: Float32, weights: Float32, owner: Int64, count: int, cell: float
) -> Float64:
    """Inliers counted by their spread: the best weight of each occupied cell, summed in the picture with fewer.

    Args:
        query, index: float32 [m, 2], frame pixels. weights: float32 [m]. cell: side in pixels; 0: all count fully.
        owner: int64 [m] in [0, count), ascending: the pair of pictures that each inlier belongs to.

    Returns:
        float64 [count].
    """
    if not cell:
        return np.bincount(owner, minlength=count).astype(np.float64)
    return np.minimum(*(_spread(places, weights, owner, count, cell) for places in (query, index)))


def _spread(locations: Float32, weights: Float32, owner: Int64, count: int, cell: float) -> Float64:
    cells = (locations // cell).astype(np.int64)
    keys = np.column_stack((owner, cells))
    order = np.lexsort((weights, cells[:, 1], cells[:, 0], owner))
    keys = keys[order]
    # The last one of a cell is its best. Sums of so many float32 numbers are exact in float64, in any order.
    best = order[np.append((keys[1:] != keys[:-1]).any(axis=1), True)] if len(order) else order
    return np.asarray(np.bincount(owner[best], weights=weights[best], minlength=count), np.float64)


def _frame_scale(sizes: npt.NDArray[Any], params: VerifyParams) -> Float32:
    """float32 [...]: frame pixels per original pixel of pictures of these (height, width), [..., 2]."""
    which, length = params.frame
    sides = sizes.max(axis=-1) if which == "long" else sizes.min(axis=-1)
    return np.asarray(length / sides, np.float32)


def _models(
    source: Float32, target: Float32, boundaries: Int64, params: VerifyParams
) -> tuple[Float64, Bool, list[str | None]]:
    """The transform of each picture, and which matches agree on it.

    Returns:
        models float64 [c, 2, 3] in frame pixels (zeros: none found), bool [p], and [c] why there is none.
    """
    find = METHODS[params.method]
    models = np.zeros((len(boundaries), 2, 3))
    inlier = np.zeros(len(source), np.bool_)
    refused: list[str | None] = [None] * len(boundaries)
    start = 0
    for i, end in enumerate(boundaries.tolist()):
        rows, start = slice(start, end), end
        if end - rows.start < params.min_matches:
            refused[i] = "too_few_matches"
        elif (found := find(source[rows], target[rows], params)) is None:
            refused[i] = "no_model"
        else:
            models[i], inlier[rows] = found
    return models, inlier, refused


def _degenerate(linear: Float64, params: VerifyParams) -> list[str | None]:
    """Why each of float64 [c, 2, 2] linear parts is no view of the same facade, or None when it may be."""
    smallest, largest = np.linalg.svd(linear, compute_uv=False)[:, ::-1].T
    mirrored = np.linalg.det(linear) <= 0
    scaled = (smallest < params.min_scale) | (largest > params.max_scale)
    sheared = largest > params.max_shear * smallest
    reasons = np.select([mirrored, scaled, sheared], ["mirrored", "scale", "shear"], "")
    return [reason or None for reason in reasons.tolist()]


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
