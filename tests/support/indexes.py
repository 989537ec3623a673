"""Small indexes of random descriptors: what the store, matching and ranking are tested with."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from recognition.features import Features
from recognition.images import thumbnail_jpeg
from recognition.index.store import Landmark, Store
from recognition.index.writer import Writer
from tests.support.photos import photo

FINGERPRINT = "test@0123456789abcdef"
EMBEDDER = "whole@0123456789abcdef"
EMBEDDING = 16  # numbers
THUMBNAIL = thumbnail_jpeg(photo(0, (60, 80)))


def features(seed: int, n: int = 20, dimension: int = 40, extractor: str = FINGERPRINT) -> Features:
    """Random unit descriptors at random places of a 480 x 640 image, the same for the same seed."""
    rng = np.random.default_rng(seed)
    descriptors = rng.normal(size=(n, dimension)).astype(np.float32)
    return Features(
        locations=(rng.random((n, 2)) * (480, 640)).astype(np.float32),
        descriptors=descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True),
        scores=np.sort(rng.random(n).astype(np.float32))[::-1],
        scales=(2 ** rng.random(n)).astype(np.float32),
        image_size=(480, 640),
        extractor=extractor,
    )


def sha(seed: int) -> str:
    """The content hash that image ``seed`` pretends to have."""
    return hashlib.sha256(str(seed).encode()).hexdigest()


def landmark(j: int, **changes: object) -> Landmark:
    """Landmark number ``j``."""
    values: dict[str, object] = {
        "id": f"landmark-{j}",
        "title": f"Landmark {j}",
        "latitude": j / 2,
        "longitude": -j / 2,
    }
    return Landmark(**{**values, **changes})  # type: ignore[arg-type]


def add(writer: Writer, seed: int, n: int = 20, **changes: object) -> bool:
    """Add image ``seed`` (landmark seed // 2, name "<seed>.jpg") with ``n`` random features."""
    return writer.add(
        features(seed, n),
        name=f"{seed}.jpg",
        sha256=sha(seed),
        landmark=landmark(seed // 2, **changes),
        thumbnail=THUMBNAIL,
    )


def build(path: Path, *batches: range, n: int = 20) -> Store:
    """An index with one generation, and one more segment, per batch of images."""
    store = Store(path)
    for batch in batches:
        with Writer(store, FINGERPRINT, 40) as writer:
            for seed in batch:
                add(writer, seed, n)
            writer.commit()
    return store


def embedded(bare: Features, seed: int, embedder: str = EMBEDDER) -> Features:
    """The same features with a random embedding, the same for the same seed."""
    vector = np.random.default_rng(seed).normal(size=EMBEDDING).astype(np.float32)
    return replace(bare, embedding=vector / np.linalg.norm(vector), embedder=embedder)
