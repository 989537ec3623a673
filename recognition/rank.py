"""Verified matches -> the answer: landmarks with confidence and place, or "unknown" when nothing passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recognition.confidence import Calibration
from recognition.profiles import RankParams
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
    """An index image that was considered, best first; ``refused`` says why it does not count.

    ``correspondences``: (y, x) in the query and (y, x) in the index image, original pixels, one row per inlier.
    """

    landmark: str
    title: str
    image: str
    matches: int
    inliers: int
    score: float
    confidence: float
    transform: list[list[float]] | None
    box: Box | None
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
) -> Recognition:
    """Name the landmark whose best image has the highest score, if its confidence reaches the threshold.

    The best image, not the sum over a landmark's images: measured better, and a landmark with many photographs
    in the index gets no head start.

    Args:
        verified: as :func:`recognition.verify.verify` gives them. features: number of the query's features.
    """
    ordered = sorted(verified, key=lambda match: (-match.score, -match.inliers))
    best = _best_per_landmark(ordered, index)
    confidence = {
        landmark: calibration.probability(match.score, _best_other(landmark, best)) for landmark, match in best.items()
    }
    named = [
        _landmark(match, index, confidence[landmark])
        for landmark, match in list(best.items())[:1]
        if match.score > 0 and confidence[landmark] >= params.threshold
    ]
    return Recognition(
        landmark=named[0] if named else None,
        landmarks=named,
        candidates=[_candidate(m, index, confidence) for m in ordered[: params.max_candidates]],
        reason=None if named else _reason(features, ordered, confidence, params),
        index_generation=index.generation,
        extractor=index.fingerprint,
        timings_ms={},
    )


def _best_per_landmark(ordered: Sequence[VerifiedMatch], index: Index) -> dict[int, VerifiedMatch]:
    best: dict[int, VerifiedMatch] = {}
    for match in ordered:
        best.setdefault(int(index.landmark_of[match.image]), match)
    return best


def _best_other(landmark: int, best: dict[int, VerifiedMatch]) -> float:
    return next((match.score for other, match in best.items() if other != landmark), 0.0)


def _landmark(match: VerifiedMatch, index: Index, confidence: float) -> RankedLandmark:
    landmark = index.landmark(int(index.landmark_of[match.image]))
    return RankedLandmark(
        id=landmark.id,
        title=landmark.title,
        confidence=round(confidence, 4),
        inliers=match.inliers,
        box=_rounded_box(match),
        latitude=landmark.latitude,
        longitude=landmark.longitude,
        metadata=dict(landmark.metadata),
    )


def _candidate(match: VerifiedMatch, index: Index, confidence: dict[int, float]) -> RankedCandidate:
    ordinal = int(index.landmark_of[match.image])
    landmark = index.landmark(ordinal)
    return RankedCandidate(
        landmark=landmark.id,
        title=landmark.title,
        image=index.image(match.image).name,
        matches=match.matches,
        inliers=match.inliers,
        score=round(match.score, 3),
        confidence=round(confidence[ordinal], 4) if match.score > 0 else 0.0,
        transform=None if match.transform is None else [[round(v, 6) for v in row] for row in match.transform.tolist()],
        box=_rounded_box(match),
        refused=match.refused,
        correspondences=[[round(v, 1) for v in pair] for pair in match.pairs.tolist()],
    )


def _rounded_box(match: VerifiedMatch) -> Box | None:
    if match.box is None:
        return None
    top, left, bottom, right = (round(side, 1) for side in match.box)
    return top, left, bottom, right


def _reason(
    features: int, ordered: Sequence[VerifiedMatch], confidence: dict[int, float], params: RankParams
) -> dict[str, str]:
    """Why the answer is "unknown"."""
    if not features:
        return {"code": "no_features", "message": "the photograph shows no feature to match: it is blank or blurred"}
    if not any(match.score > 0 for match in ordered):
        return {"code": "no_match", "message": f"none of {len(ordered)} candidates passed the geometric verification"}
    return {
        "code": "low_confidence",
        "message": f"the best candidate has confidence {max(confidence.values()):.2f}, below {params.threshold:g}",
    }


def _plain(value: Any) -> Any:
    """Dataclasses, tuples and lists as JSON knows them (``dataclasses.asdict`` would keep the tuples)."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
