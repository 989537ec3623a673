"""Structured logs: one line a record, as text or as JSON, each with the job and the stage it is about."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_job: ContextVar[tuple[str, str] | None] = ContextVar("landmarq_job", default=None)

TEXT = "%(asctime)s %(levelname)s %(process)d %(name)s job=%(job_id)s stage=%(stage)s %(message)s"


@contextmanager
def job_context(job_id: str, stage: str) -> Iterator[None]:
    """Everything logged inside is about this job and stage."""
    token = _job.set((job_id, stage))
    try:
        yield
    finally:
        _job.reset(token)


class JobFilter(logging.Filter):
    """Adds ``job_id`` and ``stage`` to each record: from the context, or from Celery's own (task ids are
    ``<job>.<stage>``, and Celery logs about them from the worker's main process, where there is no context)."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.job_id, record.stage = _job.get() or _from_celery(getattr(record, "data", None))
        return True


def _from_celery(data: object) -> tuple[str, str]:
    task_id = data.get("id") if isinstance(data, Mapping) else None
    job_id, _, stage = str(task_id or "").rpartition(".")
    return job_id or "-", stage or "-"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, process, job_id, stage, message, and exception if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "job_id": getattr(record, "job_id", "-"),
            "stage": getattr(record, "stage", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def setup(level: str = "INFO", json_lines: bool = False) -> None:
    """Send everything at ``level`` and above to standard error; called again, it replaces what it did before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(JobFilter())
    handler.setFormatter(JsonFormatter() if json_lines else logging.Formatter(TEXT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Celery tells of every connection attempt of the redis client and of each pool event at DEBUG.
    for name in ("amqp", "kombu", "h5py", "PIL", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLevelName(level)))
