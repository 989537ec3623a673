"""The paired bootstrap: against figures taken one by one, and against what theory says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition import bootstrap, metrics
from recognition.bootstrap import Difference, compare
from recognition.metrics import Judged


def query(right: bool, confidence: float = 0.5) -> Judged:
    return Judged("a", "a" if right else "b", confidence, ["a"] if right else ["b", "a"], 1)


def distractor(confidence: float) -> Judged:
    return Judged(None, "a", confidence, ["a"], 0)


def by_name(found: list[Difference]) -> dict[str, Difference]:
    return {one.figure: one for one in found}


def test_a_run_against_itself_is_noise_of_zero() -> None:
    answers = [query(True), query(False), distractor(0.4)]
    for one in compare(answers, answers):
        assert (one.difference, one.low, one.high, one.verdict) == (0, 0, 0, "noise")


def test_all_wrong_to_all_right_is_certain() -> None:
    found = by_name(compare([query(False)] * 20, [query(True)] * 20))
    assert (found["top1"].before, found["top1"].after) == (0, 1)
    assert (found["top1"].low, found["top1"].high, found["top1"].verdict) == (1, 1, "gain")
    back = by_name(compare([query(True)] * 20, [query(False)] * 20))
    assert (back["top1"].difference, back["top1"].verdict) == (-1, "loss")


def test_the_interval_of_top1_is_that_of_mcnemars_normal_approximation() -> None:
    # 30 of 100 queries turn right, 10 turn wrong: the difference is .2 with a standard error of sqrt(.4 - .2^2) / 10.
    before = [query(False)] * 30 + [query(True)] * 10 + [query(True)] * 60
    after = [query(True)] * 30 + [query(False)] * 10 + [query(True)] * 60
    found = by_name(compare(before, after))["top1"]
    error = 1.96 * np.sqrt(0.4 - 0.2**2) / 10
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == (pytest.approx(0.2 - error, abs=0.02), pytest.approx(0.2 + error, abs=0.02))
    assert found.verdict == "gain"


def test_one_query_more_is_noise() -> None:
    assert by_name(compare([query(False), *[query(True)] * 99], [query(True)] * 100))["top1"].verdict == "noise"


def test_pairing_sees_what_two_separate_intervals_would_not() -> None:
    # Half of the queries are hopeless in both runs; 12 of 200 are gained and none is lost.
    before = [query(False)] * 112 + [query(True)] * 88
    after = [query(False)] * 100 + [query(True)] * 100
    found = by_name(compare(before, after))["top1"]
    assert found.verdict == "gain"
    assert found.high - found.low < 2 * 1.96 * np.sqrt(0.25 / 200)


def test_distractors_are_drawn_too() -> None:
    queries = [query(True, 0.5)] * 10
    quiet, loud = [distractor(0.1)] * 9, distractor(0.9)
    found = by_name(compare([*queries, *quiet, loud], [*queries, *quiet, distractor(0.2)]))
    at_zero = found["recognised at 0% false accepts"]
    assert (at_zero.before, at_zero.after) == (0, 1)
    # A resample without the loud distractor shows no difference: there are (9/10)^10 = 35 % of them.
    assert (at_zero.low, at_zero.high, at_zero.verdict) == (0, 1, "noise")
    assert found["top1"].verdict == "noise"


def test_without_distractors_there_are_no_rates() -> None:
    assert set(by_name(compare([query(True)], [query(True)]))) == {"top1", "mAP", "µAP"}


def test_the_same_seed_gives_the_same_interval_however_it_is_portioned(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    before = [query(bool(r), float(r)) for r in rng.integers(2, size=50)]
    after = [query(bool(r), float(r)) for r in rng.integers(2, size=50)]
    found = compare(before, after)
    assert found == compare(before, after)
    assert found != compare(before, after, seed=1)
    assert all(one.low < one.difference < one.high for one in found)
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 5000)
    assert found == compare(before, after)


def test_other_photographs_are_refused() -> None:
    with pytest.raises(ValueError, match="same photographs"):
        compare([query(True)], [distractor(0.1)])
    with pytest.raises(ValueError, match="no query"):
        compare([distractor(0.1)], [distractor(0.2)])


answers = st.builds(
    Judged,
    st.just("a"),
    st.sampled_from(["a", "b", None]),
    st.sampled_from([0.0, 0.25, 0.5, 0.5, 0.75, 1.0]),
    st.text("ab", max_size=4).map(list),
    st.integers(4, 6),
)
strangers = st.builds(
    Judged, st.none(), st.just("a"), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.just(["a"]), st.just(0)
)


@given(st.lists(answers, min_size=1, max_size=8), st.lists(strangers, min_size=1, max_size=8), st.integers(0, 99))
def test_a_resample_has_the_figures_of_its_photographs(queries: list[Judged], others: list[Judged], seed: int) -> None:
    every = queries + others
    run = bootstrap._Run.of(every, np.arange(len(queries)), np.arange(len(queries), len(every)))
    (draws,) = bootstrap._draws(len(queries), len(others), 3, seed)
    found = run.figures(*draws)
    for i in range(3):
        # Ties in the confidence stay in the order of the photographs: so does the list that metrics sorts.
        drawn = [queries[j] for j in sorted(draws[0][i])] + [others[j] for j in sorted(draws[1][i])]
        expected = bootstrap.figures(drawn)
        assert {name: values[i] for name, values in found.items()} == pytest.approx(expected)
        assert expected["mAP"] == metrics.mean_average_precision(drawn)
