from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition import metrics
from recognition.metrics import Judged


def answer(truth: str | None, best: str | None, confidence: float, ranking: str = "", relevant: int = 1) -> Judged:
    return Judged(truth, best, confidence, list(ranking), relevant)


# Two right, one wrong, one distractor in between: worked out by hand.
ANSWERS = [
    answer("a", "a", 0.9, "aab", 2),
    answer("b", "b", 0.5, "cb", 1),
    answer("c", "a", 0.4, "abc", 1),
    answer(None, "a", 0.7, "a"),
]


def test_top1_and_recall() -> None:
    assert metrics.top1(ANSWERS) == pytest.approx(2 / 3)
    assert metrics.recall_at(ANSWERS, 1) == pytest.approx(1 / 3)
    assert metrics.recall_at(ANSWERS, 2) == pytest.approx(2 / 3)
    assert metrics.recall_at(ANSWERS, 10) == 1


@pytest.mark.parametrize(
    ("ranks", "relevant", "expected"),
    [
        ([0, 1, 2], 3, 1.0),
        ([1], 1, (0 + 1 / 2) / 2),
        ([0, 2], 2, (1 + (1 / 2 + 2 / 3) / 2) / 2),
        ([0], 4, 0.25),
        ([], 4, 0.0),
        ([], 0, 0.0),
    ],
)
def test_average_precision_counts_as_roxford(ranks: list[int], relevant: int, expected: float) -> None:
    assert metrics.average_precision(np.array(ranks, np.int64), relevant) == pytest.approx(expected)


def test_map_is_the_mean_over_queries() -> None:
    third = ((0 / 2) + (1 / 3)) / 2
    assert metrics.mean_average_precision(ANSWERS) == pytest.approx((1 + 0.25 + third) / 3)


def test_micro_average_precision_by_hand() -> None:
    # Sorted: 0.9 right (1/1), 0.7 distractor, 0.5 right (2/3), 0.4 wrong; divided by three queries.
    assert metrics.micro_average_precision(ANSWERS) == pytest.approx((1 + 2 / 3) / 3)
    silent = [answer("a", "a", 0.0)]
    assert metrics.micro_average_precision(silent) == 0


def test_recognised_at_a_false_accept_rate() -> None:
    assert metrics.recognised_at(ANSWERS, 0) == pytest.approx(1 / 3)
    assert metrics.recognised_at(ANSWERS, 1) == pytest.approx(2 / 3)
    hundred = ANSWERS[:3] + [answer(None, "a", confidence / 100) for confidence in range(100)]
    assert metrics.recognised_at(hundred, 0.0) == 0
    assert metrics.recognised_at(hundred, 0.5) == pytest.approx(2 / 3)


def test_calibration_error_and_reliability() -> None:
    sure = [answer("a", "a", 0.95)] * 19 + [answer("a", "b", 0.95)]
    assert metrics.calibration_error(sure) == pytest.approx(0)
    boastful = [answer(None, "a", 0.9)] * 10
    assert metrics.calibration_error(boastful) == pytest.approx(0.9)
    assert metrics.reliability(sure + boastful) == [(pytest.approx(0.9333, abs=1e-3), pytest.approx(19 / 30), 30)]
    assert metrics.calibration_error([answer("a", "a", 1.0)]) == 0


@pytest.mark.parametrize(
    "figure",
    [
        metrics.top1,
        metrics.mean_average_precision,
        metrics.micro_average_precision,
        metrics.calibration_error,
        lambda answers: metrics.recall_at(answers, 5),
        lambda answers: metrics.recognised_at(answers, 0.01),
    ],
)
def test_no_answers_give_zero(figure: object) -> None:
    assert figure([]) == 0  # type: ignore[operator]


@given(
    st.lists(
        st.builds(
            answer,
            st.sampled_from(["a", "b", None]),
            st.sampled_from(["a", "b", None]),
            st.floats(0, 1),
            st.text("ab", max_size=6),
            st.integers(6, 9),
        ),
        max_size=30,
    )
)
def test_every_figure_is_a_share(answers: list[Judged]) -> None:
    found = [
        metrics.top1(answers),
        metrics.mean_average_precision(answers),
        metrics.micro_average_precision(answers),
        metrics.calibration_error(answers),
        metrics.recognised_at(answers, 0.01),
    ]
    assert all(0 <= value <= 1 + 1e-9 for value in found)
    assert metrics.recognised_at(answers, 0) <= metrics.recognised_at(answers, 0.05) <= metrics.top1(answers) + 1e-9
