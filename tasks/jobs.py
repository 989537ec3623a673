"""Job records: what is known of a job, in one Redis hash with a TTL of its own.

    queued -> extracting -> matching -> verifying -> done | failed | cancelled

Every transition is one script (``tasks.scripts``). A final state is reached exactly once, however often a task is
redelivered: the record counts it in ``finals``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, cast

import redis
from pydantic import TypeAdapter

from tasks import blobs, scripts
from tasks.errors import JobNotFound

Stage = Literal["extract", "match", "verify"]
STAGES: tuple[Stage, ...] = ("extract", "match", "verify")
OPEN_JOBS = "landmarq:open"
_ANSWER = TypeAdapter(dict[str, Any])  # a third of the time of the json module


class State(StrEnum):
    """Where a job is. An id that expired or never was has no state: it raises ``JobNotFound``."""

    QUEUED = "queued"
    EXTRACTING = "extracting"
    MATCHING = "matching"
    VERIFYING = "verifying"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing happens to the job any more."""
        return self in (State.DONE, State.FAILED, State.CANCELLED)


STATE_OF: Mapping[Stage, State] = {
    "extract": State.EXTRACTING,
    "match": State.MATCHING,
    "verify": State.VERIFYING,
}
INPUTS: Mapping[Stage, tuple[blobs.Name, ...]] = {
    "extract": ("photo",),
    "match": ("features",),
    "verify": ("features", "candidates"),
}


@dataclass(frozen=True)
class StageRecord:
    """One stage of a job: how often it was begun, and when it last was (Unix ms by the server's clock).

    ``work_ms``: what the engine's own function took of it; the rest is reading, writing and bookkeeping.
    """

    attempts: int = 0
    started_ms: int | None = None
    finished_ms: int | None = None
    work_ms: float | None = None

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds that it took, None unless it is finished."""
        if self.started_ms is None or self.finished_ms is None:
            return None
        return self.finished_ms - self.started_ms


@dataclass(frozen=True)
class JobRecord:
    """A job as it was when it was read. ``error``: {code, message, stage}; ``recognition``: the engine's answer."""

    id: str
    state: State
    bulk: bool
    created_ms: int
    finished_ms: int | None = None
    finals: int = 0
    stages: Mapping[Stage, StageRecord] = field(default_factory=dict)
    error: Mapping[str, str] | None = None
    recognition: Mapping[str, Any] | None = None

    @property
    def attempts(self) -> dict[Stage, int]:
        """How often each stage was begun."""
        return {stage: self.stages[stage].attempts for stage in STAGES}

    @property
    def timings_ms(self) -> dict[str, int | None]:
        """Milliseconds of each finished stage; ``total`` counts from the submission, waiting included."""
        timings: dict[str, int | None] = {stage: self.stages[stage].duration_ms for stage in STAGES}
        timings["total"] = None if self.finished_ms is None else self.finished_ms - self.created_ms
        return timings

    def to_result(self) -> dict[str, Any]:
        """The Result JSON, the same from every face of Landmarq; without an answer its fields are empty."""
        answer = self.recognition or {}
        return {
            "landmark": None,
            "landmarks": [],
            "candidates": [],
            "reason": None,
            "index_generation": None,
            "extractor": None,
            **answer,
            "job_id": self.id,
            "state": self.state.value,
            "timings_ms": self.timings_ms,
            "error": dict(self.error) if self.error else None,
        }


@dataclass(frozen=True)
class Begun:
    """The answer to "may I run this stage?": ``state`` is the one found, "missing" without a record.

    ``inputs``: the blobs that the stage reads, None for one that expired; nothing when it may not run.
    """

    run: bool
    attempts: int
    state: str
    inputs: Mapping[blobs.Name, bytes | None] = field(default_factory=dict)


def record_key(job_id: str) -> str:
    """The Redis key of a job's record."""
    return f"landmarq:job:{job_id}"


def done_channel(job_id: str) -> str:
    """The channel on which a job's final state is announced."""
    return f"landmarq:done:{job_id}"


