from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recognition.errors import FeaturesError, FingerprintMismatch
from recognition.features import Features
from recognition.index.store import Index
from recognition.match import Candidates, match
from recognition.profiles import MatchParams
from recognition.search import make_searcher
from tests.support.scenes import index_of, mixed, scenes, seen_from

PARAMS = MatchParams(neighbours=5, max_distance=0.8)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return index_of(tmp_path, scenes(6), landmarks=[0, 0, 1, 2, 3, 4])


def run(features: Features, index: Index, params: MatchParams = PARAMS) -> Candidates:
    return match(features, index, make_searcher(index.parts), params)


def test_a_view_of_an_index_image_votes_for_it_first(index: Index) -> None:
    found = run(seen_from(scenes(6)[3]), index)
    assert found.images[0] == 3
    assert found.generation == index.generation
    rows = found.rows(0)
    assert rows == slice(0, int(found.boundaries[0]))
    np.testing.assert_array_equal(found.query_rows[rows], np.arange(60))
    np.testing.assert_array_equal(found.index_rows[rows], np.arange(60))


def test_every_match_is_within_the_bound_and_measured(index: Index) -> None:
    query = seen_from(scenes(6)[2], noise=0.1)
    found = run(query, index, replace(PARAMS, max_distance=1.0, one_to_one=False))
    assert len(found) > 1
    assert (np.diff(found.boundaries) > 0).all()
    for i, image in enumerate(found.images):
        rows = found.rows(i)
        theirs = index.descriptors(int(image))[found.index_rows[rows]]
        measured = np.linalg.norm(query.descriptors[found.query_rows[rows]] - theirs, axis=1)
        np.testing.assert_allclose(measured, found.distances[rows], atol=1e-5)
        assert (measured < 1.0).all()
        assert len(np.unique(found.query_rows[rows])) == len(measured), "a query feature counts once per image"


def test_one_to_one_keeps_the_nearest_claim(index: Index) -> None:
    scene = scenes(6)[4]
    near, far = seen_from(scene, noise=0.01), seen_from(scene, noise=0.08, seed=1)
    found = run(mixed(far, near), index)
    rows = found.rows(0)
    assert len(np.unique(found.index_rows[rows])) == 60
    assert (found.query_rows[rows] >= 60).all()
    both = run(mixed(far, near), index, replace(PARAMS, one_to_one=False))
    assert both.boundaries[0] == 120


def test_what_is_seen_on_many_landmarks_weighs_less(tmp_path: Path) -> None:
    window, own = scenes(2, 10)
    third = scenes(3, 10)[2]
    index = index_of(tmp_path, [mixed(window, own), window, mixed(window, third)], landmarks=[0, 1, 2])
    found = run(mixed(seen_from(window), seen_from(own)), index)
    weights = dict(zip(found.query_rows[found.rows(0)].tolist(), found.weights[found.rows(0)].tolist(), strict=True))
    assert found.images[0] == 0
    assert weights[0] == pytest.approx(1 / 3)
    assert weights[15] == 1


def test_max_candidates_keeps_those_with_most_votes(tmp_path: Path) -> None:
    images = scenes(6)
    images[1] = scenes(6, 30)[1]
    index = index_of(tmp_path, images)
    query = mixed(seen_from(scenes(6)[5]), seen_from(scenes(6, 30)[1]))
    everything = run(query, index, replace(PARAMS, max_distance=1.0))
    first = run(query, index, replace(PARAMS, max_distance=1.0, max_candidates=2))
    assert len(everything) > 2
    assert first.images.tolist() == everything.images[:2].tolist() == [5, 1]
    assert first.boundaries[-1] == len(first.query_rows) == everything.boundaries[1]


def test_no_features_and_no_neighbours_give_no_candidates(index: Index) -> None:
    scene = scenes(1)[0]
    empty = replace(
        scene,
        **{name: getattr(scene, name)[:0] for name in ("locations", "descriptors", "scores", "scales")},
    )
    assert len(run(empty, index)) == 0
    assert len(run(seen_from(scenes(9)[8]), index, replace(PARAMS, max_distance=0.01))) == 0


def test_another_extractors_features_are_refused(index: Index) -> None:
    with pytest.raises(FingerprintMismatch, match=r"delf@1.*test@0123456789abcdef"):
        run(replace(scenes(1)[0], extractor="delf@1"), index)


def test_candidates_survive_the_trip_through_bytes(index: Index) -> None:
    found = run(seen_from(scenes(6)[3]), index, replace(PARAMS, max_distance=1.2))
    back = Candidates.from_bytes(found.to_bytes())
    for name in Candidates.__slots__:
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name))
    with pytest.raises(FeaturesError, match="no candidates"):
        Candidates.from_bytes(found.to_bytes()[:100])
