"""Real descriptors for the benchmarks: the samples' features or an index's, filled up with perturbed copies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.extractors import create
from recognition.features import Features
from recognition.images import decode
from recognition.index.store import Store

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
_CHUNK = 500_000


def sample_features(folder: str) -> list[Features]:
    """Features of every photograph in ``samples/<folder>``."""
    return _extracted(sorted((SAMPLES / folder).glob("*.jpg")))


def dataset_queries(dataset: Path, photographs: int = 10) -> npt.NDArray[np.float32]:
    """float32 [n, d]: descriptors of some queries of a data set as ``landmarq evaluate`` reads it."""
    from landmarq.datasets import read_dataset

    asked = [question.file for question in read_dataset(dataset, None).questions if question.truth]
    chosen = np.random.default_rng(0).choice(len(asked), min(photographs, len(asked)), replace=False)
    return np.concatenate([features.descriptors for features in _extracted([asked[i] for i in chosen])])


def index_descriptors(path: Path) -> npt.NDArray[np.float32]:
    """float32 [n, d]: all descriptors of the index in ``path``."""
    return np.concatenate(Store(path).open().blocks)


def _extracted(files: Sequence[Path]) -> list[Features]:
    extractor = create("xfeat")
    return [extractor.extract([decode(file.read_bytes())])[0] for file in files]


def fill(descriptors: npt.NDArray[np.float32], count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """float32 [count, d] unit vectors: the given ones, then copies of them with noise.

    Noise of 0.12 per dimension puts a copy about 0.7 away, as far as another building's similar window: the copies
    crowd the space as more photographs would.
    """
    rng = np.random.default_rng(seed)
    filled = np.empty((count, descriptors.shape[1]), np.float32)
    given = min(count, len(descriptors))
    filled[:given] = descriptors[:given]
    for start in range(given, count, _CHUNK):  # ten million at once would need as much memory again
        copies = filled[start : start + _CHUNK]
        copies[:] = descriptors[rng.integers(len(descriptors), size=len(copies))]
        copies += np.float32(0.12) * rng.standard_normal(copies.shape, np.float32)
        copies /= np.linalg.norm(copies, axis=1, keepdims=True)
    return filled
