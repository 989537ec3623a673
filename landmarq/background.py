"""A whole ``landmarq up`` in the background of another command: for the demo and for ``evaluate``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from landmarq.errors import StartFailed
from landmarq.output import Output

if TYPE_CHECKING:
    from config.settings import Settings

STOP_S = 60.0


@contextmanager
def running(output: Output, settings: Settings, *, cpu_workers: int | None = None) -> Iterator[Settings]:
    """``landmarq up`` in a process of its own, from its being ready to its having stopped.

    Yields ``settings`` with the URL of its server; whatever broker the environment names is left alone.

    Raises:
        StartFailed: it does not come up.
    """
    command = [sys.executable, "-m", "landmarq", "up", "--json", "--data-dir", str(settings.data_dir)]
    command += ["--cpu-workers", str(cpu_workers)] if cpu_workers else []
    up = subprocess.Popen(
        command, stdout=subprocess.PIPE, env=_environment(settings), start_new_session=True, text=True
    )
    try:
        with output.spinner("starting server and workers"):
            url = _await_ready(output, up)
        yield settings.model_copy(update={"redis": settings.redis.model_copy(update={"url": url})})
    finally:
        with output.spinner("stopping"):
            _stop(up)


def _environment(settings: Settings) -> dict[str, str]:
    """Of a process with these settings, whatever the environment says here, that brings its own broker."""
    from config.settings import PREFIX, to_environment

    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    found = others | to_environment(settings)
    del found["LANDMARQ_REDIS__URL"]
    return found


def _await_ready(output: Output, up: subprocess.Popen[str]) -> str:
    """The URL of its server, once everything runs."""
    assert up.stdout is not None
    for line in up.stdout:
        event = json.loads(line)
        if event.get("event") == "up":
            output.note(f"server and workers are ready: {', '.join(event['children'])}")
            return str(event["url"])
        if event.get("event") == "crashed":
            output.note(f"[yellow]{event['name']} crashed and is started again[/]")
        if "error" in event:
            raise StartFailed(event["error"]["message"])
    raise StartFailed("`landmarq up` ended before it was ready")


def _stop(up: subprocess.Popen[str]) -> None:
    up.send_signal(signal.SIGTERM)
    try:
        up.communicate(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        up.kill()  # the leash ends the workers
        up.communicate()
