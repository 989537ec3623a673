"""The whole pipeline in one process: what the three stages do together, without a queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from recognition import confidence
from recognition.extractors.base import Extractor, Image, TurningExtractor
from recognition.features import Features
from recognition.images import ImageLimits, crop_square, decode
from recognition.match import Candidates, match
from recognition.profiles import DEFAULT, ExtractParams, Profile
from recognition.rank import Recognition, rank
from recognition.search import Searcher, make_searcher
from recognition.verify import verify

if TYPE_CHECKING:
    from recognition.index.store import Index

T = TypeVar("T")


def extract(image: Image, extractor: Extractor, params: ExtractParams) -> Features:
    """Features of one decoded image (uint8 [h, w, 3] RGB), locations in its own pixels even if cropped or turned."""
    return extract_all([image], extractor, params)[0]


def extract_all(images: Sequence[Image], extractor: Extractor, params: ExtractParams) -> list[Features]:
    """As :func:`extract`, of several images, in their order; those of one bucket share the network's calls."""
    run = extractor.extract
    if params.turn and isinstance(extractor, TurningExtractor):
        run = extractor.extract_upright
    if not params.crop:
        return run(images, max_features=params.max_features)
    found = run([crop_square(image, params.crop) for image in images], max_features=params.max_features)
    return [_uncropped(features, image, params.crop) for features, image in zip(found, images, strict=True)]


def _uncropped(features: Features, image: Image, crop: int) -> Features:
    """Features of an image from those of its centred square, which was resized to ``crop`` pixels."""
    height, width = image.shape[:2]
    scale = min(height, width) / crop
    offset = np.array([(height - min(height, width)) / 2, (width - min(height, width)) / 2], np.float32)
    return replace(
        features,
        locations=(features.locations * np.float32(scale) + offset).astype(np.float32),
        scales=(features.scales * np.float32(scale)).astype(np.float32),
        image_size=(height, width),
    )


def verify_and_rank(features: Features, candidates: Candidates, index: Index, profile: Profile) -> Recognition:
    """The third stage: geometric verification of every candidate, then the answer."""
    embedder = index.embedder if candidates.similarities is not None else ""
    return rank(
        verify(features, candidates, index, profile.verify),
        index,
        features=len(features),
        calibration=confidence.load(index.fingerprint, embedder, profile.rank.calibration, profile.name),
        params=profile.rank,
        similarities=candidates.similarities,
    )


def recognize(
    photo: bytes,
    *,
    extractor: Extractor,
    index: Index,
    searcher: Searcher | None = None,
    profile: Profile = DEFAULT,
    limits: ImageLimits | None = None,
) -> Recognition:
    """Recognise the landmark in one photograph.

    Args:
        photo: an image file's bytes. searcher: made from the index when None; keep it for the next photograph.

    Raises:
        ImageError: the photograph can't be used. FingerprintMismatch: the index is another extractor's.
    """
    searcher = searcher or make_searcher(index.parts, profile.match.method)
    timings: dict[str, float] = {}
    image = _timed(timings, "decode", lambda: decode(photo, limits or ImageLimits()))
    features = _timed(timings, "extract", lambda: extract(image, extractor, profile.extract))
    candidates = _timed(timings, "match", lambda: match(features, index, searcher, profile.match))
    answer = _timed(timings, "verify", lambda: verify_and_rank(features, candidates, index, profile))
    return replace(answer, timings_ms=timings)


def _timed(timings: dict[str, float], stage: str, run: Callable[[], T]) -> T:
    start = time.perf_counter()
    result = run()
    timings[stage] = round((time.perf_counter() - start) * 1000, 1)
    return result
