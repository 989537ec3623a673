"""The global descriptor: agreement with the original network, unit vectors, threads, and errors that help."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from recognition.embedding import global_descriptor as module
from recognition.embedding.extractor import EmbeddingExtractor
from recognition.embedding.global_descriptor import WEIGHTS, GlobalDescriptor
from recognition.embedding.orientation import View
from recognition.errors import ExtractorUnavailable
from recognition.extractors.base import Extractor, Image
from recognition.images import decode
from scripts.make_xfeat_reference import picture
from tests.support.photos import photo

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"
REFERENCE = ROOT / "tests" / "data" / "efficientnet_reference.npz"
PHOTOGRAPHS = sorted({name.split("/")[0] for name in np.load(REFERENCE).files})

tensorflow = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def descriptor() -> GlobalDescriptor:
    descriptor = GlobalDescriptor()
    descriptor.load()
    return descriptor


def sample(name: str) -> Image:
    return decode((SAMPLES / f"{name}.jpg").read_bytes())


@pytest.fixture(scope="module")
def network() -> Any:
    from recognition.embedding import efficientnet

    with np.load(WEIGHTS) as arrays:
        return efficientnet.build(arrays)


# The original network


@tensorflow
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_agrees_with_the_original(name: str, network: Any) -> None:
    """The feature map of the PyTorch network (scripts/make_efficientnet_reference.py), to float16's accuracy."""
    from recognition.embedding import efficientnet

    with np.load(REFERENCE) as reference:
        expected, pooled = reference[f"{name}/map"], reference[f"{name}/gem"]
    maps = network(((picture(SAMPLES / "index" / f"{name}.jpg").astype(np.float32) - 127) / 128)[None])
    every = expected.shape[-1]
    found = np.asarray(maps)[0, :, :, :: efficientnet.CHANNELS // every]
    error = np.abs(found - expected)  # of values in [0, 6]
    assert error.max() < 0.2
    assert error.mean() < 0.005
    vector = np.asarray(efficientnet.gem(maps, module.GEM_POWER))[0]
    cosine = vector @ pooled / np.linalg.norm(vector) / np.linalg.norm(pooled)
    assert cosine > 0.9999


@tensorflow
def test_generalised_mean() -> None:
    from recognition.embedding.efficientnet import gem

    maps = np.random.default_rng(0).random((2, 3, 5, 4), np.float32)
    np.testing.assert_allclose(gem(maps, 1.0), maps.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(gem(maps, 3.0), np.cbrt((maps**3).mean(axis=(1, 2))), rtol=1e-5)
    assert np.isfinite(gem(np.zeros((1, 2, 2, 4), np.float32), 3.0)).all()


# Embeddings


@tensorflow
@pytest.mark.parametrize("size", [(240, 320), (683, 1024), (97, 131), (1, 1), (16, 2000), (2000, 16)])
def test_embeddings_are_unit_vectors(size: tuple[int, int], descriptor: GlobalDescriptor) -> None:
    (embedding,) = descriptor.embed([photo(1, size)])
    assert embedding.shape == (descriptor.dimension,) == (1280,)
    assert embedding.dtype == np.float32
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)


@tensorflow
def test_blank_pictures_and_none(descriptor: GlobalDescriptor) -> None:
    blank = descriptor.embed([np.full((200, 300, 3), value, np.uint8) for value in (0, 255)])
    np.testing.assert_allclose(np.linalg.norm(blank, axis=1), 1, atol=1e-5)
    assert descriptor.embed([]).shape == (0, 1280)


@tensorflow
def test_knows_a_landmark_from_another_photograph(descriptor: GlobalDescriptor) -> None:
    names = ["eiffel-tower", "taj-mahal", "mount-rushmore", "statue-of-liberty", "qutub-minar"]
    index = descriptor.embed([sample(f"index/{name}") for name in names])
    queries = descriptor.embed([sample(f"query/{name}-2") for name in names])
    np.testing.assert_array_equal((queries @ index.T).argmax(axis=1), range(len(names)))


@tensorflow
def test_a_smaller_copy_is_nearly_the_same(descriptor: GlobalDescriptor) -> None:
    image = sample("index/brandenburg-gate")
    height, width = image.shape[:2]
    half = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    first, second = descriptor.embed([image, half])
    assert first @ second > 0.9


@tensorflow
def test_is_deterministic_alone_or_among_others(descriptor: GlobalDescriptor) -> None:
    images = [sample("index/parthenon"), photo(1, (128, 96)), sample("index/colosseum")]
    together = descriptor.embed(images)
    with ThreadPoolExecutor(3) as pool:
        alone = [embedding[0] for embedding in pool.map(lambda image: descriptor.embed([image]), images)]
    np.testing.assert_array_equal(together, alone)  # to the last bit


@tensorflow
def test_extractor_with_embeddings(xfeat: Extractor, descriptor: GlobalDescriptor) -> None:
    both = EmbeddingExtractor(xfeat, descriptor)
    both.load()
    assert (both.name, both.fingerprint, both.dimension) == (xfeat.name, xfeat.fingerprint, xfeat.dimension)
    images = [photo(1, (240, 320)), np.zeros((200, 200, 3), np.uint8)]
    plain = xfeat.extract(images, max_features=50)
    for features, bare, image in zip(both.extract(images, max_features=50), plain, images, strict=True):
        np.testing.assert_array_equal(features.descriptors, bare.descriptors)
        np.testing.assert_array_equal(features.embedding, descriptor.embed([image])[0])
        assert features.embedder == descriptor.fingerprint
        assert features.extractor == xfeat.fingerprint


@tensorflow
def test_a_wide_photograph_has_embeddings_of_its_halves(xfeat: Extractor, descriptor: GlobalDescriptor) -> None:
    left, right = sample("index/parthenon"), sample("index/colosseum")
    height = min(left.shape[0], right.shape[0])
    both = EmbeddingExtractor(xfeat, descriptor)
    beside, ordinary = both.extract_upright([np.hstack((left[:height], right[:height])), left], max_features=50)
    assert beside.halves is not None
    assert ordinary.halves is None
    alike = beside.halves @ descriptor.embed([left, right]).T
    assert min(alike[0, 0], alike[1, 1]) > 2 * max(alike[0, 1], alike[1, 0])


@tensorflow
def test_halves_are_pooled_as_the_whole_is(descriptor: GlobalDescriptor) -> None:
    view = descriptor.look(sample("index/parthenon"))
    twice = View(view.pooled, np.concatenate((view.maps, view.maps)))  # higher than wide, and both halves the whole
    assert twice.maps.shape[0] > twice.maps.shape[1]
    np.testing.assert_allclose(
        descriptor.halves(twice), np.stack([descriptor.whiten(view.pooled[None])[0]] * 2), atol=1e-4
    )


# Loading


def test_fingerprint_follows_the_parameters_and_the_weights(tmp_path: Path) -> None:
    changed = tmp_path / "weights.npz"
    changed.write_bytes(WEIGHTS.read_bytes() + b"\0")
    descriptors = [GlobalDescriptor(), GlobalDescriptor(256), GlobalDescriptor(weights=changed)]
    assert len({descriptor.fingerprint for descriptor in descriptors}) == 3
    assert GlobalDescriptor().fingerprint == GlobalDescriptor(384).fingerprint
    assert GlobalDescriptor().fingerprint.startswith("efficientnet_lite0@")


def test_fingerprint_loads_no_tensorflow() -> None:
    code = (
        "import sys; from recognition.embedding.global_descriptor import GlobalDescriptor; "
        "GlobalDescriptor().fingerprint; sys.exit(bool({'tensorflow', 'keras'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@tensorflow
def test_threads_load_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []
    compiled = module._compiled
    monkeypatch.setattr(module, "_compiled", lambda arrays: (built.append(arrays), compiled(arrays))[1])
    descriptor = GlobalDescriptor()
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(descriptor.load) for _ in range(4)]:
            future.result()
    descriptor.load()
    assert len(built) == 1


def _missing(path: Path) -> None:
    path.unlink()


def _damaged(path: Path) -> None:
    path.write_bytes(WEIGHTS.read_bytes()[:-1000])


def _unfitted(path: Path) -> None:
    with np.load(WEIGHTS) as arrays:
        np.savez(path, **{name: arrays[name] for name in arrays.files if name != "mean"})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_missing, "pip install 'landmarq"),
        (_damaged, "damaged"),
        pytest.param(_unfitted, "fit_whitening", marks=tensorflow),
    ],
)
def test_unusable_weights(spoil: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.npz"
    file.write_bytes(WEIGHTS.read_bytes())
    spoil(file)
    with pytest.raises(ExtractorUnavailable, match=message):
        GlobalDescriptor(weights=file).load()


def test_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ExtractorUnavailable, match=r"pip install 'landmarq\[extract\]'"):
        GlobalDescriptor().load()


def test_refuses_a_side_that_is_too_small() -> None:
    with pytest.raises(ValueError, match="must be >= 32"):
        GlobalDescriptor(16)
