"""Keeps a server and its workers running until a signal says stop; then drains, and stops everything it started."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from landmarq.child import Child, status_text
from landmarq.errors import StartFailed

TICK_S = 0.2
SERVER_START_S = 60.0
SERVER_STOP_S = 10.0
# A worker that ends so often before it was ever ready has something that a restart does not mend.
HOPELESS = 3

Say = Callable[..., None]


class Supervisor:
    """One server (or none, with a broker elsewhere) and its workers.

    say(event, text, **facts): tells the user; ``answers()``: whether the broker does; ``ready(nodes)``: which of the
    Celery nodes are; ``drain_s``: seconds that running stages get at the end.
    """

    def __init__(
        self,
        server: Child | None,
        workers: Sequence[Child],
        *,
        say: Say,
        answers: Callable[[], bool],
        ready: Callable[[Sequence[str]], Collection[str]],
        drain_s: float,
    ) -> None:
        self._server = server
        self._workers = list(workers)
        self._say = say
        self._answers = answers
        self._ready = ready
        self._drain_s = drain_s
        self._signals = 0
        self._announced = False
        # The workers inherit the reading end and watch it: see landmarq.leash. They get its number on their command
        # line, so it is made before them, by the caller.
        self.leash: tuple[int, int] | None = None

    @property
    def children(self) -> list[Child]:
        """All processes, the server first."""
        return [*([self._server] if self._server else []), *self._workers]

    def run(self, on_start: Callable[[], None], on_ready: Callable[[], None]) -> None:
        """Until SIGINT or SIGTERM. ``on_start``: after every (re)start of a process; ``on_ready``: once, when all are.

        Raises:
            StartFailed: the server or a worker does not come up, or the broker does not answer.
        """
        with self._handling_signals():
            try:
                self._start(on_start)
                while not self._signals:
                    self._watch(on_start, on_ready)
                    self._nap()
            finally:
                self._stop()

    def _start(self, on_start: Callable[[], None]) -> None:
        if self._server:
            self._server.start()
            self._say("starting", f"server starting (process {self._server.pid})", name="server", pid=self._server.pid)
        self._await_server()
        for worker in self._workers:
            if not self._signals:
                self._start_worker(worker)
        on_start()

    def _await_server(self) -> None:
        deadline = time.monotonic() + SERVER_START_S
        while not self._signals and not self._answers():
            if self._server and not self._server.running:
                raise StartFailed(f"the server ended: {self._server.last_words()} (log: {self._server.log})")
            if not self._server or time.monotonic() > deadline:
                raise StartFailed("the broker does not answer: is its address right, and is it running?")
            self._nap()
        if self._server:
            self._server.ready = True

    def _start_worker(self, worker: Child) -> None:
        worker.start(self.leash[:1] if self.leash else ())
        self._say("starting", f"{worker.name} worker starting (process {worker.pid})", name=worker.name, pid=worker.pid)

    def _watch(self, on_start: Callable[[], None], on_ready: Callable[[], None]) -> None:
        """One look at everything."""
        for child in self.children:
            status = child.crashed()
            if status is not None:
                self._mourn(child, status)
            if child.due:
                self._restart(child)
                on_start()
        self._ask_who_is_ready()
        if not self._announced and all(child.ready for child in self.children):
            self._announced = True
            on_ready()

    def _mourn(self, child: Child, status: int) -> None:
        never_ready, child.ready = not child.ready, False
        what = f"{child.name} ended ({status_text(status)})"
        if never_ready and child.failures >= HOPELESS:
            raise StartFailed(f"{what}, {child.failures} times in a row: {child.last_words()} (log: {child.log})")
        text = f"[red]{what}[/], restarting in {child.pause_s:.0f} s; log: {child.log}"
        self._say("crashed", text, name=child.name, status=status, restart_in_s=child.pause_s)

    def _restart(self, child: Child) -> None:
        if child is not self._server:
            self._start_worker(child)
            return
        child.start()
        self._say("starting", f"server starting again (process {child.pid})", name="server", pid=child.pid)

    def _ask_who_is_ready(self) -> None:
        if self._server and self._server.running and not self._server.ready:
            self._server.ready = self._answers()
        asked = [worker for worker in self._workers if worker.running and not worker.ready]
        if not asked or (self._server and not self._server.ready):
            return
        answered = self._ready([worker.node for worker in asked])
        for worker in asked:
            if worker.node in answered:
                worker.ready = True
                self._say("ready", f"[green]{worker.name} worker ready[/]", name=worker.name, pid=worker.pid)

    def _stop(self) -> None:
        """Workers first, as they need the server to hand back what they have not begun."""
        patience = self._signals
        alive = [worker for worker in self._workers if worker.running]
        if alive:
            self._say("stopping", f"stopping: running stages get {self._drain_s:.0f} s (Ctrl-C again: at once)")
        for worker in alive:
            worker.terminate()
        self._await_end(alive, self._drain_s, lambda: self._signals > patience)
        if self._server and self._server.running:
            self._server.terminate()
            self._await_end([self._server], SERVER_STOP_S, lambda: False)
        self._say("stopped", "stopped")

    def _await_end(self, children: Sequence[Child], seconds: float, hurry: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while any(child.running for child in children) and time.monotonic() < deadline and not hurry():
            self._nap()
        for child in children:
            if child.running:
                self._say("killed", f"{child.name} killed; what it worked on is done again", name=child.name)
            child.kill()
            child.reap()

    def _nap(self) -> None:
        time.sleep(TICK_S)

    @contextmanager
    def _handling_signals(self) -> Iterator[None]:
        def note(_number: int, _frame: FrameType | None) -> None:
            self._signals += 1

        handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before: dict[signal.Signals, Any] = {number: signal.signal(number, note) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for end in self.leash or ():
                os.close(end)
