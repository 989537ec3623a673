from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recognition.errors import FeaturesError
from recognition.features import Features
from tests.support.indexes import embedded, features


def test_features_survive_the_trip_through_bytes() -> None:
    original = features(0, 50)
    back = Features.from_bytes(original.to_bytes())
    for name in ("locations", "descriptors", "scores", "scales"):
        np.testing.assert_array_equal(getattr(back, name), getattr(original, name))
        assert getattr(back, name).dtype == np.float32
    assert (back.image_size, back.extractor) == (original.image_size, original.extractor)
    assert (len(back), back.dimension) == (50, 40)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"locations": np.zeros((20, 3), np.float32)}, r"locations must be float32 \[20, 2\], not float32 \[20, 3\]"),
        ({"scores": np.zeros(19, np.float32)}, "scores must be"),
        ({"scales": np.zeros(20)}, "scales must be float32.*not float64"),
        ({"descriptors": np.full((20, 40), np.nan, np.float32)}, "descriptors holds a value that is not finite"),
    ],
)
def test_arrays_of_another_shape_are_refused(changes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(FeaturesError, match=message):
        replace(features(0), **changes)


@pytest.mark.parametrize("data", [b"", b"no archive", features(0).to_bytes()[:-50], b"PK\x03\x04" + bytes(40)])
def test_damaged_bytes_are_a_clear_error(data: bytes) -> None:
    with pytest.raises(FeaturesError, match=f"these {len(data)} bytes are no features"):
        Features.from_bytes(data)


def test_an_embedding_travels_along() -> None:
    original = embedded(features(0), 1)
    back = Features.from_bytes(original.to_bytes())
    np.testing.assert_array_equal(back.embedding, original.embedding)
    assert back.embedder == original.embedder
    assert back.halves is None
    wide = replace(original, halves=np.stack((original.embedding, -original.embedding)))
    np.testing.assert_array_equal(Features.from_bytes(wide.to_bytes()).halves, wide.halves)
    without = Features.from_bytes(features(0).to_bytes())
    assert (without.embedding, without.embedder) == (None, "")


@pytest.mark.parametrize(
    "changes",
    [
        {"embedding": np.ones(4), "embedder": "e@1"},
        {"embedding": np.ones((1, 4), np.float32), "embedder": "e@1"},
        {"embedding": np.full(4, np.inf, np.float32), "embedder": "e@1"},
        {"embedding": np.ones(4, np.float32)},
        {"embedder": "e@1"},
        {"halves": np.ones((2, 4), np.float32)},
    ],
)
def test_an_embedding_that_is_none_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(FeaturesError, match="embedding"):
        replace(features(0), **changes)


def test_halves_are_two_embeddings() -> None:
    whole = replace(features(0), embedding=np.ones(4, np.float32), embedder="e@1")
    with pytest.raises(FeaturesError, match=r"halves must be float32 \[2, 4\], not float32 \[3, 4\]"):
        replace(whole, halves=np.ones((3, 4), np.float32))
