"""Finds jobs whose message is gone, and publishes it again.

The Redis transport pops a message and notes it as unacknowledged in two steps; a worker or a server that is killed
in between loses it. Every open job is known (``tasks.jobs.OPEN_JOBS``), so one that has not moved for a while and
that no message is about is put back where it was. A message too many does no harm: the record decides.
"""

from __future__ import annotations

import json
import logging
from typing import Any, cast

import redis
from celery import Celery, bootsteps
from kombu.exceptions import OperationalError

from config.celery import QUEUES, app
from config.connection import connect
from config.settings import get_settings
from tasks.errors import JobNotFound
from tasks.jobs import OPEN_JOBS, STAGES, STATE_OF, JobStore, Stage, State
from tasks.pipeline import IMPATIENT, enqueue

logger = logging.getLogger(__name__)

LOCK = "landmarq:rescue"
# While more messages than this are waiting, nobody looks for lost ones: reading them all would cost too much.
MOST_MESSAGES = 2_000


class Rescue:
    """Looks for jobs without a message."""

    def __init__(self, celery: Celery, jobs: JobStore, *, after_s: float) -> None:
        """after_s: seconds without a transition after which a job is looked at, > the visibility timeout."""
        self._app = celery
        self._jobs = jobs
        self._client = jobs.client
        self._after_s = after_s

    def sweep(self) -> list[str]:
        """Look once, unless another worker just has; returns the ids of the jobs published again."""
        if not self._client.set(LOCK, 1, nx=True, px=int(self._after_s * 1000 / 4)):
            return []
        quiet = self._quiet()
        held = self._held() if quiet else None
        if held is None:
            return []
        return [job_id for job_id in quiet if job_id not in held and self._publish(job_id)]

    def _quiet(self) -> list[str]:
        seconds, micros = self._client.time()
        before = seconds * 1000 + micros // 1000 - self._after_s * 1000
        members = cast("list[bytes]", self._client.zrangebyscore(OPEN_JOBS, "-inf", before, start=0, num=MOST_MESSAGES))
        return [member.decode() for member in members]

    def _held(self) -> set[str] | None:
        """Ids of the jobs that a message is about, waiting or being worked on; None when there are too many."""
        with self._client.pipeline(transaction=True) as pipe:
            for queue in QUEUES:
                pipe.lrange(queue, 0, MOST_MESSAGES)
            pipe.hvals("unacked")
            *waiting, unacked = pipe.execute()
        if any(len(messages) > MOST_MESSAGES for messages in waiting):
            return None
        messages = [json.loads(raw) for queue in waiting for raw in queue] + [json.loads(raw)[0] for raw in unacked]
        return {str(message["headers"]["id"]).rpartition(".")[0] for message in messages}

    def _publish(self, job_id: str) -> bool:
        try:
            record = self._jobs.get(job_id)
        except JobNotFound:
            self._client.zrem(OPEN_JOBS, job_id)
            return False
        if record.state.final:
            return False
        self._jobs.touch(job_id)
        enqueue(self._app, job_id, bulk=record.bulk, start=_stage_of(record.state), retry_policy=IMPATIENT)
        logger.warning("job %s was %s without a message: it is published again", job_id, record.state)
        return True


def _stage_of(state: State) -> Stage:
    return next((stage for stage in STAGES if STATE_OF[stage] is state), "extract")


class RescueStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Consumer step: sweep now and then, in every worker (a lock lets one at a time)."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        settings = get_settings()
        after_s = max(settings.jobs.rescue_after_s, 2 * settings.redis.visibility_timeout_s)
        # Impatient: this runs in the worker's event loop, which must not stand still during an outage.
        jobs = JobStore(connect(settings), ttl_s=settings.jobs.ttl_s, blob_ttl_s=settings.jobs.blob_ttl_s)
        self._rescue = Rescue(parent.app, jobs, after_s=after_s)
        self._interval_s = after_s / 3
        self._timer: Any = None
        super().__init__(parent, **kwargs)

    def start(self, parent: Any) -> None:
        """Begin to sweep, after each (re)connection."""
        self._timer = parent.timer.call_repeatedly(self._interval_s, self.sweep)

    def stop(self, parent: Any) -> None:
        """Sweep no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    shutdown = stop

    def sweep(self) -> None:
        """Sweep; an outage is the business of others."""
        try:
            self._rescue.sweep()
        except (redis.RedisError, OperationalError) as error:
            logger.debug("no sweep: %s", error)


app.steps["consumer"].add(RescueStep)
