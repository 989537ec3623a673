"""``landmarq up`` as a user meets it: real processes, a real server, real signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from config.settings import get_settings
from landmarq import runfile, server
from landmarq.child import Child, status_text
from landmarq.client import Client
from recognition.index.store import Store
from tests.support.up import Up, landmarq, left_behind
from tests.support.workers import ROOT, until

QUERY = ROOT / "samples" / "query" / "eiffel-tower-2.jpg"


@pytest.fixture(scope="module")
def up(small_index: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that runs, with an index of eight photographs; tests leave it running."""
    data_dir = tmp_path_factory.mktemp("up") / "data"
    shutil.copytree(small_index.path, data_dir / "index")
    with Up(data_dir, "--cpu-workers", "1") as running:
        yield running.ready()


@pytest.mark.tensorflow
def test_it_is_found_from_another_terminal(up: Up) -> None:
    found = landmarq("submit", QUERY, "--wait", "--json", "--data-dir", up.data_dir)
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout)
    assert (answer["state"], answer["landmark"]["id"]) == ("done", "eiffel-tower")
    status = landmarq("status", answer["job_id"], "--json", "--data-dir", up.data_dir)
    assert json.loads(status.stdout)["attempts"] == {"extract": 1, "match": 1, "verify": 1}
    result = landmarq("result", answer["job_id"], "--json", "--data-dir", up.data_dir)
    assert json.loads(result.stdout)["landmark"] == answer["landmark"]


@pytest.mark.tensorflow
def test_the_python_client_finds_it_too(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARQ_DATA_DIR", str(up.data_dir))
    get_settings.cache_clear()
    try:
        with Client() as client:
            assert client.submit(QUERY).wait(120)["landmark"]["id"] == "eiffel-tower"
    finally:
        get_settings.cache_clear()


@pytest.mark.tensorflow
def test_one_bad_photo_of_several_costs_only_itself(up: Up) -> None:
    photos = [QUERY, ROOT / "samples" / "samples.csv", ROOT / "none.jpg", ROOT / "samples/unknown/solar-panel.jpg"]
    found = landmarq("submit", *photos, "--wait", "--json", "--data-dir", up.data_dir)
    assert found.returncode == 1
    answers = {Path(line["photo"]).name: line for line in map(json.loads, found.stdout.splitlines())}
    assert answers["eiffel-tower-2.jpg"]["landmark"]["id"] == "eiffel-tower"
    assert answers["samples.csv"]["error"]["code"] == "not_an_image"
    assert answers["none.jpg"]["error"]["code"] == "bad_image"
    assert answers["solar-panel.jpg"]["landmark"] is None


@pytest.mark.tensorflow
def test_the_server_keeps_what_it_is_given(up: Up) -> None:
    with redis.Redis.from_url(up.of("up")[0]["url"]) as connection:
        settings = connection.config_get("append*") | connection.config_get("maxmemory-policy")
    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "everysec"
    assert settings["maxmemory-policy"] == "noeviction"


@pytest.mark.tensorflow
def test_doctor_is_content(up: Up) -> None:
    found = landmarq("doctor", "--json", "--data-dir", up.data_dir)
    checks = {check["name"]: check for check in json.loads(found.stdout)["checks"]}
    assert found.returncode == 0, checks
    assert {check["status"] for check in checks.values()} == {"ok"}
    assert checks.keys() >= {
        "broker",
        "persistence",
        "eviction",
        "workers: gpu",
        "workers: cpu",
        "index fits extractor",
    }


@pytest.mark.tensorflow
def test_a_second_one_on_the_same_folder_is_refused(up: Up) -> None:
    found = landmarq("up", "--json", "--data-dir", up.data_dir)
    assert found.returncode == 1
    error = json.loads(found.stdout)["error"]
    assert error["code"] == "already_running"
    assert str(up.process.pid) in error["message"]
    assert up.pids.keys() == {"server", "gpu", "cpu1"}


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["cpu1", "server"])
def test_a_killed_process_is_started_again(up: Up, name: str) -> None:
    before = up.pids
    os.kill(before[name], signal.SIGKILL)
    assert up.await_event("crashed", name=name)["status"] == -signal.SIGKILL
    up.await_event("starting", name=name, count=2)
    until(lambda: up.pids[name] != before[name], "run.json has the new process")
    found = landmarq("submit", QUERY, "--wait", "--json", "--data-dir", up.data_dir)
    assert found.returncode == 0, found.stderr
    assert {other: pid for other, pid in up.pids.items() if other != name}.items() <= before.items()


