"""Real worker processes for tests: started, waited for until they say that they are ready, stopped whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0


def until(condition: Callable[[], Any], what: str, *, timeout: float = PATIENCE_S, every: float = 0.05) -> Any:
    """The condition's first true value; fails the test after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"waited {timeout:g} s in vain until {what}")


class Worker:
    """One ``celery -A workers.<role> worker`` in a process group of its own."""

    def __init__(
        self, role: str, env: Mapping[str, str], log: Path, *, concurrency: int = 1, name: str = "", module: str = ""
    ) -> None:
        self.role = role
        self.node = f"{name or role}@test"
        self.log = log
        self._env = {**os.environ, **env}
        self._command = [
            *(sys.executable, "-m", "celery", "-A", module or f"workers.{role}", "worker"),
            *("-n", self.node, "-c", str(concurrency), "--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *extra: str) -> Worker:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *extra],
                cwd=ROOT,
                env=self._env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def ready(self) -> Worker:
        """Wait for the worker's own word for it."""
        until(self._is_ready, f"{self.node} is ready")
        return self

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"{self.node} ended with {self.process.returncode}:\n{self.output[-4000:]}")
        return f"{self.node} ready." in self.output

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def children(self) -> list[psutil.Process]:
        """The pool's processes."""
        return psutil.Process(self.process.pid).children()

    def freeze(self) -> None:
        """Stop the worker and its pool where they are."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to the worker and its pool at once, as when the machine or the container goes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ask, then kill; leaves no process of the group behind."""
        if self._process is None:
            return
        if self.alive:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=20)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Crew:
    """All workers of a test, stopped together."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self.env = dict(env)
        self._workers: list[Worker] = []

    def hire(
        self,
        role: str,
        *,
        concurrency: int = 1,
        name: str = "",
        module: str = "",
        env: Mapping[str, str] | None = None,
        extra: tuple[str, ...] = (),
    ) -> Worker:
        """Start a worker; call ``ready()`` on it before relying on it."""
        log = self._folder / f"{name or role}-{len(self._workers)}.log"
        worker = Worker(role, {**self.env, **(env or {})}, log, concurrency=concurrency, name=name, module=module)
        self._workers.append(worker)
        return worker.start(*extra)

    def dismiss(self) -> None:
        for worker in reversed(self._workers):
            worker.stop()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()
