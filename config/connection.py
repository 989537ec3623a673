"""The connection to Redis for everything that is not a Celery message: job records, blobs, notifications."""

from __future__ import annotations

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from config.settings import Settings

# A worker rides out a restart of the server: 0.1 + 0.2 + 0.4 + 0.8 + 12 × 1 s.
PATIENT = 16


def connect(settings: Settings, *, patient: bool = False) -> redis.Redis:
    """A client (it connects on first use).

    patient: keep trying for about 14 s when the server is away, as a worker in the middle of a job must; without,
    fail after one more attempt, as somebody at a terminal expects.
    """
    return redis.Redis.from_url(
        settings.redis.url,
        socket_connect_timeout=settings.redis.connect_timeout_s,
        socket_timeout=10.0,
        socket_keepalive=True,
        health_check_interval=10,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.1), PATIENT if patient else 1),
        retry_on_error=[redis.ConnectionError, redis.TimeoutError],
    )