@pytest.mark.tensorflow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_it_all(tmp_path: Path, number: signal.Signals) -> None:
    with Up(tmp_path / "data", "--cpu-workers", "2") as running:
        running.ready()
        assert {process.pid for process in left_behind(running.data_dir)} >= set(running.pids.values())
        running.process.send_signal(number)
        assert running.end() == 0, running.stderr
        assert running.of("stopped")
        assert not running.of("killed")
        assert left_behind(running.data_dir) == []
        assert runfile.read(running.data_dir) is None


@pytest.mark.tensorflow
def test_a_second_signal_kills(tmp_path: Path) -> None:
    with Up(tmp_path / "data", "--drain", "600") as running:
        pids = running.ready().pids
        os.kill(pids["cpu1"], signal.SIGSTOP)  # it will never drain
        running.process.send_signal(signal.SIGINT)
        until(lambda: not psutil.pid_exists(pids["gpu"]), "the others have drained")
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0, running.stderr
        assert [event["name"] for event in running.of("killed")] == ["cpu1"]
        assert left_behind(running.data_dir) == []


@pytest.mark.tensorflow
def test_workers_end_with_a_killed_supervisor_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with Up(data_dir) as first:
        pids = first.ready().pids
        url = first.of("up")[0]["url"]
        server_process = psutil.Process(pids["server"])
        with redis.Redis.from_url(url) as connection:
            connection.set("kept", "yes")
        first.process.kill()
        first.end()
        until(lambda: not any(psutil.pid_exists(pids[name]) for name in ("gpu", "cpu1")), "the workers are gone")
        assert server_process.is_running()
        with Up(data_dir) as second:
            second.ready()
            assert second.of("cleaned")
            assert not server_process.is_running()
            with redis.Redis.from_url(second.of("up")[0]["url"], decode_responses=True) as connection:
                assert connection.get("kept") == "yes"


@pytest.mark.tensorflow
def test_a_worker_that_never_comes_up_ends_it_with_its_last_words(tmp_path: Path) -> None:
    env = {"LANDMARQ_EXTRACTOR": "delf", "LANDMARQ_DELF__HANDLE": str(tmp_path / "no-module")}
    with Up(tmp_path / "data", env=env) as running:
        assert running.end() == 1
        assert len(running.of("starting", name="gpu")) == 3
        (error,) = [event["error"] for event in running.events if "error" in event]
        assert error["code"] == "start_failed"
        assert "no-module" in error["message"]
        assert left_behind(running.data_dir) == []


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        found = landmarq("up", "--json", "--port", port, "--data-dir", tmp_path / "data")
    assert found.returncode == 1
    assert port in json.loads(found.stdout)["error"]["message"]


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = landmarq("up", "--data-dir", tmp_path / "file" / "data")
    assert found.returncode == 1
    assert found.stderr.startswith(f"error [output_unwritable]: can't write to the data folder {tmp_path / 'file'}")


def test_an_orphan_is_stopped_only_when_it_is_ours(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    port = server.free_port(None)
    child = Child("server", server.command(ours, port), tmp_path / "server.log", dict(os.environ))
    child.start()
    try:
        until(lambda: server.answers(server.url(port)), "the server answers")
        left = runfile.RunFile(server.url(port), 0, 0.0)
        assert not server.stop_orphan(left, other)
        assert child.running
        assert server.stop_orphan(left, ours)
        until(lambda: not child.running, "the server is gone")
        assert not server.stop_orphan(left, ours)
    finally:
        child.kill()
        child.reap()


def test_pauses_between_restarts_grow_to_a_limit(tmp_path: Path) -> None:
    child = Child("x", ["false"], tmp_path / "log", dict(os.environ))
    pauses = []
    for _ in range(7):
        child.start()
        status = until(lambda: child.crashed(), "it ended")
        assert status_text(status) == "exit status 1"
        assert child.crashed() is None  # told once
        pauses.append(child.pause_s)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert status_text(-signal.SIGKILL) == "killed by SIGKILL"
