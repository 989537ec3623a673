"""What travels between the stages, as bytes in Redis under a key with a TTL: the photo, features, candidates."""

from __future__ import annotations

from typing import Literal, cast

import redis

Name = Literal["photo", "features", "candidates"]
NAMES: tuple[Name, ...] = ("photo", "features", "candidates")


def key(job_id: str, name: Name) -> str:
    """The Redis key of a job's blob."""
    return f"landmarq:blob:{job_id}:{name}"


class BlobStore:
    """Blobs by job and name. Reading leaves them there: a redelivered task must find its input."""

    def __init__(self, client: redis.Redis, *, ttl_s: int) -> None:
        self._client = client
        self.ttl_s = ttl_s

    def put(self, job_id: str, name: Name, data: bytes) -> None:
        """Store ``data`` for ``ttl_s`` seconds."""
        self._client.set(key(job_id, name), data, ex=self.ttl_s)

    def get(self, job_id: str, name: Name) -> bytes | None:
        """The bytes, or None when they expired or never were."""
        return cast("bytes | None", self._client.get(key(job_id, name)))

    def delete(self, job_id: str) -> int:
        """Delete all of a job's blobs; returns how many there were."""
        return self._client.delete(*(key(job_id, name) for name in NAMES))
