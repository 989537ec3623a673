"""kombu's Redis transport, with one fault mended and one client made once.

When the server goes away while a worker is busy, Celery closes the broken connection twice, and the second time the
channel still has messages to give back but no connection to know the server from. That is an AttributeError
(kombu 5.7: "'NoneType' object has no attribute 'hostname'"), which nobody takes for a connection error: the worker
ends. Named for what it is, the worker reconnects, and the messages come back after the visibility timeout.

For every message published, taken or acknowledged kombu makes a client object on the same pool of connections, which
takes as long as the server's answer does.
"""

from __future__ import annotations

from typing import Any

import redis
from kombu.transport.redis import Channel as RedisChannel
from kombu.transport.redis import Transport as RedisTransport


class Channel(RedisChannel):  # type: ignore[misc]
    """A channel whose connection may be gone."""

    _made: redis.Redis | None = None

    def _create_client(self, asynchronous: bool = False) -> redis.Redis:
        made = None if asynchronous else self._made
        # Another pool: after a disconnection.
        if made is None or made.connection_pool is not self.pool:
            made = super()._create_client(asynchronous)
        if not asynchronous:
            self._made = made
        return made

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        if self.connection is None or self.connection.client is None:
            raise redis.ConnectionError("the connection to the broker is closed")
        parameters: dict[str, Any] = super()._connparams(asynchronous)
        return parameters


class Transport(RedisTransport):  # type: ignore[misc]
    """``broker_transport``, by its path, in ``config.celery``."""

    Channel = Channel
