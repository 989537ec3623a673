"""kombu's Redis transport, with one fault mended.

When the server goes away while a worker is busy, Celery closes the broken connection twice, and the second time the
channel still has messages to give back but no connection to know the server from. That is an AttributeError
(kombu 5.7: "'NoneType' object has no attribute 'hostname'"), which nobody takes for a connection error: the worker
ends. Named for what it is, the worker reconnects, and the messages come back after the visibility timeout.
"""

from __future__ import annotations

from typing import Any

import redis
from kombu.transport.redis import Channel as RedisChannel
from kombu.transport.redis import Transport as RedisTransport


class Channel(RedisChannel):  # type: ignore[misc]
    """A channel whose connection may be gone."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        if self.connection is None or self.connection.client is None:
            raise redis.ConnectionError("the connection to the broker is closed")
        parameters: dict[str, Any] = super()._connparams(asynchronous)
        return parameters


class Transport(RedisTransport):  # type: ignore[misc]
    """``broker_transport``, by its path, in ``config.celery``."""

    Channel = Channel
