"""Errors of the queue.

LandmarqError
├── BrokerUnavailable     broker_unavailable
├── JobNotFound           not_found
├── JobNotFinished        not_finished
├── JobTimeout            timeout
├── JobFailed             job_failed
├── JobCancelled          job_cancelled
└── StageError            what ends a job from within the queue
    ├── InputExpired      input_expired
    ├── TooManyAttempts   too_many_attempts
    ├── StageTimeout      stage_timeout
    └── InternalError     internal_error
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recognition.errors import LandmarqError


class BrokerUnavailable(LandmarqError):
    """Redis can't be reached."""

    code = "broker_unavailable"


class JobNotFound(LandmarqError):
    """The id expired or never was."""

    code = "not_found"


class JobNotFinished(LandmarqError):
    """The job has no result yet."""

    code = "not_finished"


class JobTimeout(LandmarqError):
    """The job was not final within the time given; it goes on."""

    code = "timeout"


class JobFailed(LandmarqError):
    """The job ended as failed; ``result`` is its Result JSON, whose ``error`` has code, message and stage."""

    code = "job_failed"

    def __init__(self, message: str, result: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.result: dict[str, Any] = dict(result or {})

    @property
    def error(self) -> dict[str, str]:
        """``{code, message, stage}`` of the stage that failed."""
        return dict(self.result.get("error") or {})


class JobCancelled(LandmarqError):
    """The job was cancelled."""

    code = "job_cancelled"


class StageError(LandmarqError):
    """Base of what ends a job without a fault of the photo or the index."""

    code = "stage_failed"


class InputExpired(StageError):
    """The stage's input is gone: it waited longer than blobs are kept."""

    code = "input_expired"


class TooManyAttempts(StageError):
    """The stage was begun too often without finishing, as when it kills its worker."""

    code = "too_many_attempts"


class StageTimeout(StageError):
    """The stage took longer than a stage may."""

    code = "stage_timeout"


class InternalError(StageError):
    """An unexpected exception, as often as a stage is tried; the worker's log has the details."""

    code = "internal_error"
