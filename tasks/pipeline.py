"""The chain of stages, built by task name: whoever enqueues a job loads nothing of the engine."""

from __future__ import annotations

from typing import Any

from celery import Celery, chain

from config.celery import queue_for
from tasks.jobs import STAGES, Stage

RESOURCE: dict[Stage, str] = {"extract": "gpu", "match": "cpu", "verify": "cpu"}

# A worker waits for the broker (config.celery), somebody who submits a photo does not.
IMPATIENT = {"max_retries": 1, "interval_start": 0.1, "interval_step": 0.1, "interval_max": 0.2}


def task_name(stage: Stage) -> str:
    """The Celery name of a stage's task."""
    return f"landmarq.{stage}"


def task_id(job_id: str, stage: Stage) -> str:
    """The id of a stage's message: the same when it is redelivered or retried, so logs can be followed."""
    return f"{job_id}.{stage}"


def stage_signature(app: Celery, job_id: str, stage: Stage, *, bulk: bool) -> Any:
    """One stage as an immutable signature: it takes the job's id, whatever its predecessor returns."""
    options = {"queue": queue_for(RESOURCE[stage], bulk=bulk), "task_id": task_id(job_id, stage)}
    return app.signature(task_name(stage), args=(job_id,), immutable=True, options=options)


def enqueue(app: Celery, job_id: str, *, bulk: bool = False, start: Stage = "extract", **options: Any) -> None:
    """Publish the stages from ``start`` on, for a job whose record and input are already there.

    Raises:
        kombu.exceptions.OperationalError: the broker can't be reached.
    """
    stages = STAGES[STAGES.index(start) :]
    signatures = [stage_signature(app, job_id, stage, bulk=bulk) for stage in stages]
    # A chain of one would be unwrapped by Celery with an id of its own.
    (chain(*signatures, app=app) if len(signatures) > 1 else signatures[0]).apply_async(**options)
