"""What travels between the stages, as bytes in Redis under a key with a TTL: the photo, features, candidates.

The transitions of the job record (``tasks.jobs``) read and write them.
"""

from __future__ import annotations

from typing import Literal

Name = Literal["photo", "features", "candidates"]
NAMES: tuple[Name, ...] = ("photo", "features", "candidates")


def key(job_id: str, name: Name) -> str:
    """The Redis key of a job's blob."""
    return f"landmarq:blob:{job_id}:{name}"
