"""Answers to a labelled set of photographs, judged: the figures, and a file of all of it to compare with later."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from landmarq.dataset import Question
from recognition import metrics
from recognition.confidence import Calibration, fit
from recognition.metrics import Judged

RECALLS = (1, 5, 10)
FALSE_ACCEPTS = (0.0, 0.01, 0.05)


@dataclass(frozen=True)
class Answer:
    """A question with the Result JSON that came back."""

    question: Question
    result: Mapping[str, Any]

    @property
    def candidates(self) -> list[Mapping[str, Any]]:
        """Index images, best first; none when the job failed."""
        return list(self.result.get("candidates") or [])

    def judged(self, relevant: Mapping[str, int]) -> Judged:
        """For the metrics. relevant: number of index images per landmark id."""
        candidates = self.candidates
        best = candidates[0] if candidates and candidates[0]["score"] > 0 else None
        return Judged(
            truth=self.question.truth,
            best=best["landmark"] if best else None,
            confidence=best["confidence"] if best else 0.0,
            ranking=[candidate["landmark"] for candidate in candidates],
            relevant=relevant.get(self.question.truth or "", 0),
        )

    def scores(self) -> tuple[float, float]:
        """Score of the best landmark and of the best other one: what the confidence is made of."""
        candidates = self.candidates
        if not candidates:
            return 0.0, 0.0
        other = (c["score"] for c in candidates if c["landmark"] != candidates[0]["landmark"])
        return candidates[0]["score"], next(other, 0.0)


def judge(answers: Sequence[Answer], landmarks: Iterable[str]) -> list[Judged]:
    """All answers for the metrics. landmarks: the id of each index image."""
    relevant = Counter(landmarks)
    return [answer.judged(relevant) for answer in answers]


def figures(judged: Sequence[Judged], answers: Sequence[Answer]) -> dict[str, Any]:
    """Every figure of the evaluation, rates in [0, 1], times in ms."""
    named = [bool(answer.result.get("landmark")) for answer in answers]
    return {
        "queries": sum(one.truth is not None for one in judged),
        "distractors": sum(one.truth is None for one in judged),
        "top1": metrics.top1(judged),
        **{f"recall@{k}": metrics.recall_at(judged, k) for k in RECALLS},
        "mAP": metrics.mean_average_precision(judged),
        "µAP": metrics.micro_average_precision(judged),
        **{f"recognised at {rate:.0%} false accepts": metrics.recognised_at(judged, rate) for rate in FALSE_ACCEPTS},
        "named rightly": _share(n and j.right for n, j in zip(named, judged, strict=True) if j.truth is not None),
        "named wrongly": _share(n and not j.right for n, j in zip(named, judged, strict=True) if j.truth is not None),
        "distractors named": _share(n for n, j in zip(named, judged, strict=True) if j.truth is None),
        "calibration error": metrics.calibration_error(judged),
        "failed": sum(answer.result.get("error") is not None for answer in answers),
        "ms": _times(answers),
    }


def recalibrated(answers: Sequence[Answer], judged: Sequence[Judged]) -> Calibration:
    """The confidence curve fitted on these answers."""
    return fit([answer.scores() for answer in answers], [one.right for one in judged])


def write_run(path: Path, found: Mapping[str, Any], answers: Sequence[Answer], judged: Sequence[Judged]) -> None:
    """All figures and all answers, without the correspondences, as JSON."""
    rows = [
        {
            "photo": answer.question.name,
            "truth": answer.question.truth,
            "best": one.best,
            "confidence": one.confidence,
            "right": one.right,
            "scores": answer.scores(),
            "error": answer.result.get("error"),
            "timings_ms": answer.result.get("timings_ms"),
            "candidates": [
                {key: candidate[key] for key in ("landmark", "image", "inliers", "score", "refused")}
                for candidate in answer.candidates[:10]
            ],
        }
        for answer, one in zip(answers, judged, strict=True)
    ]
    path.write_text(json.dumps({"figures": found, "answers": rows}, ensure_ascii=False, indent=1), encoding="utf-8")


def _share(values: Iterable[bool]) -> float:
    held = list(values)
    return sum(held) / len(held) if held else 0.0


def _times(answers: Sequence[Answer]) -> dict[str, dict[str, float]]:
    """Median and 95th percentile of each stage over the answers that have it."""
    stages: dict[str, list[float]] = {}
    for answer in answers:
        for stage, value in (answer.result.get("timings_ms") or {}).items():
            if value is not None:
                stages.setdefault(stage, []).append(value)
    return {
        stage: {"p50": round(float(np.median(values)), 1), "p95": round(float(np.percentile(values, 95)), 1)}
        for stage, values in stages.items()
    }
