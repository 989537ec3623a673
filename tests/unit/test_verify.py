from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.features import Float32
from recognition.match import match
from recognition.profiles import DEFAULT, VerifyParams
from recognition.search import make_searcher
from recognition.verify import Putative, VerifiedMatch, effective_inliers, verify, verify_matches
from tests.support.scenes import VIEW, index_of, scenes, seen_from

PARAMS = VerifyParams()


def pair(
    linear: list[list[float]], inliers: int = 40, outliers: int = 20, params: VerifyParams = PARAMS, seed: int = 0
) -> VerifiedMatch:
    """Verify matches of which ``inliers`` follow a known transform, between two 640-pixel pictures."""
    rng = np.random.default_rng(seed)
    index = (rng.random((inliers + outliers, 2)) * (480, 640)).astype(np.float32)
    query = (index @ np.array(linear).T + (30, 20)).astype(np.float32)
    query[inliers:] = rng.random((outliers, 2)) * (480, 640)
    return verify_one(query, index, params=params)


def putative(
    query: Float32,
    index: Float32,
    *ends: int,
    size: tuple[int, int] = (480, 640),
    index_size: tuple[int, int] = (480, 640),
) -> Putative:
    """Matches of weight 1, all with one picture, or with one per number in ``ends``."""
    boundaries = np.array(ends or [len(index)])
    sizes = np.array([index_size] * len(boundaries), np.int32)
    return Putative(query, index, np.ones(len(index), np.float32), boundaries, size, sizes)


def verify_one(
    query: Float32, index: Float32, *, params: VerifyParams = PARAMS, **sizes: tuple[int, int]
) -> VerifiedMatch:
    (found,) = verify_matches(putative(query, index, **sizes), params)
    return found


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    share=st.floats(0.3, 0.9),
    angle=st.floats(-3.1, 3.1),
    scale=st.floats(0.4, 2.5),
)
def test_fast_agrees_with_skimage(seed: int, share: float, angle: float, scale: float) -> None:
    turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    count = {"inliers": int(100 * share), "outliers": 100 - int(100 * share), "seed": seed}
    fast = pair((np.array(turn) * scale).tolist(), **count)
    slow = pair((np.array(turn) * scale).tolist(), **count, params=replace(PARAMS, method="skimage"))
    assert fast.refused is slow.refused is None
    # Outliers that fall within the residual by chance depend on which minimal sample won.
    assert abs(fast.inliers - slow.inliers) <= 3
    assert fast.inliers >= int(100 * share)


def test_the_transform_maps_index_to_query_in_original_pixels() -> None:
    rng = np.random.default_rng(0)
    index = (rng.random((50, 2)) * (3000, 4000)).astype(np.float32)
    query = (index @ VIEW[:, :2].T / 4 + VIEW[:, 2]).astype(np.float32)
    found = verify_one(query, index, size=(1000, 800), index_size=(3000, 4000))
    assert found.inliers == 50
    assert found.transform is not None
    np.testing.assert_allclose(found.transform[:, :2], VIEW[:, :2] / 4, atol=1e-4)
    np.testing.assert_allclose(found.transform[:, 2], VIEW[:, 2], atol=0.1)
    top, left, bottom, right = found.box or (0, 0, 0, 0)
    assert (top, left) == (query[:, 0].min(), query[:, 1].min())
    assert (bottom, right) == (query[:, 0].max(), query[:, 1].max())
    np.testing.assert_array_equal(found.pairs, np.hstack((query, index)))


@pytest.mark.parametrize(
    ("linear", "reason"),
    [
        ([[1, 0], [0, -1]], "mirrored"),
        ([[0.1, 0], [0, 0.1]], "scale"),
        ([[7, 0], [0, 7]], "scale"),
        ([[0.3, 0], [0, 1.2]], "shear"),
    ],
)
def test_degenerate_models_are_refused_by_name(linear: list[list[float]], reason: str) -> None:
    found = pair(linear, outliers=0)
    assert (found.refused, found.inliers, found.score, found.transform) == (reason, 0, 0.0, None)
    assert found.box is None
    kept = pair(linear, outliers=0, params=replace(PARAMS, check_model=False))
    assert kept.inliers == 40


