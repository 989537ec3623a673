"""A real ``landmarq up --json`` for tests: its events, its children, and its end, whatever state it is in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.support.workers import ROOT, until


def environment(**changes: str) -> dict[str, str]:
    """The environment without what leads to some other Landmarq."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("LANDMARQ_")}
    return {**own, **changes}


def landmarq(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, as from another terminal."""
    command = [sys.executable, "-m", "landmarq", *(str(argument) for argument in arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120)


class Up:
    """One ``landmarq up`` on a data folder."""

    def __init__(self, data_dir: Path, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self._log = data_dir.with_suffix(".stderr")
        command = [sys.executable, "-m", "landmarq", "up", "--json", "--data-dir", str(data_dir), *arguments]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment(**(env or {})), stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.events: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            self.events.extend(json.loads(line) for line in self.process.stdout)

    def of(self, event: str, **facts: Any) -> list[dict[str, Any]]:
        """The events of this kind so far that have these facts."""
        return [one for one in list(self.events) if one.get("event") == event and facts.items() <= one.items()]

    def await_event(self, event: str, *, count: int = 1, **facts: Any) -> dict[str, Any]:
        """The ``count``-th event of this kind with these facts, once it has come."""

        def come() -> list[dict[str, Any]]:
            found = self.of(event, **facts)
            if len(found) < count and self.process.poll() is not None:
                raise AssertionError(f"up ended with {self.process.returncode}: {self.events}\n{self.stderr}")
            return found[count - 1 :]

        found: list[dict[str, Any]] = until(come, f"event {event} {facts} came {count} times")
        return found[0]

    def ready(self) -> Up:
        self.await_event("up")
        return self

    @property
    def stderr(self) -> str:
        return self._log.read_text()

    @property
    def pids(self) -> dict[str, int]:
        """The children as ``run.json`` has them."""
        found: dict[str, int] = json.loads((self.data_dir / "run.json").read_text())["children"]
        return found

    def end(self) -> int:
        """Wait for the process to end by itself; its exit status."""
        status = self.process.wait(60)
        self._reader.join(10)
        return status

    def stop(self) -> None:
        """Leave nothing running."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.end()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for process in left_behind(self.data_dir):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def __enter__(self) -> Up:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def left_behind(data_dir: Path) -> list[psutil.Process]:
    """Processes that work for this data folder: the server, which hides its arguments, lives in it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            about = [*process.cmdline(), process.cwd(), process.environ().get("LANDMARQ_DATA_DIR", "")]
            if process.pid != os.getpid() and any(str(data_dir) in text for text in about):
                found.append(process)
    return found
