"""Answers to a labelled set of photographs, judged: every figure, and how each landmark fared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landmarq.datasets import Question
from landmarq.evalrun import VERSION, BadRun, Outcome, PerLandmark, Row, Run, Seen
from recognition import bootstrap, metrics
from recognition.confidence import Calibration, fit, load

if TYPE_CHECKING:
    from recognition.index.store import Index

RECALLS = (1, 5, 10)
KEPT = 10  # candidates of an answer that a run holds in full
_OTHER = ""  # no landmark's id: a wrong image of the right landmark, in sets that list the right images


@dataclass(frozen=True)
class Answer:
    """A question with the Result JSON that came back."""

    question: Question
    result: Mapping[str, Any]

    @property
    def candidates(self) -> list[Seen]:
        """Index images, best first; none when the job failed."""
        return [
            Seen(
                rank=rank,
                landmark=found["landmark"],
                image=found["image"],
                role=self.question.role(found["image"], found["landmark"]),
                inliers=found["inliers"],
                score=found["score"],
                refused=found["refused"],
            )
            for rank, found in enumerate(self.result.get("candidates") or (), 1)
        ]

    def row(self, relevant: int) -> Row:
        """Judged. relevant: number of right images in the index."""
        every = self.candidates
        counted = [one for one in every if one.role != "junk"]
        named = self.result.get("landmark")
        best = self._best(counted)
        return Row(
            photo=self.question.name,
            truth=self.question.truth,
            best=self._counts_as(best) if best else None,
            confidence=self.result["candidates"][best.rank - 1]["confidence"] if best else 0.0,
            named=named["id"] if named else None,
            ranking=[self._counts_as(one) for one in counted],
            relevant=relevant,
            candidates=len(every),
            scores=self._scores(every, best),
            reason=self.result.get("reason"),
            error=self.result.get("error"),
            timings_ms=dict(self.result.get("timings_ms") or {}),
            seen=_telling(every),
        )

    def _counts_as(self, one: Seen) -> str:
        if one.role == "right" and self.question.truth is not None:
            return self.question.truth
        return _OTHER if one.landmark == self.question.truth else one.landmark

    def _best(self, counted: Sequence[Seen]) -> Seen | None:
        """What the landmark that the answer puts first, named or not, is judged by: its best image."""
        named = self.result.get("landmark")
        verified = [one for one in counted if one.score > 0]
        first = (one for one in verified if named and one.landmark == named["id"])
        return next(first, verified[0] if verified else None)

    def _scores(self, every: Sequence[Seen], best: Seen | None) -> tuple[float, float]:
        """Score of that image and of the best other landmark behind it: what the confidence is made of."""
        if best is None:
            return 0.0, 0.0
        behind = (one for one in every if one.landmark != best.landmark and one.rank > best.rank)
        return best.score, next((one.score for one in behind), 0.0)


def evaluate(answers: Sequence[Answer], index: Index, about: Mapping[str, str]) -> Run:
    """Judge all answers that were given from ``index``. about: what was evaluated, by name."""
    images = [(image.name, image.landmark) for image in index.images()]
    rows = judge(answers, images)
    titles = {mark.id: mark.title for mark in map(index.landmark, range(index.landmark_count))}
    landmarks = per_landmark(rows, Counter(landmark for _, landmark in images), titles)
    about = {
        **about,
        "extractor": index.fingerprint,
        "embedder": index.embedder,
        "index": f"{len(images)} images of {len(titles)} landmarks",
    }
    return Run(VERSION, dict(about), figures(rows), landmarks, rows)


def judge(answers: Iterable[Answer], images: Sequence[tuple[str, str]]) -> list[Row]:
    """All answers, judged. images: name and landmark id of each index image."""
    names = {name for name, _ in images}
    per_landmark = Counter(landmark for _, landmark in images)
    return [answer.row(_relevant(answer.question, names, per_landmark)) for answer in answers]


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Every figure of the evaluation, rates in [0, 1], times in ms; without distractors no rates of false accepts."""
    judged = [row.judged for row in rows]
    outcomes = Counter(row.outcome for row in rows)
    queries = sum(row.truth is not None for row in rows)
    distractors = len(rows) - queries
    accepted = {"distractors named": outcomes[Outcome.ACCEPTED] / distractors} if distractors else {}
    return {
        "queries": queries,
        "distractors": distractors,
        **bootstrap.figures(judged, distractors=distractors > 0),
        **{f"recall@{k}": metrics.recall_at(judged, k) for k in RECALLS},
        "named rightly": outcomes[Outcome.RIGHT] / max(1, queries),
        "named wrongly": outcomes[Outcome.WRONG] / max(1, queries),
        **accepted,
        "calibration error": metrics.calibration_error(judged),
        "failed": outcomes[Outcome.FAILED],
        "ms": _times(rows),
    }