class JobStore:
    """Job records and their transitions."""

    def __init__(self, client: redis.Redis, *, ttl_s: int, blob_ttl_s: int) -> None:
        self.client = client
        self._ttl_s = ttl_s
        self._blob_ttl_s = blob_ttl_s
        self._begin = client.register_script(scripts.BEGIN)
        self._complete = client.register_script(scripts.COMPLETE)
        self._finish = client.register_script(scripts.FINISH)

    def create(self, job_id: str, photo: bytes, *, bulk: bool = False, pipeline: Any = None) -> None:
        """Write photo and record, both or neither; with ``pipeline``, when that is executed."""
        keys = [record_key(job_id), OPEN_JOBS, blobs.key(job_id, "photo")]
        # EVAL: in a pipeline a registered script costs a round trip more, to ask whether the server has it.
        arguments: list[str | bytes | int] = [job_id, photo, self._blob_ttl_s, self._ttl_s, int(bulk)]
        (pipeline or self.client).eval(scripts.CREATE, len(keys), *keys, *arguments)

    def begin(self, job_id: str, stage: Stage) -> Begun:
        """Count an attempt, move to the stage's state and read its input; refused when the job is final or further on.

        The input stays where it is: a redelivered task must find it.
        """
        keys = [record_key(job_id), OPEN_JOBS, *(blobs.key(job_id, name) for name in INPUTS[stage])]
        found = self._begin(keys, [job_id, stage, STATE_OF[stage].value])
        run, attempts, state, *inputs = cast("list[Any]", found)
        return Begun(bool(run), int(attempts), _text(state), dict(zip(INPUTS[stage], inputs, strict=False)))

    def complete(self, job_id: str, stage: Stage, name: blobs.Name, output: bytes, *, work_ms: float = 0) -> bool:
        """Store a stage's output; False when the job has left the stage meanwhile (cancelled, or redelivered)."""
        keys = [record_key(job_id), OPEN_JOBS, blobs.key(job_id, name)]
        arguments = [job_id, stage, STATE_OF[stage].value, output, self._blob_ttl_s, work_ms]
        return bool(self._complete(keys, arguments))

    def finish(self, job_id: str, recognition: Mapping[str, Any], *, work_ms: float = 0) -> bool:
        """Make the job done with this answer. True for the one call that made it final."""
        return self._final(
            job_id, State.DONE, stage="verify", result=_ANSWER.dump_json(dict(recognition)), work_ms=work_ms
        )

    def fail(self, job_id: str, *, code: str, message: str, stage: Stage) -> bool:
        """Make the job failed. True for the one call that made it final."""
        error = json.dumps({"code": code, "message": message, "stage": stage})
        return self._final(job_id, State.FAILED, stage=stage, error=error)

    def cancel(self, job_id: str) -> bool:
        """Make the job cancelled; a running stage finishes, and its output is thrown away. False when it was final.

        Raises:
            JobNotFound: the id expired or never was.
        """
        if self._final(job_id, State.CANCELLED):
            return True
        self.state(job_id)
        return False

    def state(self, job_id: str) -> State:
        """The state alone.

        Raises:
            JobNotFound: the id expired or never was.
        """
        found = self.client.hget(record_key(job_id), "state")
        if found is None:
            raise _not_found(job_id)
        return State(_text(found))

    def get(self, job_id: str) -> JobRecord:
        """The whole record.

        Raises:
            JobNotFound: the id expired or never was.
        """
        raw = cast("dict[bytes, bytes]", self.client.hgetall(record_key(job_id)))
        if not raw:
            raise _not_found(job_id)
        return _parse(job_id, {_text(name): _text(value) for name, value in raw.items()})

    def touch(self, job_id: str) -> None:
        """Count the job as just moved, if it is open."""
        seconds, micros = self.client.time()
        self.client.zadd(OPEN_JOBS, {job_id: seconds * 1000 + micros // 1000}, xx=True)

    def delete(self, *job_ids: str) -> None:
        """Remove every trace of jobs that were never published."""
        with self.client.pipeline(transaction=True) as pipe:
            for job_id in job_ids:
                pipe.delete(record_key(job_id), *(blobs.key(job_id, name) for name in blobs.NAMES))
                pipe.zrem(OPEN_JOBS, job_id)
            pipe.execute()

    def _final(
        self, job_id: str, state: State, *, stage: str = "", error: str = "", result: bytes = b"", work_ms: float = 0
    ) -> bool:
        keys = [record_key(job_id), OPEN_JOBS, *(blobs.key(job_id, name) for name in blobs.NAMES)]
        arguments = [job_id, state.value, stage, error, result, self._ttl_s, done_channel(job_id), work_ms]
        won, _ = cast("list[Any]", self._finish(keys, arguments))
        return bool(won)


def _not_found(job_id: str) -> JobNotFound:
    return JobNotFound(f"there is no job {job_id!r}: the id is wrong, or its record has expired")


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _parse(job_id: str, raw: Mapping[str, str]) -> JobRecord:
    def number(name: str) -> int | None:
        return int(raw[name]) if name in raw else None

    stages = {
        stage: StageRecord(
            number(f"{stage}.attempts") or 0,
            number(f"{stage}.started_ms"),
            number(f"{stage}.finished_ms"),
            float(raw[f"{stage}.work_ms"]) if f"{stage}.work_ms" in raw else None,
        )
        for stage in STAGES
    }
    return JobRecord(
        id=job_id,
        state=State(raw["state"]),
        bulk=raw["bulk"] == "1",
        created_ms=int(raw["created_ms"]),
        finished_ms=number("finished_ms"),
        finals=int(raw["finals"]),
        stages=stages,
        error=json.loads(raw["error"]) if "error" in raw else None,
        recognition=_ANSWER.validate_json(raw["result"]) if "result" in raw else None,
    )
