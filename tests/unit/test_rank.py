from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recognition.confidence import Calibration
from recognition.index.store import Index
from recognition.profiles import RankParams
from recognition.rank import Recognition, rank
from recognition.verify import VerifiedMatch
from tests.support.scenes import index_of, scenes

CURVE = Calibration(-10.0, 6.0, -2.0)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return index_of(tmp_path, scenes(5, 10), landmarks=[0, 0, 1, 2, 3])


def verified(image: int, score: float, refused: str | None = None, *, left: float = 20) -> VerifiedMatch:
    if refused:
        return VerifiedMatch(image, 7, 0, 0.0, None, np.empty((0, 4), np.float32), refused)
    pairs = np.linspace((10, left, 1, 2), (110, left + 200, 11, 22), 21, dtype=np.float32)
    return VerifiedMatch(image, 30, round(score), score, np.array([[1, 0, 9], [0, 1, 18.0]]), pairs)


def answer(index: Index, *matches: VerifiedMatch, features: int = 100, params: RankParams | None = None) -> Recognition:
    return rank(matches, index, features=features, calibration=CURVE, params=params or RankParams())


def test_the_landmark_of_the_best_image_is_named(index: Index) -> None:
    found = answer(index, verified(2, 5), verified(1, 25), verified(0, 20))
    assert found.landmark is not None
    assert (found.landmark.id, found.landmark.title) == ("landmark-0", "Landmark 0")
    assert found.landmark.confidence == pytest.approx(CURVE.probability(25 + 0.1 * 20, 5), abs=1e-4)
    assert found.landmark.box == (10, 20, 110, 220)
    assert found.landmarks == [found.landmark]
    assert [candidate.image for candidate in found.candidates] == ["1.jpg", "0.jpg", "2.jpg"]
    assert found.candidates[0].confidence == found.candidates[1].confidence > found.candidates[2].confidence
    assert found.reason is None


def test_another_image_of_the_same_landmark_is_no_rival(index: Index) -> None:
    alone = answer(index, verified(1, 20))
    together = answer(index, verified(1, 20), verified(0, 19))
    contested = answer(index, verified(1, 20), verified(2, 19))
    assert alone.candidates[0].confidence < together.candidates[0].confidence
    assert contested.candidates[0].confidence < alone.candidates[0].confidence


def test_low_confidence_is_unknown_and_says_so(index: Index) -> None:
    found = answer(index, verified(1, 4))
    assert found.landmark is None
    assert found.landmarks == []
    assert found.reason is not None
    assert found.reason["code"] == "low_confidence"
    assert "below 0.5" in found.reason["message"]
    assert answer(index, verified(1, 4), params=RankParams(threshold=0)).landmark is not None


def test_three_inliers_name_nothing(index: Index) -> None:
    """Any three matches fit an affine transform."""
    found = answer(index, verified(1, 3), params=RankParams(threshold=0))
    assert found.landmark is None
    assert found.reason is not None
    assert found.reason["code"] == "no_match"
    assert found.candidates[0].inliers == 3


def test_why_nothing_was_found(index: Index) -> None:
    blank = answer(index, features=0)
    assert blank.reason is not None
    assert blank.reason["code"] == "no_features"
    refused = answer(index, verified(1, 0, "mirrored"), params=RankParams(threshold=0))
    assert refused.reason is not None
    assert refused.reason["code"] == "no_match"
    assert refused.candidates[0].refused == "mirrored"
    assert refused.candidates[0].confidence == 0


def test_equal_scores_keep_the_order_of_the_votes(index: Index) -> None:
    found = answer(index, verified(4, 0, "no_model"), verified(3, 12), verified(2, 12), verified(0, 0, "shear"))
    assert [candidate.image for candidate in found.candidates] == ["3.jpg", "2.jpg", "4.jpg", "0.jpg"]


def test_the_answer_is_json_and_nothing_but_json(index: Index) -> None:
    found = answer(index, verified(1, 25), verified(2, 0, "scale"), params=RankParams(max_candidates=1)).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert len(found["candidates"]) == 1
    assert found["candidates"][0]["transform"] == [[1, 0, 9], [0, 1, 18]]
    assert found["candidates"][0]["correspondences"][::20] == [[10, 20, 1, 2], [110, 220, 11, 22]]
    assert found["index_generation"] == index.generation
    assert found["extractor"] == index.fingerprint


def test_a_second_landmark_elsewhere_in_the_picture_is_named_too(index: Index) -> None:
    found = answer(index, verified(0, 60), verified(2, 40, left=400), verified(3, 3))
    assert [one.id for one in found.landmarks] == ["landmark-0", "landmark-1"]
    assert found.landmark == found.landmarks[0]
    assert found.landmarks[1].confidence == pytest.approx(CURVE.probability(40, 3), abs=1e-4)
    assert found.landmarks[1].box == (10, 400, 110, 600)


def test_the_image_that_speaks_for_a_landmark_is_told_of(index: Index) -> None:
    few = RankParams(max_candidates=2)
    found = answer(index, verified(0, 60), verified(1, 50), verified(2, 40, left=400), verified(3, 3), params=few)
    assert [one.id for one in found.landmarks] == ["landmark-0", "landmark-1"]
    assert [candidate.image for candidate in found.candidates] == ["0.jpg", "1.jpg", "2.jpg"]


def test_a_rival_for_the_same_place_is_not_named_beside_it(index: Index) -> None:
    found = answer(index, verified(0, 60), verified(2, 40))
    assert [one.id for one in found.landmarks] == ["landmark-0"]


def test_equals_beside_each_other_are_two_buildings_and_for_one_place_rivals(index: Index) -> None:
    beside = answer(index, verified(0, 10), verified(2, 10, left=400), verified(3, 10, left=800), verified(4, 3))
    assert [one.id for one in beside.landmarks] == ["landmark-0", "landmark-1", "landmark-2"]
    assert {one.confidence for one in beside.landmarks} == {round(CURVE.probability(10, 3), 4)}
    assert beside.landmark == beside.landmarks[0]
    rivals = answer(index, verified(0, 10), verified(2, 10))
    assert rivals.landmarks == []
    assert rivals.candidates[0].confidence == pytest.approx(CURVE.probability(10, 10), abs=1e-4)


def test_of_equals_the_one_that_fills_more_of_the_picture_is_the_main_one(index: Index) -> None:
    large = verified(2, 9.9, left=400)
    large.pairs[:, :2] = np.linspace((10, 400), (500, 900), len(large.pairs))
    found = answer(index, verified(0, 10), large, verified(3, 3))
    assert [one.id for one in found.landmarks] == ["landmark-1", "landmark-0"]
    assert found.landmark == found.landmarks[0]
    assert [candidate.image for candidate in found.candidates] == ["0.jpg", "2.jpg", "3.jpg"]


def test_nothing_is_named_behind_an_unsure_first(index: Index) -> None:
    found = answer(index, verified(0, 4), verified(2, 3.9, left=400))
    assert found.landmarks == []
