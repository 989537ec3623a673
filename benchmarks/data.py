"""Real descriptors for the benchmarks: the samples' features, filled up with perturbed copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.extractors import create
from recognition.features import Features
from recognition.images import decode

SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def sample_features(folder: str) -> list[Features]:
    """Features of every photograph in ``samples/<folder>``."""
    extractor = create("xfeat")
    return [extractor.extract([decode(f.read_bytes())])[0] for f in sorted((SAMPLES / folder).glob("*.jpg"))]


def fill(descriptors: npt.NDArray[np.float32], count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """float32 [count, d] unit vectors: the given ones, then copies of them with noise.

    Noise of 0.12 per dimension puts a copy about 0.7 away, as far as another building's similar window: the copies
    crowd the space as more photographs would.
    """
    if count <= len(descriptors):
        return descriptors[:count]
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(descriptors), size=count - len(descriptors))
    copies = descriptors[rows] + rng.normal(0, 0.12, (len(rows), descriptors.shape[1])).astype(np.float32)
    filled = np.concatenate((descriptors, copies))
    unit: npt.NDArray[np.float32] = filled / np.linalg.norm(filled, axis=1, keepdims=True)
    return unit
