"""What every stage's task does around its work: ask the job record, run, store, and never leave a job in between."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import redis
from billiard.exceptions import TimeLimitExceeded
from celery import Task
from celery.exceptions import Ignore, Reject

from config.connection import connect
from config.logging import job_context
from config.settings import get_settings
from recognition.errors import LandmarqError
from tasks.blobs import Name
from tasks.errors import InputExpired, InternalError, StageTimeout, TooManyAttempts
from tasks.jobs import JobStore, Stage

if TYPE_CHECKING:
    from recognition.rank import Recognition

logger = logging.getLogger(__name__)

AWAY = (redis.ConnectionError, redis.TimeoutError)


@lru_cache(maxsize=1)
def jobs() -> JobStore:
    """The job records, over this process's connection."""
    settings = get_settings()
    return JobStore(connect(settings, patient=True), ttl_s=settings.jobs.ttl_s, blob_ttl_s=settings.jobs.blob_ttl_s)


class Attempt:
    """One attempt at a stage: what it reads, how long its work takes, where its output goes."""

    def __init__(self, job_id: str, stage: Stage, inputs: Mapping[Name, bytes | None]) -> None:
        self._job_id = job_id
        self._stage = stage
        self._inputs = inputs
        self._work_ms = 0.0

    def read(self, name: Name) -> bytes:
        """A blob that the stage reads.

        Raises:
            InputExpired: it is gone.
        """
        data = self._inputs[name]
        if data is None:
            raise InputExpired(
                f"the job's {name} expired before a worker came to it: it is kept for "
                f"{get_settings().jobs.blob_ttl_s} s (LANDMARQ_JOBS__BLOB_TTL_S); submit the photo again, "
                "with more workers running"
            )
        return data

    @contextmanager
    def working(self) -> Iterator[None]:
        """What happens in here is the engine's work; the record tells it from reading, writing and bookkeeping."""
        start = time.perf_counter()
        yield
        self._work_ms += (time.perf_counter() - start) * 1000

    def complete(self, name: Name, output: bytes) -> bool:
        """Store the output; False when the job has left the stage meanwhile."""
        return jobs().complete(self._job_id, self._stage, name, output, work_ms=self._work_ms)

    def finish(self, recognition: Recognition) -> bool:
        """Make the job done; False when it was final."""
        return jobs().finish(self._job_id, recognition.to_dict(), work_ms=self._work_ms)


class StageTask(Task):  # type: ignore[misc]
    """A stage that ends a job says so in the log in one line, without a traceback."""

    abstract = True
    throws = (LandmarqError,)
    max_retries = None
    stage: Stage

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called in the worker's main process when the pool's process was ended for taking too long."""
        if isinstance(exc, TimeLimitExceeded):
            limit = get_settings().jobs.stage_timeout_s
            error = StageTimeout(f"{self.stage} took longer than {limit} s (LANDMARQ_JOBS__STAGE_TIMEOUT_S)")
            _fail(args[0], self.stage, error)


def run(task: Any, job_id: str, work: Callable[[Attempt], bool]) -> None:
    """Do a stage's work, unless the job is final or further on; the chain goes on when this returns.

    work: reads input, computes, stores output; False when the job has left the stage meanwhile.

    Raises:
        LandmarqError: the job is now failed, for that reason.
        Ignore: nothing is left to do. Reject: Redis is away; the message goes back. Retry: later.
    """
    with job_context(job_id, task.stage):
        try:
            _attempt(task, job_id, work)
        except AWAY as error:
            logger.warning("Redis is away, the message goes back: %s", error)
            raise Reject(error, requeue=True) from None


def _attempt(task: Any, job_id: str, work: Callable[[Attempt], bool]) -> None:
    try:
        if not work(_begin(job_id, task.stage)):
            raise Ignore(f"job {job_id} has left the stage")
    except LandmarqError as error:
        _fail(job_id, task.stage, error)
        raise error from None
    except (Ignore, *AWAY):
        raise
    except Exception as error:
        _retry_or_fail(task, job_id, error)


def _begin(job_id: str, stage: Stage) -> Attempt:
    begun = jobs().begin(job_id, stage)
    if not begun.run:
        raise Ignore(f"job {job_id} is {begun.state}")
    if begun.attempts > get_settings().jobs.max_attempts:
        raise TooManyAttempts(
            f"{stage} was begun {begun.attempts - 1} times and never finished: this photo seems to end the workers "
            "that try it; their logs say more"
        )
    return Attempt(job_id, stage, begun.inputs)


def _fail(job_id: str, stage: Stage, error: LandmarqError) -> None:
    if jobs().fail(job_id, code=error.code, message=str(error), stage=stage):
        logger.info("job failed: %s: %s", error.code, error)


def _retry_or_fail(task: Any, job_id: str, error: Exception) -> None:
    attempts = jobs().get(job_id).attempts[task.stage]
    if attempts < get_settings().jobs.max_attempts:
        logger.warning("attempt %d failed, another follows", attempts, exc_info=error)
        raise task.retry(exc=error, countdown=2 ** (attempts - 1), throw=False)
    logger.error("attempt %d failed, it was the last", attempts, exc_info=error)
    message = f"{task.stage} failed {attempts} times with {type(error).__name__}; the worker's log says more"
    failure = InternalError(message)
    _fail(job_id, task.stage, failure)
    raise failure from None
