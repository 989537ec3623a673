"""features -> candidates, on a CPU worker, against the index's current generation."""

from __future__ import annotations

from typing import Any

from config.celery import app
from config.settings import get_settings
from recognition.features import Features
from recognition.match import match as match_features
from tasks.pipeline import task_name
from tasks.stage import Attempt, StageTask, run
from workers import cpu
from workers.engine import profile


@app.task(bind=True, base=StageTask, name=task_name("match"), stage="match")  # type: ignore[untyped-decorator]
def match(self: Any, job_id: str) -> None:
    """Find putative matches in the index."""
    run(self, job_id, _work)


def _work(attempt: Attempt) -> bool:
    features = Features.from_bytes(attempt.read("features"))
    index, searcher = cpu.index()
    with attempt.working():
        candidates = match_features(features, index, searcher, profile(get_settings()).match)
    return attempt.complete("candidates", candidates.to_bytes())
