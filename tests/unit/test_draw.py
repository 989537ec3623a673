"""The picture of correspondences: sizes, places, colours, and input that leaves nothing to draw."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.draw import draw
from recognition.extractors.base import Image
from recognition.features import Float32

GRAY = np.full((240, 320, 3), 90, np.uint8)


def pairs(*rows: tuple[float, float, float, float]) -> Float32:
    return np.array(rows, np.float32).reshape(-1, 4)


def coloured(picture: Image) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels with a colour (the pictures are gray)."""
    spread = picture.max(axis=2).astype(int) - picture.min(axis=2)
    rows, columns = np.nonzero(spread > 60)
    return rows, columns


def test_both_pictures_have_the_same_height() -> None:
    tall = np.full((300, 100, 3), 200, np.uint8)
    picture = draw(GRAY, tall, pairs(), query_size=(240, 320), index_size=(300, 100))
    assert picture.shape == (480, 640 + 6 + 160, 3)
    assert picture.dtype == np.uint8
    assert (picture[:, :640] == 90).all()
    assert (picture[:, 646:] == 200).all()


def test_a_panorama_stays_within_bounds() -> None:
    flat = np.full((10, 1000, 3), 200, np.uint8)
    picture = draw(flat, GRAY, pairs(), query_size=(10, 1000), index_size=(240, 320))
    assert picture.shape[1] <= 2 * 960 + 6


def test_pairs_are_in_pixels_of_the_originals() -> None:
    """Thumbnails of 2400 x 3200 and 1200 x 1600 originals: ends at (1200, 800) and (300, 400) there."""
    picture = draw(
        GRAY, GRAY, pairs((1200, 800, 300, 400)), query_size=(2400, 3200), index_size=(1200, 1600), title="title"
    )
    rows, columns = coloured(picture)
    assert columns.min() == pytest.approx(160 - 4, abs=2)
    assert columns.max() == pytest.approx(646 + 160 + 4, abs=2)
    assert rows.max() == pytest.approx(44 + 240 + 4, abs=2)
    assert rows.min() == pytest.approx(44 + 120 - 4, abs=2)


def test_neighbouring_lines_differ_and_order_does_not_matter() -> None:
    rows = [(20.0 * i, 30.0, 20.0 * i, 60.0) for i in range(1, 11)]
    picture = draw(GRAY, GRAY, pairs(*rows), query_size=(240, 320), index_size=(240, 320))
    again = draw(GRAY, GRAY, pairs(*rows[::-1]), query_size=(240, 320), index_size=(240, 320))
    np.testing.assert_array_equal(picture, again)
    colours = [picture[40 * i, 400].astype(int) for i in range(1, 11)]
    assert all(np.abs(a - b).max() > 60 for a, b in pairwise(colours))


@pytest.mark.parametrize("title", ["", "Colosseum, Rome", "x" * 500, "Ελλάδα 東京\n\ttwo lines"])
def test_titles(title: str) -> None:
    picture = draw(GRAY, GRAY, pairs(), query_size=(240, 320), index_size=(240, 320), title=title)
    assert picture.shape == (480 + 44 * bool(title), 1286, 3)
    if title:
        assert picture[:44].max() > 200
        assert picture[:44, -13:].max() < 40  # nothing runs into the margin


@settings(max_examples=25)
@given(
    st.tuples(*[st.integers(1, 90)] * 4),
    st.lists(st.tuples(*[st.floats(-500, 5000, width=32)] * 4), max_size=5),
)
def test_any_sizes_and_points(
    sizes: tuple[int, int, int, int], points: list[tuple[float, float, float, float]]
) -> None:
    query, index_image = (np.zeros((h, w, 3), np.uint8) for h, w in (sizes[:2], sizes[2:]))
    picture = draw(query, index_image, pairs(*points), query_size=(3000, 4000), index_size=(480, 640), title="t")
    assert picture.ndim == 3
    assert picture.flags.c_contiguous
