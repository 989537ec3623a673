"""The Compose files: what they promise, and that every service's own command and health check work."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import BaseModel

from config.settings import PREFIX, Settings
from landmarq.client import Client
from tests.support.compose import ROOT, Machine, Service, read, seconds, volumes
from tests.support.workers import until

BASE, CPU = "docker-compose.yml", "docker-compose.cpu.yml"
RUNNING = ("redis", "gpu-worker", "cpu-worker")
SAMPLES = ROOT / "samples" / "index"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(read(BASE)["services"])


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (ROOT / "deploy" / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def variables(model: type[BaseModel], prefix: str = PREFIX) -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from variables(kind, f"{prefix}{name}__".upper())
        else:
            yield f"{prefix}{field.alias or name}".upper()


def test_redis_is_durable_and_never_evicts(services: Mapping[str, Any]) -> None:
    command = services["redis"]["command"]
    assert option(command, "--appendonly") == "yes"
    assert option(command, "--appendfsync") == "everysec"
    assert option(command, "--maxmemory-policy") == "noeviction"
    assert volumes(services["redis"])["/data"] == ("redis", False)
    assert [port.split(":")[0] for port in services["redis"]["ports"]] == ["127.0.0.1"]


def test_every_service_that_runs_has_a_health_check_and_comes_back(services: Mapping[str, Any]) -> None:
    assert {name for name, service in services.items() if "profiles" not in service} == set(RUNNING)
    for name in RUNNING:
        assert services[name]["restart"] == "unless-stopped"
        assert seconds(services[name]["stop_grace_period"]) >= 30
    assert services["redis"]["healthcheck"]["test"] == ["CMD-SHELL", "redis-cli ping | grep -q PONG"]
    for role in ("gpu", "cpu"):
        worker = services[f"{role}-worker"]
        assert worker["healthcheck"]["test"] == ["CMD", "python", "-m", "workers.health", role]
        assert worker["depends_on"] == {"redis": {"condition": "service_healthy"}}
        assert worker["init"] is True


def test_workers_can_be_scaled(services: Mapping[str, Any]) -> None:
    for name in ("gpu-worker", "cpu-worker"):
        assert not {"container_name", "hostname", "ports"} & services[name].keys()
        assert not {"-n", "--hostname"} & set(services[name]["command"])
        assert "LANDMARQ_NODE" not in services[name]["environment"]


def test_only_the_index_service_writes_the_index(services: Mapping[str, Any]) -> None:
    mounted = {name: volumes(service) for name, service in services.items()}
    for name in ("cpu-worker", "index"):
        folder = services[name]["environment"]["LANDMARQ_INDEX_DIR"]
        assert mounted[name][folder] == ("index", name == "cpu-worker")
    assert all(source != "index" for name in ("redis", "gpu-worker") for source, _ in mounted[name].values())


def test_a_gpu_is_reserved_and_the_cpu_override_reserves_none(services: Mapping[str, Any]) -> None:
    without = read(BASE, CPU)["services"]
    for name in ("gpu-worker", "index"):
        (device,) = services[name]["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]
        assert "deploy" not in without[name]
        assert without[name]["image"] != services[name]["image"]
        assert without[name]["build"] == services[name]["build"] | {"args": {"EXTRA": "extract"}}
    assert without["cpu-worker"] == services["cpu-worker"]


def test_every_variable_is_a_setting(services: Mapping[str, Any]) -> None:
    given = {name for service in services.values() for name in service.get("environment", {})}
    assert {name for name in given if name.startswith(PREFIX)} <= set(variables(Settings))
    asked = set(re.findall(r"\$\{(LANDMARQ_\w+)", (ROOT / BASE).read_text()))
    assert asked <= set(variables(Settings))
    chosen = read(BASE, variables={"LANDMARQ_EXTRACTOR": "xfeat"})["services"]
    for name in ("gpu-worker", "cpu-worker", "index"):
        assert services[name]["environment"]["LANDMARQ_EXTRACTOR"] == "delf"
        assert chosen[name]["environment"]["LANDMARQ_EXTRACTOR"] == "xfeat"


def test_images_are_pinned_and_run_as_nobody_special(services: Mapping[str, Any], dockerfile: str) -> None:
    assert re.fullmatch(r"redis:\d+\.\d+\.\d+-alpine", services["redis"]["image"])
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert len(set(bases)) == 1  # a virtual environment moves only between equal Pythons
    assert re.fullmatch(r"python:3\.12\.\d+-slim-bookworm", bases[0])
    last_stage = dockerfile[dockerfile.rindex("\nFROM") :]
    user = re.findall(r"^USER (\d+):\d+$", last_stage, re.MULTILINE)
    assert len(user) == 1
    assert int(user[0]) > 0
    for name in ("gpu-worker", "cpu-worker", "index"):
        assert (ROOT / services[name]["build"]["dockerfile"]).is_file()
        assert services[name]["image"].startswith("landmarq-worker:")
        assert "user" not in services[name]
    assert "latest" not in dockerfile + (ROOT / BASE).read_text() + (ROOT / CPU).read_text()


def test_an_image_gets_what_the_project_is_made_of(
    services: Mapping[str, Any], dockerfile: str, project: Mapping[str, Any]
) -> None:
    copied = set(re.findall(r"^COPY (\w+) \1$", dockerfile, re.MULTILINE))
    assert copied == {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    described = set(re.findall(r"^COPY (pyproject.+) \./$", dockerfile, re.MULTILINE)[0].split())
    assert described == {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert let_in == copied | described
    extras = {service["build"].get("args", {}).get("EXTRA") for service in services.values() if "build" in service}
    assert extras - {None} <= project["project"]["optional-dependencies"].keys()


def test_the_folders_of_the_volumes_belong_to_the_user(services: Mapping[str, Any], dockerfile: str) -> None:
    made = re.findall(r"install --directory --owner=landmarq --group=landmarq (.+)$", dockerfile, re.MULTILINE)[0]
    for name in ("gpu-worker", "cpu-worker", "index"):
        named = {target for target, (source, _) in volumes(services[name]).items() if "/" not in source}
        assert named <= set(made.split())


@pytest.mark.tensorflow
def test_every_service_runs_by_its_own_command(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for name in ("colosseum", "taj-mahal"):
        (photos / name).mkdir(parents=True)
        shutil.copy(SAMPLES / f"{name}.jpg", photos / name)
    chosen = {"LANDMARQ_EXTRACTOR": "xfeat", "CPU_WORKER_PROCESSES": "1"}
    files = read(BASE, CPU, variables=chosen)["services"]
    machine = Machine(tmp_path)
    files["index"]["volumes"].append(f"{photos}:/photos:ro")  # as `docker compose run -v` does
    services = {name: Service(name, service, machine) for name, service in files.items()}
    with ExitStack() as stack:
        for service in services.values():
            stack.callback(service.remove)
        until(services["redis"].start().up, "redis is healthy", every=0.2)
        assert services["index"].start().wait(timeout=120) == 0, services["index"].output
        for name in ("gpu-worker", "cpu-worker"):
            assert not services[name].healthy  # it asks the worker, not just the broker
            services[name].start()
        for name in ("gpu-worker", "cpu-worker"):
            until(services[name].up, f"{name} is healthy", every=0.5)
        check_answers(machine.url)
        for name in ("cpu-worker", "gpu-worker", "redis"):
            assert services[name].stop() == 0, services[name].output
            assert not services[name].healthy


def check_answers(url: str) -> None:
    """The broker is set up as the file says, and a photo is recognised with the index that `index` has built."""
    with redis.Redis.from_url(url) as connection:
        found = connection.config_get("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")
    assert found == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory": str(2 * 2**30),
        "maxmemory-policy": "noeviction",
    }
    with Client(url) as client:
        result = client.submit(SAMPLES.parent / "query" / "colosseum-copy.jpg").wait(120)
    assert result["landmark"]["id"] == "colosseum"
