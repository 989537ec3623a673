"""The engine in this process, as the settings have it: for ``recognize``, ``match`` and ``index``."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landmarq.environment import load_extractor
from landmarq.photo import Photo, read_photo
from workers.engine import limits, make_extractor, profile

if TYPE_CHECKING:
    from config.settings import Settings
    from recognition.extractors.base import Extractor, Image
    from recognition.features import Features


class Engine:
    """An opened index, its searcher and a loaded extractor.

    Raises:
        IndexMissing, GenerationMissing, SegmentCorrupt, SchemaMismatch: the index can't be opened.
        FingerprintMismatch: it is another extractor's. ExtractorUnavailable: that can't be loaded.
    """

    def __init__(self, settings: Settings) -> None:
        from recognition.index.store import Store
        from recognition.search import make_searcher

        self.profile = profile(settings)
        self.limits = limits(settings)
        # the index first: it opens in milliseconds, so that its errors come at once
        self.index = Store(settings.index_path).open(expected_fingerprint=make_extractor(settings).fingerprint)
        self._searcher = make_searcher(self.index.parts, self.profile.match.method)
        self.extractor = load_extractor(settings)

    @cached_property
    def ordinals(self) -> Mapping[str, int]:
        """Names of the index images -> their ordinals."""
        return {image.name: ordinal for ordinal, image in enumerate(self.index.images())}

    def recognize(self, photo: Photo) -> dict[str, Any]:
        """The Result JSON, without a job's fields.

        Raises:
            ImageError: the photograph can't be read or used.
        """
        from recognition.recognize import recognize

        found = recognize(
            read_photo(photo, max_bytes=self.limits.max_bytes),
            extractor=self.extractor,
            index=self.index,
            searcher=self._searcher,
            profile=self.profile,
            limits=self.limits,
        )
        return found.to_dict()


@dataclass(frozen=True)
class Comparison:
    """Two photographs and what they have in common. ``found``: the recognition of the first among the second."""

    names: tuple[str, str]
    images: tuple[Image, Image]
    found: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; transform, boxes and correspondences are (y, x), from B to A, in original pixels."""
        best = self.found["candidates"][0] if self.found["candidates"] else {}
        return {
            "a": self.names[0],
            "b": self.names[1],
            "same": self.found["landmark"] is not None,
            "confidence": best.get("confidence", 0.0),
            "matches": best.get("matches", 0),
            "inliers": best.get("inliers", 0),
            "transform": best.get("transform"),
            "box_a": best.get("box"),
            "box_b": best.get("index_box"),
            "correspondences": best.get("correspondences", []),
            "refused": best.get("refused"),
            "extractor": self.found["extractor"],
        }

    def picture(self) -> Image:
        """The two side by side, with a line per inlier."""
        from landmarq.pictures import draw_pairs

        found = self.to_dict()
        title = f"{'the same' if found['same'] else 'not recognisably the same'}: {found['inliers']} inliers"
        return draw_pairs(self.images[0], self.images[1], found["correspondences"], title=title)


def compare(settings: Settings, first: Path, second: Path) -> Comparison:
    """Recognise the first photograph in an index of the second alone: exactly what recognition does.

    Raises:
        ImageError: a photograph can't be read or used. ExtractorUnavailable: the network can't be loaded.
    """
    from recognition.images import decode
    from recognition.match import match
    from recognition.recognize import extract, verify_and_rank

    params, accepted = profile(settings), limits(settings)
    data = [read_photo(photo, max_bytes=accepted.max_bytes) for photo in (first, second)]
    images = [decode(photo, accepted) for photo in data]
    extractor = load_extractor(settings)
    features = [extract(image, extractor, params.extract) for image in images]
    names = (str(first), str(second))
    if not all(len(found) for found in features):
        empty: dict[str, Any] = {"candidates": [], "landmark": None, "extractor": extractor.fingerprint}
        return Comparison(names, (images[0], images[1]), empty)
    with tempfile.TemporaryDirectory(prefix="landmarq-") as folder:
        index, searcher = _index_of_one(Path(folder), extractor, features[1], second, data[1], images[1], params)
        candidates = match(features[0], index, searcher, params.match)
        found = verify_and_rank(features[0], candidates, index, params)
    return Comparison(names, (images[0], images[1]), found.to_dict())


def _index_of_one(
    folder: Path, extractor: Extractor, features: Features, photo: Path, data: bytes, image: Image, params: Any
) -> tuple[Any, Any]:
    from recognition.images import thumbnail_jpeg
    from recognition.index.store import Landmark, Store
    from recognition.index.writer import Writer
    from recognition.search import make_searcher

    store = Store(folder / "index")
    with Writer(store, extractor.fingerprint, features.dimension) as writer:
        writer.add(
            features,
            name=photo.name,
            sha256=hashlib.sha256(data).hexdigest(),
            landmark=Landmark("b", str(photo), None, None, {}),
            thumbnail=thumbnail_jpeg(image),
        )
        writer.commit()
    index = store.open()
    return index, make_searcher(index.parts, params.match.method)