def per_landmark(rows: Sequence[Row], images: Mapping[str, int], titles: Mapping[str, str]) -> list[PerLandmark]:
    """How each landmark fared that was shown, named or considered. images: number of index images by landmark id."""
    queries: dict[str, list[Row]] = {}
    for row in rows:
        if row.truth is not None:
            queries.setdefault(row.truth, []).append(row)
    wrong = (Outcome.WRONG, Outcome.ACCEPTED)
    named = [(row.named, row.outcome in wrong) for row in rows if row.named is not None]
    claimed = Counter(id for id, wrongly in named if wrongly)
    seen = {one.landmark for row in rows for one in row.seen}
    return [
        _landmark(id, titles.get(id, id), images.get(id, 0), queries.get(id, []), claimed[id])
        for id in sorted({*queries, *seen, *(id for id, _ in named)})
    ]


def recalibrated(run: Run) -> Calibration:
    """The confidence curve fitted on these answers."""
    about = {"extractor": "default", "embedder": "", "profile": "default", **run.about}
    shipped = load(about["extractor"], about["embedder"], profile=about["profile"])
    return fit([row.scores for row in run.answers], [row.judged.right for row in run.answers], rival=shipped.rival)


def threshold_at(run: Run, curve: Calibration, false_accepts: float) -> float:
    """The lowest threshold at which at most that share of the distractors is named, in [0, 1].

    Raises:
        BadRun: there are no distractors in the run.
    """
    confident = sorted((curve.probability(*row.scores) for row in run.answers if row.truth is None), reverse=True)
    if not confident:
        raise BadRun("a threshold for false accepts needs photographs of nothing known in the data set (distractors)")
    allowed = int(false_accepts * len(confident))
    # Rounded up: the most confident one that must not be named stays below.
    return min(1.0, math.floor(confident[allowed] * 1000 + 1) / 1000) if allowed < len(confident) else 0.0


def _landmark(id: str, title: str, images: int, rows: Sequence[Row], claimed: int) -> PerLandmark:
    judged = [row.judged for row in rows]
    return PerLandmark(
        id=id,
        title=title,
        images=images,
        queries=len(rows),
        top1=metrics.top1(judged),
        mAP=metrics.mean_average_precision(judged),
        recognised=sum(row.outcome == Outcome.RIGHT for row in rows) / max(1, len(rows)),
        mistaken=sum(row.outcome == Outcome.WRONG for row in rows),
        claimed=claimed,
    )


def _relevant(question: Question, names: set[str], images: Mapping[str, int]) -> int:
    """Number of the question's right images in the index."""
    if question.relevant is not None:
        return len(question.relevant & names)
    return sum(images.get(landmark, 0) for landmark in {question.truth, *question.also} if landmark is not None)


def _telling(every: Sequence[Seen]) -> list[Seen]:
    """The first candidates, and the best right and the best wrong one wherever they are."""
    best = (next((one for one in every[KEPT:] if one.role == role), None) for role in ("right", "wrong"))
    seen = {one.role for one in every[:KEPT]}
    return [*every[:KEPT], *(one for one in best if one is not None and one.role not in seen)]


def _times(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Median and 95th percentile of each stage over the answers that have it."""
    stages: dict[str, list[float]] = {}
    for stage, value in _stages(rows):
        stages.setdefault(stage, []).append(value)
    return {
        stage: {"p50": round(float(np.median(values)), 1), "p95": round(float(np.percentile(values, 95)), 1)}
        for stage, values in stages.items()
    }


def _stages(rows: Sequence[Row]) -> Iterator[tuple[str, float]]:
    for row in rows:
        yield from ((stage, value) for stage, value in row.timings_ms.items() if value is not None)
