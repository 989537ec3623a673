"""Handmade runs of ``landmarq evaluate``, and the answers that they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from landmarq.datasets import Question
from landmarq.evalrun import Row, Run
from landmarq.evaluation import Answer, figures, per_landmark

TITLES = {"a": "Arc <b>de</b> Triomphe", "b": "Big Ben", "c": "Colosseum"}


def row(photo: str, truth: str | None, best: str | None, confidence: float, **changes: Any) -> Row:
    """An answer that named ``best`` if ``confidence`` is at least one half."""
    values: dict[str, Any] = {
        "photo": photo,
        "truth": truth,
        "best": best,
        "confidence": confidence,
        "named": best if confidence >= 0.5 else None,
        "ranking": [best] if best else [],
        "relevant": 1 if truth else 0,
        "candidates": 1 if best else 0,
        "scores": (10 * confidence, 1.0),
        "reason": None,
        "error": None,
        "timings_ms": {"extract": 100.0, "match": None},
        "seen": [],
    }
    return Row(**{**values, **changes})


def run(rows: Sequence[Row], **about: str) -> Run:
    """A run with these answers."""
    landmarks = per_landmark(rows, dict.fromkeys(TITLES, 1), TITLES)
    return Run(1, {"dataset": "handmade", **about}, figures(rows), landmarks, list(rows))


def candidate(image: str, landmark: str, score: float, confidence: float = 0.0, **changes: Any) -> dict[str, Any]:
    """A candidate of a Result JSON."""
    inliers = round(2 * score)
    found = {"image": image, "landmark": landmark, "score": score, "inliers": inliers, "refused": None}
    return {**found, "confidence": confidence, **changes}


def answer(question: Question, *candidates: dict[str, Any], named: bool = False, **result: Any) -> Answer:
    """An answer with these candidates; ``named``: the first one's landmark is the answer."""
    landmark = {"id": candidates[0]["landmark"]} if named else None
    return Answer(question, {"candidates": list(candidates), "landmark": landmark, **result})


def question(name: str, truth: str | None, **changes: Any) -> Question:
    """A question whose photograph does not exist."""
    return Question(Path("nowhere") / name, name, truth, **changes)
