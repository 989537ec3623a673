"""What an image's score is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.profiles import RankParams
from recognition.score import _best_sibling, by_score
from recognition.verify import VerifiedMatch
from tests.support.scenes import index_of, scenes


def verified(image: int, score: float) -> VerifiedMatch:
    return VerifiedMatch(image, 9, round(score), score, None, np.empty((0, 4), np.float32))


def test_a_landmarks_images_support_each_other(tmp_path: Path) -> None:
    index = index_of(tmp_path, scenes(4, 10), landmarks=[0, 0, 0, 1])
    matches = [verified(0, 10), verified(1, 8), verified(2, 0), verified(3, 9)]
    ordered = by_score(matches, None, index, RankParams(support=0.25))
    scores = {one.match.image: one.score for one in ordered}
    assert scores == pytest.approx({0: 10 + 2, 1: 8 + 2.5, 2: 2.5, 3: 9})
    assert [one.match.image for one in ordered] == [0, 1, 3, 2]


def test_similarity_counts_and_never_below_zero(tmp_path: Path) -> None:
    index = index_of(tmp_path, scenes(2, 10), landmarks=[0, 1])
    similarities = np.array([0.5, -0.5], np.float32)
    ordered = by_score([verified(0, 3), verified(1, 3)], similarities, index, RankParams(similarity=20, support=0))
    assert [(one.score, one.similarity) for one in ordered] == [(13, 0.5), (0, -0.5)]


def test_nothing_verified(tmp_path: Path) -> None:
    index = index_of(tmp_path, scenes(1, 10), landmarks=[0])
    assert by_score([], None, index, RankParams()) == []


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 3)), max_size=12))
def test_the_best_sibling_is_the_best_of_the_others(rows: list[tuple[float, int]]) -> None:
    scores = np.array([score for score, _ in rows], np.float64)
    landmarks = np.array([landmark for _, landmark in rows], np.int32)
    expected = [
        max((s for j, (s, other) in enumerate(rows) if other == landmark and j != i), default=0.0)
        for i, (_, landmark) in enumerate(rows)
    ]
    np.testing.assert_array_equal(_best_sibling(scores, landmarks), expected)
