"""Which keypoints are kept."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recognition.extractors.spread import CELLS, POOL, SHARE, spread


def scattered(count: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, np.array(size) - 1, (count, 2)).astype(np.float32)


@given(
    st.integers(0, 400),
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.integers(0, 500),
    st.integers(0, 2**32 - 1),
)
def test_keeps_as_many_as_asked_for_in_their_order(count: int, size: tuple[int, int], keep: int, seed: int) -> None:
    rows = spread(scattered(count, size, seed), size, keep)
    assert len(rows) == min(count, keep)
    assert (np.diff(rows) > 0).all()
    assert set(rows.tolist()) <= set(range(count))


@given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_the_best_are_always_kept(keep: int, seed: int) -> None:
    """The share that is not dealt out to the cells goes to the best, wherever they are."""
    rows = spread(scattered(400, (480, 640), seed), (480, 640), keep)
    certain = int(keep * (1 - SHARE))
    np.testing.assert_array_equal(rows[:certain], np.arange(certain))


def test_a_weak_half_is_not_forgotten() -> None:
    """All strong keypoints are in the left half: without a quota the right one would have none."""
    strong = scattered(1000, (400, 400))
    weak = scattered(1000, (400, 400), seed=1) + np.array([0, 400], np.float32)
    rows = spread(np.concatenate((strong, weak)), (400, 800), 1000)
    assert (rows >= 1000).sum() >= 200
    assert (rows < 1000).sum() >= 500


def test_an_empty_cell_costs_nothing() -> None:
    """What a cell can't fill goes to the best of all."""
    corner = scattered(2000, (20, 20))
    rows = spread(corner, (800, 800), 1000)
    np.testing.assert_array_equal(rows, np.arange(1000))


def test_cells_are_square_and_follow_the_longer_side() -> None:
    """One keypoint per cell of a picture of 2:1, best ones last in every cell: each cell keeps its first."""
    side = 80
    centres = np.stack(np.meshgrid(np.arange(4), np.arange(CELLS), indexing="ij"), axis=-1).reshape(-1, 2)
    first = (centres + 0.5).astype(np.float32) * side
    crowd = np.tile(first[:1], (200, 1))
    rows = spread(np.concatenate((crowd, first[1:])), (4 * side, CELLS * side), 2 * len(first))
    assert set(range(200, 200 + len(first) - 1)) <= set(rows.tolist())


def test_the_weakest_are_sky() -> None:
    """What is far behind the best is not kept for being alone in its part of the picture."""
    facade, sky = scattered(POOL * 100, (400, 400)), scattered(500, (400, 400), seed=1) + np.array([0, 400], np.float32)
    rows = spread(np.concatenate((facade, sky)), (400, 800), 100)
    assert (rows < POOL * 100).all()
