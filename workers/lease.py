"""A worker that lives renews its claim on the messages that it is working on.

The Redis transport gives a message to the next worker when it has not been acknowledged for the visibility timeout.
Short, that duplicates every stage that takes longer; long, the jobs of a worker that was killed wait. Renewed, it is
both: seconds after a kill, and never while the work goes on.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import redis
from celery import bootsteps

from config.settings import get_settings

logger = logging.getLogger(__name__)


class Lease(bootsteps.StartStopStep):  # type: ignore[misc]
    """Consumer step: three times per visibility timeout, mark the unacknowledged messages as just delivered.

    A message held for longer than a stage may take is not renewed: its thread hangs, and another worker gets it.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        settings = get_settings()
        self._interval_s = settings.redis.visibility_timeout_s / 3
        self._longest_s = settings.jobs.stage_timeout_s + settings.redis.visibility_timeout_s
        self._timer: Any = None
        self._since: dict[str, float] = {}
        super().__init__(parent, **kwargs)

    def start(self, parent: Any) -> None:
        """Begin to renew, after each (re)connection."""
        self._since = {}
        self._timer = parent.timer.call_repeatedly(self._interval_s, self.renew, (parent,))

    def stop(self, parent: Any) -> None:
        """Renew no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    shutdown = stop

    def renew(self, consumer: Any) -> int:
        """Renew now; returns how many messages were."""
        channel = consumer.task_consumer.channel
        now = time.monotonic()
        self._since = {tag: self._since.get(tag, now) for tag in list(channel.qos._delivered)}
        tags = {tag: time.time() for tag, since in self._since.items() if now - since < self._longest_s}
        if not tags:
            return 0
        try:
            with channel.conn_or_acquire() as client:
                # xx: a message acknowledged meanwhile must not come back.
                client.zadd(channel.unacked_index_key, tags, xx=True)
        except redis.RedisError as error:
            logger.debug("the lease is not renewed: %s", error)
        return len(tags)
