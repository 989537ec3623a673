"""features, candidates -> the recognition, on a CPU worker, against the generation that they were matched with."""

from __future__ import annotations

from typing import Any

from config.celery import app
from config.settings import get_settings
from recognition.features import Features
from recognition.match import Candidates
from recognition.recognize import verify_and_rank
from tasks.pipeline import task_name
from tasks.stage import Attempt, StageTask, run
from workers import cpu
from workers.engine import profile


@app.task(bind=True, base=StageTask, name=task_name("verify"), stage="verify")  # type: ignore[untyped-decorator]
def verify(self: Any, job_id: str) -> None:
    """Verify the candidates' geometry, decide, and finish the job."""
    run(self, job_id, _work)


def _work(attempt: Attempt) -> bool:
    features = Features.from_bytes(attempt.read("features"))
    candidates = Candidates.from_bytes(attempt.read("candidates"))
    index, _ = cpu.index(candidates.generation)
    with attempt.working():
        recognition = verify_and_rank(features, candidates, index, profile(get_settings()))
    return attempt.finish(recognition)
