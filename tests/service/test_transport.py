from __future__ import annotations

from config.celery import make_app
from config.settings import load
from tests.support.server import Server


def test_a_channel_makes_one_client_per_pool(server: Server) -> None:
    with make_app(load(redis={"url": server.url})) as app, app.producer_pool.acquire(block=True) as producer:
        channel = producer.channel
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
            assert first.ping()
        channel._disconnect_pools()
        with channel.conn_or_acquire() as third:
            assert third is not first
            assert third.ping()
        assert channel._create_client(asynchronous=True) is not channel._create_client(asynchronous=True)
