"""The data folder of a running ``landmarq up``: who owns it, and where others find its broker.

<data_dir>/run.json   url, pid, started, children (name -> pid)      <data_dir>/run.lock   held while it runs
<data_dir>/redis/     the embedded server's append-only file         <data_dir>/logs/      one file per process
<data_dir>/index/     the index (unless LANDMARQ_INDEX_DIR says otherwise)
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config.settings import Settings


@dataclass(frozen=True)
class RunFile:
    """What ``run.json`` says. ``pid``: the supervisor; ``started``: seconds since the epoch."""

    url: str
    pid: int
    started: float
    children: dict[str, int] = field(default_factory=dict)

    def write(self, data_dir: Path) -> None:
        """Replace ``run.json`` in one step, so that nobody reads half of it. Only its owner reads it: the URL may
        hold a password."""
        path = run_path(data_dir)
        temporary = path.with_suffix(".tmp")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(asdict(self), indent=1) + "\n")
        temporary.replace(path)

    @property
    def alive(self) -> bool:
        """Whether the supervisor that wrote it still runs."""
        return process_exists(self.pid)


def run_path(data_dir: Path) -> Path:
    """Where ``run.json`` lies."""
    return data_dir / "run.json"


def read(data_dir: Path) -> RunFile | None:
    """The run file of ``data_dir``; None when there is none, or none that can be read."""
    try:
        return RunFile(**json.loads(run_path(data_dir).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def remove(data_dir: Path) -> None:
    """Forget the run file."""
    run_path(data_dir).unlink(missing_ok=True)


def process_exists(pid: int) -> bool:
    """Whether there is a process of this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def url_is_set(settings: Settings) -> bool:
    """Whether somebody named a broker (LANDMARQ_REDIS__URL), rather than taking the default."""
    return "redis" in settings.model_fields_set and "url" in settings.redis.model_fields_set


def with_broker(settings: Settings) -> Settings:
    """``settings`` with the URL of the ``landmarq up`` that runs on their data folder, unless a URL is set."""
    running = None if url_is_set(settings) else read(settings.data_dir)
    if running is None or not running.alive:
        return settings
    return settings.model_copy(update={"redis": settings.redis.model_copy(update={"url": running.url})})
