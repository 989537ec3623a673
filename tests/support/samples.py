"""The sample photographs, and an index of some of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from recognition.extractors.base import Extractor
from recognition.images import decode, thumbnail_jpeg
from recognition.index.store import Landmark, Store
from recognition.index.writer import Writer

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def query(name: str) -> bytes:
    """A sample query, as a file's bytes."""
    return (SAMPLES / "query" / f"{name}.jpg").read_bytes()


def add_sample(store: Store, name: str, extractor: Extractor) -> int:
    """Add one sample photo as a landmark of the same id; returns the new generation."""
    data = (SAMPLES / "index" / f"{name}.jpg").read_bytes()
    image = decode(data)
    features = extractor.extract([image])[0]
    landmark = Landmark(id=name, title=name.replace("-", " ").title(), latitude=None, longitude=None, metadata={})
    digest = hashlib.sha256(data).hexdigest()
    with Writer(store, extractor.fingerprint, extractor.dimension) as writer:
        writer.add(features, name=f"{name}.jpg", sha256=digest, landmark=landmark, thumbnail=thumbnail_jpeg(image))
        return writer.commit()
