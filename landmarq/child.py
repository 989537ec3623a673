"""One supervised process: how it is started, watched, and restarted with growing pauses."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
# A process that lived this long was well: the next crash starts again with the shortest pause.
STABLE_S = 60.0
LOG_TAIL_BYTES = 4096


@dataclass
class Child:
    """A process in a session of its own, so that the terminal's Ctrl-C reaches the supervisor alone.

    ``node``: the Celery node name to ask whether it is ready; empty for the server. ``failures``: crashes in a row.
    """

    name: str
    command: Sequence[str]
    log: Path
    env: Mapping[str, str]
    node: str = ""
    ready: bool = False
    failures: int = 0
    restart_at: float | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _started: float = 0.0

    @property
    def pid(self) -> int:
        """The process id, 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, inherit: Sequence[int] = ()) -> None:
        """Start it; its output is appended to ``log``. ``inherit``: file descriptors that it keeps."""
        self.ready, self.restart_at = False, None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                start_new_session=True,
                pass_fds=inherit,
            )
        self._started = time.monotonic()

    def crashed(self) -> int | None:
        """The exit status of a process that has just ended by itself (negative: the signal), once; else None."""
        if self._process is None or self.restart_at is not None:
            return None
        status = self._process.poll()
        if status is None:
            return None
        self.kill()  # what is left of its pool
        self.failures = 1 if time.monotonic() - self._started > STABLE_S else self.failures + 1
        self.restart_at = time.monotonic() + self.pause_s
        return status

    @property
    def pause_s(self) -> float:
        """Seconds between the latest crash and the restart."""
        return float(min(FIRST_PAUSE_S * 2 ** (self.failures - 1), LONGEST_PAUSE_S))

    @property
    def due(self) -> bool:
        """Whether it is time to restart it."""
        return self.restart_at is not None and time.monotonic() >= self.restart_at

    def terminate(self) -> None:
        """Ask it to finish what it is doing and end."""
        if self.running:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it and its children at once."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> None:
        """Wait for a killed process to be gone."""
        if self._process is not None:
            self._process.wait()

    def last_words(self) -> str:
        """The last line of its log."""
        with suppress(OSError), self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "")
            return last.removeprefix("landmarq: ")
        return ""


def status_text(status: int) -> str:
    """``exit status 1``, or ``killed by SIGKILL``."""
    if status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"
