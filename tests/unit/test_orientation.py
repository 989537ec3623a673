"""Which way up a photograph is: right on samples in all four turns, and places that come back to where they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.embedding.extractor import EmbeddingExtractor
from recognition.embedding.global_descriptor import GlobalDescriptor
from recognition.embedding.orientation import SIDES, WEIGHTS, Orientation, View, described, turned_back
from recognition.errors import ExtractorUnavailable
from recognition.extractors.base import Extractor, Image, TurningExtractor
from recognition.images import decode
from recognition.profiles import SEED, ExtractParams
from recognition.recognize import extract
from scripts.fit_orientation import fit, versions
from tests.support.photos import photo

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
NAMES = ("query/eiffel-tower-2", "index/taj-mahal", "index/neuschwanstein-castle", "unknown/windmills-kinderdijk")

tensorflow = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def descriptor() -> GlobalDescriptor:
    descriptor = GlobalDescriptor()
    descriptor.load()
    return descriptor


@pytest.fixture(scope="module")
def both(xfeat: Extractor, descriptor: GlobalDescriptor) -> EmbeddingExtractor:
    return EmbeddingExtractor(xfeat, descriptor)


def sample(name: str) -> Image:
    return decode((SAMPLES / f"{name}.jpg").read_bytes())


def rotated(image: Image, quarters: int) -> Image:
    return np.ascontiguousarray(np.rot90(image, quarters))


# Places


@given(height=st.integers(1, 9), width=st.integers(1, 9), quarters=st.integers(0, 3))
def test_places_come_back(height: int, width: int, quarters: int) -> None:
    """Each pixel of the upright copy is the one of the image that its place is mapped to."""
    image = np.arange(height * width).reshape(height, width)
    upright = np.rot90(image, -quarters)
    places = np.argwhere(upright >= 0).astype(np.float32)
    back = turned_back(places, quarters, (height, width))
    assert back.dtype == np.float32
    y, x = back.astype(int).T
    np.testing.assert_array_equal(image[y, x], upright.ravel())


def test_no_places() -> None:
    assert turned_back(np.zeros((0, 2), np.float32), 1, (3, 4)).shape == (0, 2)


# The classifier


class Scripted(Orientation):
    """Scores that a test chose, by the first number of the view."""

    def __init__(self, *scores: tuple[float, float, float, float]) -> None:
        super().__init__()
        self.chosen = np.array(scores, np.float32)

    def scores(self, view: View) -> np.ndarray:
        return self.chosen[int(view.pooled[0])]


def looked(orientation: Orientation) -> tuple[int, int, int]:
    """The turn, which view it came with, and how many there were."""
    seen: list[Image] = []

    def look(image: Image) -> View:
        seen.append(image)
        return View(np.array([len(seen) - 1], np.float32), np.zeros((1, 1, 1), np.float32))

    image = np.arange(6, dtype=np.uint8).repeat(3).reshape(2, 3, 3)
    turn, view = orientation.turned(image, look)
    number = int(view.pooled[0])
    np.testing.assert_array_equal(seen[number], np.rot90(image, -turn))
    return turn, number, len(seen)


def test_clearly_upright_is_looked_at_once() -> None:
    assert looked(Scripted((0.8, 0.1, 0.1, 0.0))) == (0, 0, 1)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_all_four_views_decide(turn: int) -> None:
    scores = np.full((4, 4), 0.1)
    for extra in range(4):  # a view turned by that much more
        scores[extra, (turn + extra) % 4] = 0.7
    assert looked(Scripted(*map(tuple, scores))) == (turn, (4 - turn) % 4, 4)


def test_in_doubt_nothing_is_turned() -> None:
    assert looked(Scripted(*[(0.25, 0.25, 0.25, 0.25)] * 4)) == (0, 0, 4)


def test_the_description_has_the_differences_of_sides() -> None:
    maps = np.zeros((3, 3, 2), np.float32)
    maps[0, :, 0] = 4  # above
    maps[:, 0, 1] = 1  # left
    found = described(View(np.array([0.6, 0.8], np.float32), maps))
    assert (found.shape, found.dtype) == ((6,), np.float32)
    assert np.linalg.norm(found[2:]) == pytest.approx(SIDES)
    assert found[2] > 0
    assert found[5] > 0
    flat = described(View(np.array([0.6, 0.8], np.float32), np.ones((1, 1, 2), np.float32)))
    np.testing.assert_array_equal(flat[2:], 0)


def test_the_fit_finds_what_tells_turns_apart() -> None:
    random = np.random.default_rng(0)
    turns = np.arange(80) % 4
    vectors = (np.eye(12)[turns] + random.normal(0, 0.05, (80, 12))).astype(np.float32)
    fitted = fit(vectors, turns, ridge=0.01)
    scores = vectors @ fitted["directions"] + fitted["bias"]
    np.testing.assert_array_equal(scores.argmax(axis=1), turns)
    np.testing.assert_allclose(scores, np.eye(4)[turns], atol=0.3)


def test_versions_are_parts_of_the_image() -> None:
    image = photo(1, (40, 60))
    first, *others = versions(image, np.random.default_rng(0))
    assert first is image
    assert all(20 <= other.shape[0] <= 40 and 30 <= other.shape[1] <= 60 for other in others)


@tensorflow
@pytest.mark.parametrize("name", NAMES)
def test_samples_in_all_turns(name: str, descriptor: GlobalDescriptor) -> None:
    image = sample(name)
    found = [Orientation().turned(rotated(image, turn), descriptor.look)[0] for turn in range(4)]
    assert found == [0, 1, 2, 3]


# Extraction


@tensorflow
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_turned_photograph_has_the_upright_ones_features(turn: int, both: EmbeddingExtractor) -> None:
    image = sample("query/eiffel-tower-2")
    given_image = rotated(image, turn)
    upright = both.extract([image], max_features=100)[0]
    features = extract(given_image, both, ExtractParams(max_features=100))
    assert features.image_size == given_image.shape[:2]
    np.testing.assert_array_equal(features.descriptors, upright.descriptors)
    np.testing.assert_array_equal(features.embedding, upright.embedding)
    np.testing.assert_array_equal(features.locations, turned_back(upright.locations, turn, given_image.shape[:2]))
    assert features.locations.min() >= -1
    assert (features.locations <= np.array(given_image.shape[:2])).all()


@tensorflow
def test_nothing_is_turned_when_nobody_wants_it(both: EmbeddingExtractor) -> None:
    image = rotated(sample("query/eiffel-tower-2"), 1)
    left = extract(image, both, ExtractParams(max_features=100, turn=False))
    np.testing.assert_array_equal(left.descriptors, both.extract([image], max_features=100)[0].descriptors)


@tensorflow
def test_blank_and_tiny_pictures_and_none(both: EmbeddingExtractor) -> None:
    images = [np.full((200, 300, 3), 255, np.uint8), photo(1, (16, 20))]
    assert [features.image_size for features in both.extract_upright(images)] == [(200, 300), (16, 20)]
    assert both.extract_upright([]) == []


def test_who_can_turn() -> None:
    from recognition.extractors.xfeat import XFeatExtractor

    assert isinstance(EmbeddingExtractor(XFeatExtractor(), GlobalDescriptor()), TurningExtractor)
    assert not isinstance(XFeatExtractor(), TurningExtractor)
    assert not SEED.extract.turn


# Loading


def test_weights_that_are_missing_damaged_or_others(tmp_path: Path) -> None:
    file = tmp_path / "orientation.npz"
    with pytest.raises(ExtractorUnavailable, match="fit_orientation"):
        Orientation(weights=file).load()
    file.write_bytes(WEIGHTS.read_bytes()[:-1000])
    with pytest.raises(ExtractorUnavailable, match="damaged"):
        Orientation(weights=file).load()
    np.savez(file, other=np.zeros(1))
    with pytest.raises(ExtractorUnavailable, match="has no classifier"):
        Orientation(weights=file).load()
