"""Synthetic scenes with known geometry: an index image's features, and a query that sees them from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.features import Features
from recognition.index.store import Index, Store
from recognition.index.writer import Writer
from tests.support.indexes import FINGERPRINT, THUMBNAIL, features, landmark, sha

# (y, x, 1) of the index image -> (y, x) of the query: turned by 10 degrees, 0.8 times the size, moved.
VIEW = np.array([[0.788, -0.139, 60.0], [0.139, 0.788, 40.0]])


def seen_from(scene: Features, view: npt.NDArray[np.float64] = VIEW, *, noise: float = 0.02, seed: int = 0) -> Features:
    """The scene's features in another photograph of it: moved by ``view``, descriptors a little off."""
    rng = np.random.default_rng(seed)
    descriptors = scene.descriptors + rng.normal(0, noise, scene.descriptors.shape).astype(np.float32)
    locations = scene.locations @ view[:, :2].T + view[:, 2]
    return replace(
        scene,
        locations=locations.astype(np.float32),
        descriptors=descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True),
    )


def mixed(first: Features, second: Features) -> Features:
    """One photograph with the features of both."""
    return replace(
        first,
        **{
            name: np.concatenate((getattr(first, name), getattr(second, name)))
            for name in ("locations", "descriptors", "scores", "scales")
        },
    )


def index_of(path: Path, images: list[Features], landmarks: list[int] | None = None) -> Index:
    """An opened index of these images, each a landmark of its own unless ``landmarks`` says otherwise."""
    store = Store(path)
    with Writer(store, FINGERPRINT, images[0].dimension) as writer:
        for i, image in enumerate(images):
            owner = landmark(landmarks[i] if landmarks else i)
            writer.add(image, name=f"{i}.jpg", sha256=sha(i), landmark=owner, thumbnail=THUMBNAIL)
        writer.commit()
    return store.open()


def scenes(count: int, n: int = 60) -> list[Features]:
    """``count`` unrelated images with ``n`` features each."""
    return [features(seed, n) for seed in range(count)]
