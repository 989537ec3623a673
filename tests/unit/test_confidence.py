from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition import confidence
from recognition.confidence import Calibration


@given(st.floats(0.01, 1e4), st.floats(0, 1e4), st.floats(1.01, 10))
def test_more_inliers_mean_more_confidence_and_a_rival_less(best: float, second: float, more: float) -> None:
    shipped = confidence.load("xfeat@0123")
    here = shipped.probability(best, second)
    assert 0 <= here <= 1
    assert shipped.probability(best * more, second) >= here
    assert shipped.probability(best, second * more) <= here


def test_no_inlier_is_no_confidence() -> None:
    assert confidence.load("xfeat").probability(0, 0) == 0


def test_an_extractor_without_its_own_curve_gets_the_default() -> None:
    assert confidence.load("unheard-of@1") == confidence.load("default")


def test_a_profile_without_its_own_curve_gets_its_extractors() -> None:
    usual = confidence.load("xfeat", "efficientnet_lite0")
    assert confidence.load("xfeat", "efficientnet_lite0", profile="seed") == usual
    assert confidence.load("xfeat", "efficientnet_lite0", profile="fast") != usual


def test_fit_recovers_the_curve_that_judged() -> None:
    rng = np.random.default_rng(0)
    truth = Calibration(-6.0, 4.0, -1.5)
    scores = np.column_stack((rng.gamma(2, 3, 20_000), rng.gamma(2, 1, 20_000)))
    right = [rng.random() < truth.probability(*pair) for pair in scores]
    fitted = confidence.fit(scores, right)
    assert (fitted.intercept, fitted.best, fitted.second) == pytest.approx((-6, 4, -1.5), abs=0.3)
    assert Calibration(**json.loads(fitted.to_json())) == fitted


def test_answers_that_are_all_right_still_give_a_curve() -> None:
    fitted = confidence.fit([[10.0, 1.0], [20.0, 2.0]], [True, True])
    assert np.isfinite([fitted.intercept, fitted.best, fitted.second]).all()


def test_an_embedder_has_a_curve_of_its_own() -> None:
    both = confidence.load("xfeat@1", "efficientnet_lite0@2")
    assert both != confidence.load("xfeat@1")
    assert confidence.load("unheard-of@1", "neither@2") == confidence.load("default", "another")
    assert both.rival > 0


def test_a_lonely_landmark_is_reckoned_to_have_a_rival() -> None:
    curve = Calibration(-6.0, 4.0, -1.5, rival=5.0)
    assert curve.probability(10, 0) == curve.probability(10, 5) > curve.probability(10, 6)


def test_fit_reckons_with_the_rival() -> None:
    rng = np.random.default_rng(1)
    truth = Calibration(-2.0, 4.0, -4.0, rival=3.0)
    scores = np.column_stack((rng.gamma(2, 3, 20_000), rng.gamma(2, 2, 20_000)))
    right = [rng.random() < truth.probability(*pair) for pair in scores]
    fitted = confidence.fit(scores, right, rival=3.0)
    assert (fitted.intercept, fitted.best) == pytest.approx((-2, 4), abs=0.3)
    assert fitted.second == -fitted.best
    assert fitted.rival == 3.0
