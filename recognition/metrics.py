"""Quality of answers: top-1, recall@k, mAP, µAP, recognition rate at a false-accept rate, calibration error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """One answered photograph.

    Attributes:
        truth: id of the landmark that it shows, or None for a distractor.
        best: the landmark put first, whatever its confidence, or None when there is no candidate at all.
        confidence: of ``best``, in [0, 1].
        ranking: landmark ids of the index images in the order in which they were ranked.
        relevant: number of index images of ``truth``.
    """

    truth: str | None
    best: str | None
    confidence: float
    ranking: Sequence[str]
    relevant: int

    @property
    def right(self) -> bool:
        """Whether the landmark ranked first is the one shown."""
        return self.truth is not None and self.best == self.truth


def top1(answers: Sequence[Judged]) -> float:
    """Share of the queries whose first landmark is right, in [0, 1]; distractors do not count."""
    queries = [answer.right for answer in answers if answer.truth is not None]
    return float(np.mean(queries)) if queries else 0.0


def recall_at(answers: Sequence[Judged], k: int) -> float:
    """Share of the queries with an index image of their landmark among the first k, in [0, 1]."""
    queries = [answer.truth in answer.ranking[:k] for answer in answers if answer.truth is not None]
    return float(np.mean(queries)) if queries else 0.0


def average_precision(relevant_ranks: npt.NDArray[np.int64], relevant: int) -> float:
    """Average precision as Oxford Buildings and ROxford count it (trapezoids; Radenovic et al., CVPR 2018).

    Args:
        relevant_ranks: int64 [r], zero-based ranks of the relevant images that were found, ascending.
        relevant: how many there are in the index.
    """
    if not relevant:
        return 0.0
    found = np.arange(len(relevant_ranks), dtype=float)
    before = np.where(relevant_ranks == 0, 1.0, found / np.maximum(relevant_ranks, 1))
    after = (found + 1) / (relevant_ranks + 1)
    return float(((before + after) / 2).sum() / relevant)


def mean_average_precision(answers: Sequence[Judged]) -> float:
    """Mean of :func:`average_precision` over the queries, in [0, 1]."""
    values = [
        average_precision(np.nonzero([landmark == answer.truth for landmark in answer.ranking])[0], answer.relevant)
        for answer in answers
        if answer.truth is not None
    ]
    return float(np.mean(values)) if values else 0.0


def micro_average_precision(answers: Sequence[Judged]) -> float:
    """µAP, the Google Landmark Recognition "GAP" (Perronnin et al., CVPR 2009), in [0, 1].

    All answers, those to distractors too, are sorted by confidence; the precision at each right one is summed and
    divided by the number of queries. An answer with confidence 0 is no answer.
    """
    queries = sum(answer.truth is not None for answer in answers)
    given = sorted((a for a in answers if a.confidence > 0), key=lambda a: -a.confidence)
    right = np.array([answer.right for answer in given], float)
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return float((precision * right).sum() / queries) if queries else 0.0


def recognised_at(answers: Sequence[Judged], false_accepts: float) -> float:
    """Share of the queries named rightly at the lowest threshold that names at most that share of the distractors.

    Args:
        false_accepts: in [0, 1]; 0 means above the most confident distractor.
    """
    distractors = sorted((a.confidence for a in answers if a.truth is None), reverse=True)
    queries = [answer for answer in answers if answer.truth is not None]
    allowed = int(false_accepts * len(distractors))
    threshold = distractors[allowed] if allowed < len(distractors) else 0.0
    return float(np.mean([a.right and a.confidence > threshold for a in queries])) if queries else 0.0


def calibration_error(answers: Sequence[Judged], bins: int = 10) -> float:
    """Expected calibration error in [0, 1] (Guo et al., ICML 2017): |confidence - share right|, weighted by bin."""
    rows = reliability(answers, bins)
    total = sum(count for _, _, count in rows)
    return sum(abs(confidence - right) * count for confidence, right, count in rows) / total if total else 0.0


def reliability(answers: Sequence[Judged], bins: int = 10) -> list[tuple[float, float, int]]:
    """(mean confidence, share right, number of answers) of each bin of confidence that holds any."""
    confidence = np.array([answer.confidence for answer in answers], float)
    right = np.array([answer.right for answer in answers], float)
    owner = np.minimum((confidence * bins).astype(int), bins - 1)
    held = [owner == b for b in range(bins)]
    return [(float(confidence[m].mean()), float(right[m].mean()), int(m.sum())) for m in held if m.any()]
