"""Is one run better than another, or is it noise? A paired bootstrap over the photographs (Efron & Tibshirani, 1993).

Both runs answered the same photographs. Each resample draws queries and distractors with replacement, the same ones
for both runs, and takes the difference of each figure; the middle 95 % of these differences are the interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from recognition import metrics
from recognition.metrics import Floats, Judged

RESAMPLES = 2000
FALSE_ACCEPTS = (0.0, 0.01, 0.05)
_CONFIDENCE = 0.95
_AT_ONCE = 2**21  # numbers in memory while resampling: sets of a hundred thousand photographs are drawn in portions

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """One figure of two runs, in [0, 1]; ``low`` and ``high`` bound the 95 % interval of ``after - before``."""

    figure: str
    before: float
    after: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """What was gained; negative: lost."""
        return self.after - self.before

    @property
    def verdict(self) -> Literal["gain", "loss", "noise"]:
        """Noise, unless the interval excludes zero."""
        if self.low > 0:
            return "gain"
        return "loss" if self.high < 0 else "noise"


def compare(
    before: Sequence[Judged], after: Sequence[Judged], *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Difference]:
    """The differences of top-1, mAP, µAP and, if there are distractors, of the recognition rates.

    Args:
        before, after: the answers of the two runs to the same photographs, in the same order, one query or more.
        resamples: how often is drawn, > 0. seed: the same seed gives the same intervals.

    Raises:
        ValueError: the photographs are not the same, or none of them is a query.
    """
    known = [answer.truth is not None for answer in before]
    if known != [answer.truth is not None for answer in after]:
        raise ValueError("the two runs did not answer the same photographs")
    if not any(known):
        raise ValueError("there is no query among the photographs")
    queries, distractors = np.flatnonzero(known), np.flatnonzero(~np.array(known))
    runs = [_Run.of(before, queries, distractors), _Run.of(after, queries, distractors)]
    drawn: dict[str, list[Floats]] = {}
    for draws in _draws(len(queries), len(distractors), resamples, seed):
        first, second = (run.figures(*draws) for run in runs)
        for name in first:
            drawn.setdefault(name, []).append(second[name] - first[name])
    observed = [figures(answers, distractors=len(distractors) > 0) for answers in (before, after)]
    return [_difference(name, observed[0], observed[1], np.concatenate(drawn[name])) for name in drawn]


def figures(answers: Sequence[Judged], *, distractors: bool = True) -> dict[str, float]:
    """The figures that are compared, by name, in [0, 1]; without distractors there are no recognition rates."""
    rates = FALSE_ACCEPTS if distractors else ()
    return {
        "top1": metrics.top1(answers),
        "mAP": metrics.mean_average_precision(answers),
        "µAP": metrics.micro_average_precision(answers),
        **{recognised(rate): metrics.recognised_at(answers, rate) for rate in rates},
    }


def recognised(rate: float) -> str:
    """The name of the recognition rate at a rate of false accepts."""
    return f"recognised at {rate:.0%} false accepts"


def _difference(name: str, before: Mapping[str, float], after: Mapping[str, float], drawn: Floats) -> Difference:
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Difference(name, before[name], after[name], float(low), float(high))


def _draws(queries: int, distractors: int, resamples: int, seed: int) -> Iterator[tuple[Ints, Ints]]:
    """Portions of int64 [r, queries] and [r, distractors]: what each of r resamples draws."""
    rng = np.random.default_rng(seed)
    portion = max(1, _AT_ONCE // (queries + distractors))
    for start in range(0, resamples, portion):
        rows = min(portion, resamples - start)
        # integers() refuses an upper end of 0, even when nothing is to be drawn
        yield rng.integers(queries, size=(rows, queries)), rng.integers(max(1, distractors), size=(rows, distractors))


@dataclass(frozen=True)
class _Run:
    """One run as arrays: the figures of a thousand resamples are a few array operations.

    Attributes:
        right, precision, confidence: float64 [queries]; confidence of the distractors: ``refused``, [distractors].
        place: int64 [queries + distractors], position in the order of falling confidence, as µAP wants it.
        right_at: float64 [queries + distractors], whether the answer at that position is right.
    """

    right: Floats
    precision: Floats
    confidence: Floats
    refused: Floats
    place: Ints
    right_at: Floats

    @classmethod
    def of(cls, answers: Sequence[Judged], queries: Ints, distractors: Ints) -> _Run:
        """From answers; queries, distractors: their positions."""
        both = np.concatenate((queries, distractors))
        confidence = np.array([answer.confidence for answer in answers], float)
        right = np.array([answer.right for answer in answers], float)
        order = np.argsort(-confidence, kind="stable")  # equal ones in the order given, as metrics has them
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return cls(
            right=right[queries],
            precision=np.array([metrics.mean_average_precision([answers[i]]) for i in queries], float),
            confidence=confidence[queries],
            refused=confidence[distractors],
            place=place[both],
            right_at=(right * (confidence > 0))[order],  # an answer with confidence 0 is no answer
        )

    def figures(self, queries: Ints, distractors: Ints) -> dict[str, Floats]:
        """The figures of r resamples, float64 [r] each; queries, distractors: as :func:`_draws` yields them."""
        found = {
            "top1": self.right[queries].mean(axis=1),
            "mAP": self.precision[queries].mean(axis=1),
            "µAP": self._micro(queries, distractors),
        }
        if self.refused.size:
            refused = np.sort(self.refused[distractors], axis=1)[:, ::-1]
            for rate in FALSE_ACCEPTS:
                found[recognised(rate)] = self._recognised(queries, refused, rate)
        return found

    def _micro(self, queries: Ints, distractors: Ints) -> Floats:
        drawn = np.sort(self.place[np.hstack((queries, distractors + len(self.right)))], axis=1)
        right = self.right_at[drawn]
        precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
        micro: Floats = (precision * right).sum(axis=1) / queries.shape[1]
        return micro

    def _recognised(self, queries: Ints, refused: Floats, rate: float) -> Floats:
        allowed = int(rate * refused.shape[1])
        threshold = refused[:, allowed] if allowed < refused.shape[1] else np.zeros(len(refused))
        named = self.right[queries] * (self.confidence[queries] > threshold[:, None])
        share: Floats = named.mean(axis=1)
        return share
