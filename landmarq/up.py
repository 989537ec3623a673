"""``landmarq up``: the embedded server, a GPU worker and CPU workers in one data folder, supervised."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from platformdirs import user_data_path

from landmarq import runfile, server
from landmarq.child import Child
from landmarq.client import Client
from landmarq.environment import QUIET
from landmarq.errors import AlreadyRunning, OutputUnwritable
from landmarq.output import Output
from landmarq.runfile import RunFile
from landmarq.supervisor import Supervisor

if TYPE_CHECKING:
    from celery import Celery

    from config.settings import Settings

PING_S = 1.0


def default_cpu_workers() -> int:
    """One per core, less one for the network, up to four."""
    return min(4, max(1, (os.cpu_count() or 1) - 1))


class Up:
    """Everything that runs in one data folder."""

    def __init__(
        self, settings: Settings, output: Output, *, port: int | None, cpu_workers: int, drain_s: float
    ) -> None:
        self._settings = settings
        self._output = output
        self._port = port
        self._cpu_workers = cpu_workers
        self._drain_s = drain_s
        self._data_dir = settings.data_dir.absolute()
        self._logs = self._data_dir / "logs"
        self._started = time.time()

    def run(self) -> None:
        """Until a signal.

        Raises:
            BrokerUnavailable: the broker that LANDMARQ_REDIS__URL names does not answer.
            AlreadyRunning: another one owns the data folder. OutputUnwritable: the folder can't be written.
            StartFailed: the port is taken, the server's package is missing, or a process does not come up.
        """
        with self._owning():
            self._clean_up()
            supervisor = self._supervisor()
            supervisor.run(lambda: self._write(supervisor), lambda: self._announce(supervisor))

    @contextmanager
    def _owning(self) -> Iterator[None]:
        """Hold the data folder's lock, which ends with the process however that ends."""
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._data_dir / "run.lock", timeout=0)
            lock.acquire()
        except Timeout:
            running = runfile.read(self._data_dir)
            who = f" (process {running.pid}, {running.url})" if running else ""
            raise AlreadyRunning(
                f"`landmarq up` runs on {self._data_dir} already{who}: use that one, stop it with Ctrl-C or "
                "`kill`, or give this one another --data-dir"
            ) from None
        except OSError as error:
            raise OutputUnwritable(f"can't write to the data folder {self._data_dir}: {error.strerror}") from None
        try:
            yield
        finally:
            runfile.remove(self._data_dir)
            lock.release()

    def _clean_up(self) -> None:
        """What a supervisor that was killed has left."""
        left = runfile.read(self._data_dir)
        if left and server.stop_orphan(left, self._data_dir / "redis"):
            self._say("cleaned", f"stopped the server that a killed `landmarq up` left behind ({left.url})")
        runfile.remove(self._data_dir)

    def _supervisor(self) -> Supervisor:
        embedded = None
        if runfile.url_is_set(self._settings):
            self._url = self._settings.redis.url
            with Client(settings=self._settings) as client:
                client.ping()
            self._say("broker", f"using the broker at {self._settings.redis.safe_url} (LANDMARQ_REDIS__URL)")
        else:
            port = server.free_port(self._port)
            self._url = server.url(port)
            command = server.command(self._data_dir / "redis", port)
            embedded = Child("server", command, self._logs / "server.log", dict(os.environ))
        leash = os.pipe()
        app = self._app()
        supervisor = Supervisor(
            embedded,
            self._workers(leash[0]),
            say=self._say,
            answers=lambda: server.answers(self._url),
            ready=lambda nodes: ready_nodes(app, nodes),
            drain_s=self._drain_s,
        )
        supervisor.leash = leash
        return supervisor

    def _app(self) -> Celery:
        from config.celery import make_app

        redis = self._settings.redis.model_copy(update={"url": self._url})
        return make_app(self._settings.model_copy(update={"redis": redis}))

    def _workers(self, leash: int) -> list[Child]:
        env = worker_environment(self._settings, self._url, self._data_dir)
        names = ["gpu", *(f"cpu{number}" for number in range(1, self._cpu_workers + 1))]
        return [self._worker(name, leash, env) for name in names]

    def _worker(self, name: str, leash: int, env: dict[str, str]) -> Child:
        from celery.utils.nodenames import gethostname, nodename

        role, node = name[:3], nodename(name, gethostname())
        # one process per CPU worker, so that their number means what it says
        more = ["--concurrency", "1"] if role == "cpu" else []
        celery = ["-A", f"workers.{role}", "worker", "--hostname", node, "--without-gossip", "--without-mingle", *more]
        command = [sys.executable, "-m", "landmarq.leash", str(leash), *celery]
        return Child(name, command, self._logs / f"{name}.log", env, node)

    def _write(self, supervisor: Supervisor) -> None:
        children = {child.name: child.pid for child in supervisor.children}
        RunFile(self._url, os.getpid(), self._started, children).write(self._data_dir)

    def _announce(self, supervisor: Supervisor) -> None:
        from config.settings import redact

        has_index = (self._settings.index_path / "CURRENT").exists()
        other = [] if self._data_dir == default_data_dir() else ["--data-dir", str(self._data_dir)]
        lines = [f"[bold green]ready[/] at {redact(self._url)}, data in {self._data_dir}"]
        if not has_index:
            build = " ".join(["landmarq index build FOLDER", *other])
            lines.append(f"there is no index yet, build one in another terminal:  [bold]{build}[/]")
        lines.append(f"submit in another terminal:  [bold]{' '.join(['landmarq submit PHOTO --wait', *other])}[/]")
        lines.append("stop with Ctrl-C")
        children = {child.name: child.pid for child in supervisor.children}
        facts = {"url": self._url, "data_dir": str(self._data_dir), "index": has_index, "children": children}
        self._say("up", "\n".join(lines), **facts)

    def _say(self, event: str, text: str, **facts: Any) -> None:
        self._output.emit({"event": event, **facts}, lambda: text)


def worker_environment(settings: Settings, url: str, data_dir: Path) -> dict[str, str]:
    """The environment in which a worker finds the broker and the data folder, and TensorFlow keeps quiet."""
    found = {"LANDMARQ_REDIS__URL": url, "LANDMARQ_DATA_DIR": str(data_dir)}
    found["LANDMARQ_INDEX_DIR"] = str(settings.index_path.absolute())
    return {**QUIET, **os.environ, **found}


def default_data_dir() -> Path:
    """The data folder that commands in another terminal use when nobody tells them, LANDMARQ_DATA_DIR neither."""
    return user_data_path("landmarq").absolute()


def ready_nodes(app: Celery, nodes: Sequence[str]) -> Collection[str]:
    """Which of the workers answer: a worker does once it has loaded what it needs."""
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    try:
        replies = app.control.ping(destination=list(nodes), timeout=PING_S, limit=len(nodes))
    except (OperationalError, RedisError, OSError):
        return set()
    return {node for reply in replies or [] for node in reply}
