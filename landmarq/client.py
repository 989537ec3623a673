"""The Python client: submit photographs, follow their jobs. Loads nothing of the engine."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis
from kombu.exceptions import OperationalError

from config.celery import make_app
from config.connection import connect
from config.settings import Settings, get_settings
from landmarq.photo import Photo, read_photo
from landmarq.runfile import with_broker
from tasks.errors import BrokerUnavailable, JobCancelled, JobFailed, JobNotFinished, JobTimeout
from tasks.jobs import JobRecord, JobStore, State, done_channel
from tasks.pipeline import IMPATIENT, enqueue

# A notification can be lost with its connection, so a waiting client looks for itself now and then.
RECHECK_S = 5.0
RECONNECT_S = 0.2
# Photos of one submit_many that travel in one round trip.
BATCH_BYTES = 32 * 2**20


class Client:
    """The way into the queue. One client may be used by several threads."""

    def __init__(self, url: str | None = None, settings: Settings | None = None) -> None:
        """Nothing is connected yet.

        url: Redis, instead of the one that the settings name; settings: instead of the environment's, which lead to the
        ``landmarq up`` that runs on the data folder when nobody names a broker.
        """
        settings = settings or with_broker(get_settings())
        if url is not None:
            section = type(settings.redis).model_validate({**settings.redis.model_dump(), "url": url})
            settings = settings.model_copy(update={"redis": section})
        self.settings = settings
        self._app = make_app(settings)
        self._redis = connect(settings)
        self.jobs = JobStore(self._redis, ttl_s=settings.jobs.ttl_s, blob_ttl_s=settings.jobs.blob_ttl_s)

    def submit(self, photo: Photo, *, bulk: bool = False) -> Job:
        """Enqueue one photo: a path, the file's bytes, or a binary file object.

        bulk: behind everything that is not.

        Raises:
            ImageError: there is no such file, it is empty, or it is larger than ``image.max_bytes``.
            BrokerUnavailable: nothing was enqueued.
        """
        return self.submit_many([photo], bulk=bulk)[0]

    def submit_many(self, photos: Iterable[Photo], *, bulk: bool = True) -> list[Job]:
        """Enqueue several, in order. All are read and checked in batches before any of the batch is written.

        Raises:
            ImageError: as :meth:`submit`; photos of earlier batches are already enqueued.
            BrokerUnavailable: the batch was not enqueued.
        """
        jobs: list[Job] = []
        for batch in self._batches(photos):
            with self._broker():
                self._write(batch, bulk=bulk)
            self._publish(batch, bulk=bulk)
            jobs += [Job(self, job_id) for job_id in batch]
        return jobs

    def job(self, job_id: str) -> Job:
        """A job by its id; whether there is one shows when it is asked something."""
        return Job(self, job_id)

    def ping(self) -> None:
        """Whether the broker answers.

        Raises:
            BrokerUnavailable: it does not.
        """
        with self._broker():
            self._redis.ping()

    def close(self) -> None:
        """Close the connections; the client may go on being used and opens new ones."""
        self._redis.close()
        self._app.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _batches(self, photos: Iterable[Photo]) -> Iterator[dict[str, bytes]]:
        batch: dict[str, bytes] = {}
        size = 0
        for photo in photos:
            data = read_photo(photo, max_bytes=self.settings.image.max_bytes)
            batch[uuid.uuid4().hex] = data
            size += len(data)
            if size >= BATCH_BYTES:
                yield batch
                batch, size = {}, 0
        if batch:
            yield batch

    def _write(self, batch: dict[str, bytes], *, bulk: bool) -> None:
        with self._redis.pipeline(transaction=True) as pipe:
            for job_id, data in batch.items():
                self.jobs.create(job_id, data, bulk=bulk, pipeline=pipe)
            pipe.execute()

    def _publish(self, batch: dict[str, bytes], *, bulk: bool) -> None:
        pending = list(batch)
        try:
            with self._broker(), self._app.producer_pool.acquire(block=True) as producer:
                while pending:
                    enqueue(self._app, pending[0], bulk=bulk, producer=producer, retry_policy=IMPATIENT)
                    pending.pop(0)
        except BrokerUnavailable:
            # Whoever gets the error was given no ids: take back the whole batch. A message that made it finds no
            # record, and does nothing.
            # (The records expire on their own, should that fail too.)
            with suppress(redis.RedisError):
                self.jobs.delete(*batch)
            raise

    @contextmanager
    def _broker(self) -> Iterator[None]:
        """Connection errors, as one clear error."""
        try:
            yield
        except redis.OutOfMemoryError:
            raise BrokerUnavailable(
                f"the broker at {self.settings.redis.safe_url} has no memory left (maxmemory) and refuses to write: "
                "start more workers, or give it more memory, and submit again"
            ) from None
        except (redis.RedisError, OperationalError, OSError) as error:
            raise BrokerUnavailable(
                f"can't reach the broker at {self.settings.redis.safe_url} ({_reason(error)}): "
                "start it with `landmarq up` or set LANDMARQ_REDIS__URL"
            ) from None


class Job:
    """One submitted photo."""

    def __init__(self, client: Client, job_id: str) -> None:
        self._client = client
        self.id = job_id

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def status(self) -> JobRecord:
        """State, times and attempts of each stage, the error.

        Raises:
            JobNotFound: the id expired or never was.
            BrokerUnavailable: the broker can't be reached.
        """
        with self._client._broker():
            return self._client.jobs.get(self.id)

    def result(self) -> dict[str, Any]:
        """The Result JSON of a final job: of a failed one too, which then has ``error``.

        Raises:
            JobNotFinished: the job is not final yet.
            JobNotFound, BrokerUnavailable: as :meth:`status`.
        """
        record = self.status()
        if not record.state.final:
            raise JobNotFinished(f"job {self.id} is {record.state}: it has no result yet")
        return record.to_result()

    def wait(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait until the job is done, and return its Result JSON. A ``landmark`` of None means unknown, never failed.

        timeout: seconds, None for as long as it takes. The end is announced by the server, not polled for; an outage
        of the server is ridden out.

        Raises:
            JobFailed: the job failed; the error's ``result`` is the Result JSON.
            JobCancelled: the job was cancelled.
            JobTimeout: it was not final in time; it goes on.
            JobNotFound: the id expired or never was.
            BrokerUnavailable: the broker could not be reached until the timeout.
        """
        record = self._await_final(None if timeout is None else time.monotonic() + timeout)
        if record is None:
            raise JobTimeout(f"job {self.id} is not finished after {timeout} s; it goes on")
        result = record.to_result()
        if result["state"] == State.FAILED:
            error = result["error"]
            raise JobFailed(f"job {self.id} failed in {error['stage']}: {error['message']}", result)
        if result["state"] == State.CANCELLED:
            raise JobCancelled(f"job {self.id} was cancelled")
        return result

    def cancel(self) -> bool:
        """Cancel the job unless it is final; False when it was.

        Raises:
            JobNotFound, BrokerUnavailable: as :meth:`status`.
        """
        with self._client._broker():
            return self._client.jobs.cancel(self.id)

    def _await_final(self, deadline: float | None) -> JobRecord | None:
        """The final record, None when the deadline came first."""
        while True:
            try:
                with self._client._broker():
                    return self._listen(deadline)
            except BrokerUnavailable:
                if _remaining(deadline) <= RECONNECT_S:
                    raise
                time.sleep(RECONNECT_S)

    def _listen(self, deadline: float | None) -> JobRecord | None:
        """As :meth:`_await_final`, on one connection."""
        with self._client._redis.pubsub() as subscription:  # type: ignore[no-untyped-call]
            subscription.subscribe(done_channel(self.id))
            # The answer to the subscription comes first; only what is announced after it is sure to arrive.
            subscription.get_message(timeout=RECHECK_S)
            while not (record := self._client.jobs.get(self.id)).state.final:
                remaining = _remaining(deadline)
                if remaining <= 0:
                    return None
                subscription.get_message(timeout=min(remaining, RECHECK_S))
        return record


def _remaining(deadline: float | None) -> float:
    return RECHECK_S if deadline is None else deadline - time.monotonic()


def _reason(error: Exception) -> str:
    """What went wrong, without the address (the message names it, without its password)."""
    return re.sub(r"^.*connecting to \S+\.? ", "", str(error)).rstrip(".") or type(error).__name__
