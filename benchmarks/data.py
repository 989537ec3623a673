"""Real descriptors for the benchmarks: the samples' features or an index's, filled up with perturbed copies."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from config.settings import load
from landmarq.environment import load_extractor
from recognition.extractors import create
from recognition.extractors.base import Extractor
from recognition.features import Features
from recognition.images import decode, thumbnail_jpeg
from recognition.index.store import Landmark, Store
from recognition.index.writer import Writer

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
THUMBNAIL = thumbnail_jpeg(np.full((48, 64, 3), 127, np.uint8))
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


def _extracted(files: Sequence[Path], extractor: Extractor | None = None) -> list[Features]:
    extractor = extractor or create("xfeat")
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


def write_index(path: Path, *, copies: int = 0) -> Path:
    """An index of the sample photographs, each its own landmark, and of perturbed copies with shuffled places."""
    given = _whole_features()
    with Writer(Store(path), given[0].extractor, given[0].dimension) as writer:
        for i in range(len(given) + copies):
            source = given[i % len(given)]
            name = f"{i}.jpg"
            writer.add(
                source if i < len(given) else _perturbed(source, seed=i),
                name=name,
                sha256=hashlib.sha256(name.encode()).hexdigest(),
                landmark=Landmark(str(i), str(i), None, None, {}),
                thumbnail=THUMBNAIL,
            )
        writer.commit()
    return path


@lru_cache(maxsize=1)
def _whole_features() -> list[Features]:
    """Of every index photograph of the samples, with the embedding."""
    return _extracted(sorted((SAMPLES / "index").glob("*.jpg")), load_extractor(load()))


def _perturbed(source: Features, seed: int) -> Features:
    n = len(source)
    descriptors = fill(source.descriptors, 2 * n, seed)[n:]
    return replace(source, descriptors=descriptors, locations=np.random.default_rng(seed).permutation(source.locations))
