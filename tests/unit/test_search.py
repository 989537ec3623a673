from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from recognition.search import ExactSearcher, KDTreeSearcher, exact
from recognition.search.base import Blocks


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


def brute_force(rows: np.ndarray, queries: np.ndarray, k: int, bound: float) -> tuple[np.ndarray, np.ndarray]:
    distances = np.linalg.norm(queries[:, None] - rows[None], axis=2)
    distances[distances >= bound] = np.inf
    found = np.where(np.isinf(distances), len(rows), np.arange(len(rows)))
    order = np.lexsort((found, distances), axis=1)[:, :k]
    padding = ((0, 0), (0, max(0, k - len(rows))))
    return (
        np.pad(np.take_along_axis(distances, order, 1), padding, constant_values=np.inf),
        np.pad(np.take_along_axis(found, order, 1), padding, constant_values=len(rows)),
    )


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    different=st.integers(1, 40),
    n=st.integers(1, 200),
    m=st.integers(1, 30),
    k=st.integers(1, 12),
    bound=st.floats(0.1, 2),
    tile=st.integers(1, 2000),
    cuts=st.lists(st.integers(0, 200), max_size=4),
)
def test_exact_is_brute_force_to_the_bit_whatever_repeats(
    seed: int, different: int, n: int, m: int, k: int, bound: float, tile: int, cuts: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    rows, queries = unit(rng, different)[rng.integers(different, size=n)], unit(rng, m)
    expected = brute_force(rows, queries, k, bound)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "TILE", tile)
        found = ExactSearcher(blocks_of(rows, cuts)).search(queries, k=k, max_distance=bound)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


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


def test_no_queries_and_no_descriptors() -> None:
    rows = unit(np.random.default_rng(6), 20)
    assert ExactSearcher([rows]).search(rows[:0], k=3, max_distance=1)[0].shape == (0, 3)
    distances, found = ExactSearcher([rows[:0]]).search(rows, k=3, max_distance=1)
    assert np.isinf(distances).all()
    assert (found == 0).all()


def test_gather_reads_rows_across_blocks() -> None:
    rows = unit(np.random.default_rng(4), 50)
    wanted = np.array([49, 0, 20, 19, 21, 20])
    np.testing.assert_array_equal(Blocks(blocks_of(rows, [20, 20, 35])).gather(wanted), rows[wanted])
