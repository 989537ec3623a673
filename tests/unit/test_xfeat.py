"""The XFeat extractor: agreement with the original network, geometry, batches, degenerate images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.errors import ExtractorError
from recognition.extractors import xfeat as module
from recognition.extractors import xfeat_pyramid
from recognition.extractors.base import Image
from recognition.extractors.spread import CELLS
from recognition.extractors.xfeat import SCALES, WEIGHTS, XFeatExtractor
from recognition.features import Features, Float32
from recognition.images import decode, widening
from scripts.make_xfeat_reference import picture
from tests.support.photos import photo

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples" / "index"
REFERENCE = ROOT / "tests" / "data" / "xfeat_reference.npz"
PHOTOGRAPHS = sorted({name.split("/")[0] for name in np.load(REFERENCE).files})

tensorflow = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def network() -> xfeat_pyramid.Network:
    return xfeat_pyramid.Network(module.read_arrays(WEIGHTS))


def one(extractor: XFeatExtractor, image: Image, **options: int) -> Features:
    return extractor.extract([image], **options)[0]


# The original network


@tensorflow
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_agrees_with_the_original(name: str, network: xfeat_pyramid.Network) -> None:
    """Same keypoints, scores and descriptors as the PyTorch network (scripts/make_xfeat_reference.py)."""
    with np.load(REFERENCE) as reference:
        keypoints, scores, descriptors = (reference[f"{name}/{key}"] for key in ("keypoints", "scores", "descriptors"))
    found = network.detect(picture(SAMPLES / f"{name}.jpg")[None].astype(np.float32) / np.float32(255))
    rows = {(x, y): i for i, (_, y, x) in enumerate(found.where.tolist())}
    assert {tuple(keypoint) for keypoint in keypoints.tolist()} <= rows.keys()
    mine = np.array([rows[x, y] for x, y in keypoints.tolist()])
    np.testing.assert_allclose(found.scores[mine], scores, atol=1e-5)
    best = xfeat_pyramid.best_first([found], 0)
    # and none that the original ranks lower
    np.testing.assert_allclose(best.scores[: len(scores)], scores, atol=1e-5)
    described = network.describe(found, found.where[mine[: len(descriptors)]])
    np.testing.assert_allclose(described, descriptors, atol=1e-4)


@tensorflow
def test_gray_or_colour_is_the_same(network: xfeat_pyramid.Network) -> None:
    colour = photo(1, (96, 128))[None].astype(np.float32) / np.float32(255)
    both = [network.detect(images) for images in (colour, colour.mean(axis=-1, keepdims=True))]
    np.testing.assert_array_equal(both[0].where, both[1].where)
    np.testing.assert_allclose(both[0].scores, both[1].scores, atol=1e-5)


@tensorflow
def test_compiles_once_for_all_sizes(network: xfeat_pyramid.Network) -> None:
    for batch, height, width in ((1, 64, 96), (3, 96, 64), (2, 32, 32)):
        found = network.detect(np.random.default_rng(0).random((batch, height, width, 1), np.float32))
        network.describe(found, found.where)
    functions: list[Any] = [network._detect, network._describe]
    assert [function.experimental_get_tracing_count() for function in functions] == [1, 1]


@tensorflow
@pytest.mark.parametrize("cards", [0, 1])
def test_levels_at_once_are_those_one_by_one(cards: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a card they do go one by one."""
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["card"] * cards)
    network = xfeat_pyramid.Network(module.read_arrays(WEIGHTS))
    assert network.batch_size == (xfeat_pyramid.GPU_BATCH if cards else xfeat_pyramid.CPU_BATCH)
    levels = [np.random.default_rng(side).random((1, side, 64, 1), np.float32) for side in (32, 96, 64)]
    for found, images in zip(network.detect_all(levels), levels, strict=True):
        alone = network.detect(images)
        assert found.size == alone.size == images.shape[1:3]
        np.testing.assert_array_equal(found.where, alone.where)
        np.testing.assert_array_equal(found.scores, alone.scores)


# Features


