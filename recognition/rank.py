"""Verified matches -> the answer: landmarks with confidence and place, or "unknown" when nothing passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recognition.confidence import Calibration
from recognition.features import Float32
from recognition.profiles import RankParams
from recognition.score import Scored, by_score
from recognition.shown import shown, standing
from recognition.verify import VerifiedMatch

if TYPE_CHECKING:
    from recognition.index.store import Index

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class RankedLandmark:
    """A landmark named in the answer; ``box`` is (top, left, bottom, right) in original pixels of the query."""

    id: str
    title: str
    confidence: float
    inliers: int
    box: Box | None
    latitude: float | None
    longitude: float | None
    metadata: dict[str, str]


@dataclass(frozen=True)
class RankedCandidate:
    """An index image that was considered, best first; ``refused`` says why its geometry does not count.

    ``score``: effective inliers, and with embeddings ``RankParams.similarity`` times their cosine; >= 0. To that,
    ``RankParams.support`` times the best other image's of the same landmark.
    ``similarity``: that cosine, in [-1, 1]; None without embeddings.
    ``box``, ``index_box``: around the inliers in the query and in the index image, original pixels.
    ``correspondences``: (y, x) in the query and (y, x) in the index image, original pixels, one row per inlier.
    """

    landmark: str
    title: str
    image: str
    matches: int
    inliers: int
    score: float
    similarity: float | None
    confidence: float
    transform: list[list[float]] | None
    box: Box | None
    index_box: Box | None
    refused: str | None
    correspondences: list[list[float]] = field(repr=False)


@dataclass(frozen=True)
class Recognition:
    """The answer to one photograph. ``landmark`` is None for "unknown", and ``reason`` says why."""

    landmark: RankedLandmark | None
    landmarks: list[RankedLandmark]
    candidates: list[RankedCandidate]
    reason: dict[str, str] | None
    index_generation: int
    extractor: str
    timings_ms: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, the same from the CLI, HTTP and the Python client."""
        plain: dict[str, Any] = _plain(self)
        return plain


def rank(
    verified: Sequence[VerifiedMatch],
    index: Index,
    *,
    features: int,
    calibration: Calibration,
    params: RankParams,
    similarities: Float32 | None = None,
) -> Recognition:
    """Name the landmark whose best image has the highest score, if its confidence reaches the threshold, and others
    that the picture shows beside it.

    However similar as a whole, an image without more inliers than any three matches are names nothing: there would be
    nothing to show.
    The best image and a little of the second best, not the sum over a landmark's images: measured better, and a
    landmark with many photographs in the index gets no head start.

    Args:
        verified: as :func:`recognition.verify.verify` gives them. features: number of the query's features.
        similarities: float32 [len(verified)], as in :class:`recognition.match.Candidates`.
    """
    ordered = by_score(verified, similarities, index, params)
    best = _best_per_landmark(ordered, index)
    seen = shown(best, calibration, params)
    confidence = {landmark: standing(landmark, best, calibration) for landmark in best} | seen
    named = [_landmark(best[landmark].match, index, sure) for landmark, sure in seen.items()]
    # Whatever is named, the image that speaks for it is told of.
    images = {best[landmark].match.image for landmark in seen}
    told = [one for i, one in enumerate(ordered) if i < params.max_candidates or one.match.image in images]
    return Recognition(
        landmark=named[0] if named else None,
        landmarks=named,
        candidates=[_candidate(scored, index, confidence) for scored in told],
        reason=None if named else _reason(features, ordered, confidence, params),
        index_generation=index.generation,
        extractor=index.fingerprint,
        timings_ms={},
    )


def _best_per_landmark(ordered: Sequence[Scored], index: Index) -> dict[int, Scored]:
    best: dict[int, Scored] = {}
    for scored in ordered:
        best.setdefault(int(index.landmark_of[scored.match.image]), scored)
    return best


def _landmark(match: VerifiedMatch, index: Index, confidence: float) -> RankedLandmark:
    landmark = index.landmark(int(index.landmark_of[match.image]))
    return RankedLandmark(
        id=landmark.id,
        title=landmark.title,
        confidence=round(confidence, 4),
        inliers=match.inliers,
        box=_rounded(match.box),
        latitude=landmark.latitude,
        longitude=landmark.longitude,
        metadata=dict(landmark.metadata),
    )


def _candidate(scored: Scored, index: Index, confidence: dict[int, float]) -> RankedCandidate:
    match = scored.match
    ordinal = int(index.landmark_of[match.image])
    landmark = index.landmark(ordinal)
    return RankedCandidate(
        landmark=landmark.id,
        title=landmark.title,
        image=index.image(match.image).name,
        matches=match.matches,
        inliers=match.inliers,
        score=round(scored.score, 3),
        similarity=None if scored.similarity is None else round(scored.similarity, 3),
        confidence=round(confidence[ordinal], 4) if scored.score > 0 else 0.0,
        transform=None if match.transform is None else [[round(v, 6) for v in row] for row in match.transform.tolist()],
        box=_rounded(match.box),
        index_box=_rounded(match.index_box),
        refused=match.refused,
        correspondences=[[round(v, 1) for v in pair] for pair in match.pairs.tolist()],
    )


def _rounded(box: Box | None) -> Box | None:
    if box is None:
        return None
    top, left, bottom, right = (round(side, 1) for side in box)
    return top, left, bottom, right


def _reason(
    features: int, ordered: Sequence[Scored], confidence: dict[int, float], params: RankParams
) -> dict[str, str]:
    """Why the answer is "unknown"."""
    if not features:
        return {"code": "no_features", "message": "the photograph shows no feature to match: it is blank or blurred"}
    if not any(scored.match.score > 0 for scored in ordered):
        return {"code": "no_match", "message": f"none of {len(ordered)} candidates passed the geometric verification"}
    if max(confidence.values()) >= params.threshold:
        return {"code": "no_match", "message": "the most similar index photograph has no geometry in common with this"}
    return {
        "code": "low_confidence",
        "message": f"the best candidate has confidence {max(confidence.values()):.2f}, below {params.threshold:g}",
    }


def _plain(value: Any) -> Any:
    """Dataclasses and tuples as JSON knows them (``dataclasses.asdict`` keeps the tuples and copies every number)."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list) and value and hasattr(value[0], "__dataclass_fields__"):
        return [_plain(item) for item in value]
    return list(value) if isinstance(value, tuple) else value