def test_too_few_matches_and_no_model() -> None:
    assert pair([[1, 0], [0, 1]], inliers=3, outliers=0).refused == "too_few_matches"
    same = np.full((6, 2), 100, np.float32)
    for method in ("fast", "skimage"):
        found = verify_one(same, same, params=replace(PARAMS, method=method))  # type: ignore[arg-type]
        assert found.refused is not None
        assert found.score == 0


@pytest.mark.parametrize("method", ["fast", "skimage"])
def test_the_same_matches_give_the_same_answer(method: str) -> None:
    params = replace(PARAMS, method=method)  # type: ignore[arg-type]
    first, second = (pair([[0.8, 0.1], [-0.1, 0.8]], 20, 60, params) for _ in range(2))
    assert first.transform is not None
    assert second.transform is not None
    assert first.transform.tobytes() == second.transform.tobytes()
    assert first.pairs.tobytes() == second.pairs.tobytes()


def test_inliers_count_by_their_spread() -> None:
    heap = np.full((30, 2), 5, np.float32)
    spread = np.array([[0, 0], [0, 20], [20, 0]], np.float32)
    weights = np.array([1, 0.5, 0.25], np.float32)
    assert effective(heap, heap, np.ones(30, np.float32), 8) == [1]
    assert effective(spread, spread, weights, 8) == [1.75]
    assert effective(spread, heap[:3], weights, 8) == [1], "the picture with fewer cells decides"
    assert effective(heap, heap, np.ones(30, np.float32), 0) == [30]
    assert effective(spread, spread, weights, 8, owner=[1, 1, 3], count=5) == [0, 1.5, 0, 0.25, 0], "each by its own"
    assert effective(heap[:0], heap[:0], weights[:0], 8) == [0]


def effective(
    query: Float32, index: Float32, weights: Float32, cell: float, *, owner: list[int] | None = None, count: int = 1
) -> list[float]:
    owners = np.array(owner or [0] * len(query), np.int64)
    found: list[float] = effective_inliers(query, index, weights, owners, count, cell).tolist()
    return found


@pytest.mark.parametrize(
    "params", [PARAMS, replace(PARAMS, check_model=False, cell=0), replace(PARAMS, method="skimage")]
)
def test_all_at_once_is_bit_for_bit_what_one_by_one_is(params: VerifyParams) -> None:
    rng = np.random.default_rng(3)
    index = (rng.random((195, 2)) * (480, 640)).astype(np.float32)
    query = (index @ VIEW[:, :2].T + VIEW[:, 2] + rng.normal(0, 1, (195, 2))).astype(np.float32)
    query[rng.random(195) < 0.4] = 7
    query[100:140] = index[100:140] * (1, -1) + (0, 640)
    query[170:] = 5
    ends = [50, 50, 53, 100, 140, 170, 195]  # a good one, none, too few, a good one, a mirror, a good one, no model
    together = verify_matches(putative(query, index, *ends), params, range(10, 17))
    assert [found.image for found in together] == list(range(10, 17))
    assert together[0].inliers > 10
    for found, start, end in zip(together, [0, *ends], ends, strict=False):
        alone = verify_one(query[start:end], index[start:end], params=params)
        assert plain(found) == plain(alone)


def plain(found: VerifiedMatch) -> tuple[object, ...]:
    transform = None if found.transform is None else found.transform.tobytes()
    return found.matches, found.inliers, found.score, transform, found.pairs.tobytes(), found.refused, found.box


def test_verify_answers_for_every_candidate_in_order(tmp_path: Path) -> None:
    images = scenes(5)
    index = index_of(tmp_path, images)
    query = seen_from(images[2])
    found = match(query, index, make_searcher(index.parts), replace(DEFAULT.match, max_distance=1.2))
    verified = verify(query, found, index, PARAMS)
    assert [v.image for v in verified] == found.images.tolist()
    assert verified[0].image == 2
    assert verified[0].inliers >= 55
    assert all(v.inliers < 10 for v in verified[1:])
    assert [v.matches for v in verified] == np.diff(found.boundaries, prepend=0).tolist()