@tensorflow
@pytest.mark.parametrize("size", [(240, 320), (683, 1024), (1024, 683), (97, 131), (33, 400), (1500, 2000)])
def test_features_are_well_formed(size: tuple[int, int], xfeat: XFeatExtractor) -> None:
    features = one(xfeat, photo(2, size))
    assert 0 < len(features) <= round(1000 * widening(size))
    assert features.image_size == size
    assert features.extractor == xfeat.fingerprint
    assert features.dimension == xfeat.dimension == 40
    np.testing.assert_allclose(np.linalg.norm(features.descriptors, axis=1), 1, atol=1e-5)
    assert (np.diff(features.scores) <= 0).all()
    assert (features.scores > 0).all()
    assert (features.scales > 0).all()
    assert (features.locations >= 0).all()
    assert (features.locations <= np.array(size) - 1).all()


@tensorflow
def test_max_features_keeps_the_best_and_the_best_of_each_part(xfeat: XFeatExtractor) -> None:
    image = decode((SAMPLES / "colosseum.jpg").read_bytes())[:, :600]  # no wider than a photograph is
    many, few = one(xfeat, image, max_features=500), one(xfeat, image, max_features=100)
    assert (len(many), len(few)) == (500, 100)
    np.testing.assert_array_equal(few.locations[:50], many.locations[:50])
    assert len(np.unique(many.scales)) == len(SCALES)
    everything = one(xfeat, image, max_features=5000)
    strongest = np.argsort(-everything.scores, kind="stable")[:500]
    assert _cells(many.locations, image) > _cells(everything.locations[strongest], image)


