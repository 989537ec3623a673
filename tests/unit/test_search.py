from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from recognition import search
from recognition.search import ExactSearcher, KDTreeSearcher, gather, make_searcher


def unit(rng: np.random.Generator, n: int, dimension: int = 8) -> np.ndarray:
    rows = rng.normal(size=(n, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def blocks_of(rows: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    return np.split(rows, sorted(min(cut, len(rows)) for cut in cuts))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 200),
    m=st.integers(1, 30),
    k=st.integers(1, 12),
    bound=st.floats(0.1, 2),
    cuts=st.lists(st.integers(0, 200), max_size=3),
)
def test_exact_and_kdtree_answer_as_ckdtree(seed: int, n: int, m: int, k: int, bound: float, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    rows, queries = unit(rng, n), unit(rng, m)
    expected, _ = cKDTree(rows).query(queries, k=list(range(1, k + 1)), distance_upper_bound=bound)
    for searcher in (KDTreeSearcher([rows]), ExactSearcher(blocks_of(rows, cuts))):
        distances, found = searcher.search(queries, k=k, max_distance=bound)
        assert distances.shape == found.shape == (m, k)
        assert distances.dtype == np.float32
        np.testing.assert_allclose(distances, expected, atol=1e-5)
        assert (found[np.isinf(distances)] == n).all()
        owner, rank = np.nonzero(np.isfinite(distances))
        measured = np.linalg.norm(queries[owner] - rows[found[owner, rank]], axis=1)
        np.testing.assert_allclose(measured, distances[owner, rank], atol=1e-5)


def test_exact_goes_over_many_blocks_of_one_array(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    rows, queries = unit(rng, 1000), unit(rng, 50)
    whole = ExactSearcher([rows]).search(queries, k=5, max_distance=0.9)
    monkeypatch.setattr(search, "BLOCK_ROWS", 64)
    parts = ExactSearcher([rows]).search(queries, k=5, max_distance=0.9)
    np.testing.assert_array_equal(whole[1], parts[1])
    np.testing.assert_array_equal(whole[0], parts[0])


def test_a_copy_is_found_at_distance_zero() -> None:
    rows = unit(np.random.default_rng(2), 500, 40)
    distances, found = ExactSearcher([rows]).search(rows[::7], k=1, max_distance=0.8)
    np.testing.assert_array_equal(found[:, 0], np.arange(0, 500, 7))
    assert (distances == 0).all()


def test_equal_distances_come_in_the_order_of_rows() -> None:
    row = unit(np.random.default_rng(3), 1)
    distances, found = ExactSearcher([np.repeat(row, 6, axis=0)]).search(row, k=4, max_distance=1)
    assert found.tolist() == [[0, 1, 2, 3]]
    assert (distances < 1e-6).all()


def test_gather_reads_rows_across_blocks() -> None:
    rows = unit(np.random.default_rng(4), 50)
    wanted = np.array([49, 0, 20, 19, 21, 20])
    np.testing.assert_array_equal(gather(blocks_of(rows, [20, 20, 35]), wanted), rows[wanted])


def test_auto_takes_the_kdtree_only_at_the_origins_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "KDTREE_MAX_DESCRIPTORS", 100)
    rows = unit(np.random.default_rng(5), 101)
    assert isinstance(make_searcher([rows[:100]]), KDTreeSearcher)
    assert isinstance(make_searcher([rows]), ExactSearcher)
    assert isinstance(make_searcher([rows], "kdtree"), KDTreeSearcher)
    assert isinstance(make_searcher([rows[:5]], "exact"), ExactSearcher)
