"""Keypoints from the network's maps, against what is slow and obvious."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recognition.extractors.xfeat_keypoints import local_maxima, sample_bilinear

maps = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000))


@given(maps)
def test_local_maxima(shape: tuple[int, int, int, int]) -> None:
    """Plateaus are found whole; the last row and column never."""
    *size, seed = shape
    heat = np.random.default_rng(seed).integers(0, 5, size).astype(np.float32)
    batch, height, width = size
    expected = [
        (b, y, x)
        for b in range(batch)
        for y in range(height - 1)
        for x in range(width - 1)
        if heat[b, y, x] > 2 and heat[b, y, x] == heat[b, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].max()
    ]
    found = local_maxima(heat, 2)
    assert found.dtype == np.int32
    assert found.shape == (len(expected), 3)
    assert list(map(tuple, found.tolist())) == expected


@given(maps)
def test_sample_bilinear(shape: tuple[int, int, int, int]) -> None:
    """Weights fall off linearly with the distance, and the map is surrounded by zeros."""
    batch, height, width, seed = shape
    rng = np.random.default_rng(seed)
    values = rng.random((batch, height, width), np.float32)
    extent = (height * 8, width * 8)
    where = rng.integers(0, (batch, *extent), (20, 3)).astype(np.int32)
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
    expected = []
    for b, y, x in where:
        row, column = y / (extent[0] - 1) * height - 0.5, x / (extent[1] - 1) * width - 0.5
        rows = np.maximum(1 - np.abs(np.arange(-1, height + 1) - row), 0)
        columns = np.maximum(1 - np.abs(np.arange(-1, width + 1) - column), 0)
        expected.append(rows @ padded[b] @ columns)
    found = sample_bilinear(values, where, extent)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