def _cells(locations: Float32, image: Image) -> set[tuple[int, ...]]:
    return {tuple(cell) for cell in (locations // (max(image.shape) / CELLS)).astype(int).tolist()}


@tensorflow
def test_two_photographs_beside_each_other_are_seen_as_well_as_alone(xfeat: XFeatExtractor) -> None:
    names = ("colosseum", "brandenburg-gate")
    alone = [cv2.resize(decode((SAMPLES / f"{name}.jpg").read_bytes()), (900, 600)) for name in names]
    both = one(xfeat, np.hstack(alone))
    assert both.image_size == (600, 1800)
    assert len(both) == 2000
    left = both.locations[:, 1] < 900
    for mine, image in zip((left, ~left), alone, strict=True):
        single = one(xfeat, image)
        nearest = (both.descriptors[mine] @ single.descriptors.T).max(axis=1)
        assert mine.sum() > 500
        assert (nearest > 0.9).sum() > 300


@tensorflow
def test_locations_are_pixels_of_the_original(xfeat: XFeatExtractor) -> None:
    """A picture of doubled pixels is the same to the network; its features lie at twice the place."""
    small = photo(3, (160, 192))
    large = np.repeat(np.repeat(small, 2, axis=0), 2, axis=1)
    single = XFeatExtractor(image_side=192, scales=(1.0,))
    here, there = one(single, small), one(single, large)
    assert len(here) > 50
    np.testing.assert_allclose(there.locations, (here.locations + 0.5) * 2 - 0.5, atol=1e-3)
    np.testing.assert_allclose(there.descriptors, here.descriptors, atol=1e-4)
    np.testing.assert_allclose(there.scales, here.scales * 2)


@tensorflow
def test_recognises_points_of_a_shrunk_photograph(xfeat: XFeatExtractor) -> None:
    image = decode((SAMPLES / "brandenburg-gate.jpg").read_bytes())
    height, width = image.shape[:2]
    half = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    left, right = one(xfeat, image), one(xfeat, half)
    similarity = left.descriptors @ right.descriptors.T
    nearest = similarity.argmax(axis=1)
    mutual = similarity.argmax(axis=0)[nearest] == np.arange(len(left))
    error = np.linalg.norm(left.locations[mutual] / 2 - right.locations[nearest[mutual]], axis=1)
    assert mutual.sum() > 300
    assert (error < 4).mean() > 0.8


@tensorflow
def test_batch_of_eight_agrees_with_single_images(xfeat: XFeatExtractor) -> None:
    images = [photo(seed, (240, 320)) for seed in range(8)]
    batched = XFeatExtractor(batch_size=8)
    for alone, together in zip([one(xfeat, image) for image in images], batched.extract(images), strict=True):
        _agree(alone, together)


def _agree(alone: Features, together: Features) -> None:
    assert len(alone) == len(together)
    # Scores that differ in the seventh digit may change places: compare by place, scale and score.
    np.testing.assert_allclose(alone.scores, together.scores, atol=1e-4)
    rows = [np.lexsort((*f.locations.T, f.scales)) for f in (alone, together)]
    np.testing.assert_allclose(alone.locations[rows[0]], together.locations[rows[1]], atol=1e-4)
    np.testing.assert_allclose(alone.descriptors[rows[0]], together.descriptors[rows[1]], atol=1e-4)


@tensorflow
def test_sizes_that_look_the_same_to_the_network_share_its_calls(
    xfeat: XFeatExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Places are still those of each image."""
    images = [photo(1, (600, 800)), photo(2, (603, 798)), photo(3, (1200, 1600))]
    batches: list[int] = []
    detect = xfeat_pyramid.Network.detect

    def counted(self: xfeat_pyramid.Network, images: Float32) -> xfeat_pyramid.Detections:
        batches.append(len(images))
        return detect(self, images)

    monkeypatch.setattr(xfeat_pyramid.Network, "detect", counted)
    batched = XFeatExtractor(batch_size=8)
    batched.load()
    batches.clear()
    found = batched.extract(images)
    assert batches == [len(images)] * len(SCALES)
    for image, features in zip(images, found, strict=True):
        assert features.image_size == image.shape[:2]
        _agree(one(xfeat, image), features)


def test_buckets() -> None:
    """Loads nothing."""
    extractor = XFeatExtractor()
    sizes = [(600, 800), (603, 798), (3000, 4000), (800, 600), (600, 1600), (300, 400), (20, 20), (10, 3000)]
    buckets = [extractor.bucket(np.empty((*size, 3), np.uint8)) for size in sizes]
    assert [buckets.index(bucket) for bucket in buckets] == [0, 0, 0, 3, 4, 5, 6, 6]


@tensorflow
def test_an_error_of_tensorflow_is_an_extractor_error(network: xfeat_pyramid.Network) -> None:
    found = network.detect(photo(1, (96, 128))[None].astype(np.float32) / np.float32(255))
    with pytest.raises(ExtractorError, match="1 keypoints"):
        network.describe(found, np.array([[7, 0, 0]], np.int32))  # there is no eighth image
    with pytest.raises(ExtractorError, match="batch of shape"):
        network.detect(np.zeros((1, 33, 64, 1), np.float32))  # not multiples of 32


@tensorflow
def test_a_mixed_batch_keeps_the_order(xfeat: XFeatExtractor) -> None:
    images = [photo(1, (240, 320)), photo(2, (128, 96)), np.zeros((200, 200, 3), np.uint8), photo(3, (240, 320))]
    for image, features in zip(images, xfeat.extract(images), strict=True):
        assert features.image_size == image.shape[:2]
        assert features.to_bytes() == one(xfeat, image).to_bytes()  # to the last bit


@tensorflow
def test_is_deterministic(xfeat: XFeatExtractor) -> None:
    image = decode((SAMPLES / "parthenon.jpg").read_bytes())
    again = XFeatExtractor()
    with ThreadPoolExecutor(4) as pool:
        results = set(pool.map(lambda e: one(e, image).to_bytes(), [xfeat, again, xfeat, again]))
    assert len(results) == 1


@tensorflow
@pytest.mark.parametrize(
    "image",
    [
        np.zeros((480, 640, 3), np.uint8),
        np.full((480, 640, 3), 255, np.uint8),
        np.full((64, 64, 3), (10, 100, 200), np.uint8),
        photo(1, (16, 16)),
        photo(1, (1, 1)),
        photo(1, (20, 2000)),
    ],
    ids=lambda image: "x".join(map(str, image.shape)),
)
def test_blank_or_tiny_images_have_no_features(image: Image, xfeat: XFeatExtractor) -> None:
    features = one(xfeat, image)
    assert len(features) == 0
    assert features.descriptors.shape == (0, 40)
    assert Features.from_bytes(features.to_bytes()).dimension == 40


@tensorflow
def test_nothing_to_do(xfeat: XFeatExtractor) -> None:
    assert xfeat.extract([]) == []
    assert len(one(xfeat, photo(1), max_features=0)) == 0


# Scales


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(32, 2000))
def test_level_sizes(height: int, width: int, side: int) -> None:
    levels = xfeat_pyramid.level_sizes((height, width), side, SCALES)
    assert bool(levels) == (min(height, width) >= 32)
    assert len(set(levels)) == len(levels)
    for level in levels:
        assert all(length > 0 and length % 32 == 0 for length in level)
        assert max(level) <= max(32, min(side * max(SCALES), 2 * max(height, width)) + 16)


def test_small_image_is_not_blown_up() -> None:
    assert xfeat_pyramid.level_sizes((64, 96), 640, SCALES) == [(128, 192)]
