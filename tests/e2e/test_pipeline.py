"""A photo through the queue, with real workers: the same answer as in one process, and every way to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recognition.extractors.base import Extractor
from recognition.images import decode
from recognition.recognize import recognize
from tasks.errors import JobFailed
from tasks.jobs import record_key
from tests.support.photos import encode, jpeg, photo
from tests.support.samples import add_sample, query
from tests.support.workers import ROOT, Worker, until

if TYPE_CHECKING:
    from tests.conftest import Line

pytestmark = pytest.mark.tensorflow

RUNS = 20
QUERIES = ("eiffel-tower-2", "taj-mahal-2", "qutub-minar-2")


@pytest.fixture(scope="module")
def gpu(line: Line) -> Worker:
    return line.crew.hire("gpu", concurrency=2).ready()


@pytest.fixture(scope="module")
def cpu(line: Line) -> Worker:
    return line.crew.hire("cpu").ready()


@pytest.fixture(scope="module")
def workers(gpu: Worker, cpu: Worker) -> tuple[Worker, Worker]:
    return gpu, cpu


def answer(result: dict[str, Any]) -> dict[str, Any]:
    """What the engine said, as JSON, without what the queue adds and without times."""
    plain = json.loads(json.dumps(result))
    return {name: value for name, value in plain.items() if name not in ("job_id", "state", "error", "timings_ms")}


def in_process(line: Line, xfeat: Extractor, photo: bytes) -> dict[str, Any]:
    return answer(recognize(photo, extractor=xfeat, index=line.store.open()).to_dict())


def failure(line: Line, photo: bytes) -> dict[str, str]:
    with pytest.raises(JobFailed) as caught:
        line.client.submit(photo).wait(120)
    return caught.value.error


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("name", QUERIES)
def test_the_queue_answers_as_one_process_does(line: Line, xfeat: Extractor, name: str) -> None:
    result = line.client.submit(query(name)).wait(120)
    assert result["state"] == "done"
    assert result["error"] is None
    assert answer(result) == in_process(line, xfeat, query(name))
    assert result["candidates"]
    assert all(result["timings_ms"][part] >= 0 for part in ("extract", "match", "verify", "total"))


@pytest.mark.usefixtures("workers")
def test_two_landmarks_beside_each_other_are_both_named_each_in_its_place(line: Line) -> None:
    left, right = (decode(query(name)) for name in ("colosseum-copy", "brandenburg-gate-copy"))
    height = min(left.shape[0], right.shape[0])
    result = line.client.submit(encode(np.hstack((left[:height], right[:height])), "PNG")).wait(120)
    boxes = {landmark["id"]: landmark["box"] for landmark in result["landmarks"]}
    assert set(boxes) == {"colosseum", "brandenburg-gate"}
    assert result["landmark"] in result["landmarks"]
    middle = left.shape[1]
    assert boxes["colosseum"][3] < middle + 20
    assert boxes["brandenburg-gate"][1] > middle - 20
    assert set(boxes) <= {candidate["landmark"] for candidate in result["candidates"]}


@pytest.mark.usefixtures("workers")
def test_twenty_runs_by_one_cpu_worker_are_one_answer(line: Line, xfeat: Extractor) -> None:
    assert_all_the_same(line, xfeat)


@pytest.mark.usefixtures("workers")
def test_twenty_runs_by_three_cpu_workers_are_the_same_answer(line: Line, xfeat: Extractor) -> None:
    more = [line.crew.hire("cpu", name=name) for name in ("cpu2", "cpu3")]
    try:
        for worker in more:
            worker.ready()
        assert_all_the_same(line, xfeat)
    finally:
        for worker in more:
            worker.stop()


def assert_all_the_same(line: Line, xfeat: Extractor) -> None:
    expected = {name: in_process(line, xfeat, query(name)) for name in QUERIES[:2]}
    names = [QUERIES[i % 2] for i in range(RUNS)]
    jobs = line.client.submit_many([query(name) for name in names])
    for name, job in zip(names, jobs, strict=True):
        assert answer(job.wait(120)) == expected[name]
        assert job.status().finals == 1


@pytest.mark.usefixtures("workers")
def test_a_photo_without_features_is_unknown_not_a_failure(line: Line, xfeat: Extractor) -> None:
    blank = encode(photo()[:1, :1].repeat(200, 0).repeat(200, 1), "PNG")
    result = line.client.submit(blank).wait(120)
    assert (result["state"], result["landmark"]) == ("done", None)
    assert answer(result) == in_process(line, xfeat, blank)


@pytest.mark.parametrize(
    ("photo", "code"),
    [
        (b"this is no photograph at all", "not_an_image"),
        (jpeg()[:2000], "truncated_image"),
        (encode(photo(size=(8, 300)), "PNG"), "image_too_small"),
    ],
    ids=["text", "truncated", "small"],
)
def test_a_bad_photo_fails_with_its_code_and_the_worker_goes_on(
    line: Line, workers: tuple[Worker, Worker], photo: bytes, code: str
) -> None:
    error = failure(line, photo)
    assert (error["code"], error["stage"]) == (code, "extract")
    assert error["message"]
    assert line.client.submit(query("eiffel-tower-2")).wait(120)["state"] == "done"
    assert all(worker.alive for worker in workers)
    assert "Traceback" not in workers[0].output


@pytest.mark.usefixtures("workers")
def test_nothing_of_a_finished_job_is_left_but_its_record(line: Line) -> None:
    job = line.client.submit(query("eiffel-tower-2"))
    job.wait(120)
    redis = line.client.jobs.client
    assert redis.keys(f"*{job.id}*") == [record_key(job.id).encode()]
    until(lambda: redis.hlen("unacked") == 0, "every message is acknowledged")


@pytest.mark.usefixtures("cpu")
def test_a_cancelled_job_is_not_worked_on(line: Line, gpu: Worker) -> None:
    line.client.submit(query("eiffel-tower-2")).wait(120)
    job = line.client.submit(query("eiffel-tower-2"))
    cancelled = job.cancel()
    later = line.client.submit(query("eiffel-tower-2"))
    later.wait(120)
    record = job.status()
    assert record.finals == 1
    assert (record.state == "cancelled") == cancelled
    assert gpu.alive


@pytest.mark.usefixtures("workers")
def test_an_input_that_expired_is_a_clear_failure(line: Line) -> None:
    job_id = "0" * 32
    line.client.jobs.create(job_id, b"photo")
    line.client.jobs.client.delete(f"landmarq:blob:{job_id}:photo")
    from tasks.pipeline import enqueue

    enqueue(line.client._app, job_id)
    with pytest.raises(JobFailed, match="LANDMARQ_JOBS__BLOB_TTL_S") as caught:
        line.client.job(job_id).wait(120)
    assert caught.value.error["code"] == "input_expired"


def test_a_worker_holds_what_it_should_once(line: Line, gpu: Worker, cpu: Worker, xfeat: Extractor) -> None:
    replies = line.client._app.control.broadcast(
        "landmarq", destination=[gpu.node, cpu.node], reply=True, timeout=20, limit=2
    )
    loaded = {node: reply for each in replies for node, reply in each.items()}
    assert loaded[gpu.node]["loads"] == 1
    assert loaded[gpu.node]["extractor"] == xfeat.fingerprint
    assert loaded[cpu.node]["generations"] == [line.store.current()]
    assert "tensorflow" not in loaded[cpu.node]["libraries"]


def test_each_role_consumes_its_own_queues(line: Line, gpu: Worker, cpu: Worker) -> None:
    queues = line.client._app.control.inspect(destination=[gpu.node, cpu.node], timeout=20, limit=2).active_queues()
    names = {node: [queue["name"] for queue in consumed] for node, consumed in queues.items()}
    assert names == {gpu.node: ["gpu", "gpu.bulk"], cpu.node: ["cpu", "cpu.bulk"]}


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize(
    ("role", "node", "status"), [("gpu", "gpu", 0), ("cpu", "cpu", 0), ("gpu", "cpu", 1), ("cpu", "no", 1)]
)
def test_health(line: Line, role: str, node: str, status: int) -> None:
    command = [sys.executable, "-m", "workers.health", role, "--node", f"{node}@test"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **line.crew.env}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (status, "")
    assert len(done.stdout.splitlines()) == 1
    assert f"{node}@test" in done.stdout


@pytest.mark.usefixtures("workers")
def test_interactive_jobs_overtake_bulk_jobs(line: Line) -> None:
    bulk = line.client.submit_many([query("eiffel-tower-2")] * 15)
    urgent = line.client.submit(query("eiffel-tower-2"))
    urgent.wait(120)
    assert not bulk[-1].status().state.final
    for job in bulk:
        job.wait(120)
    assert urgent.status().finished_ms < max(job.status().finished_ms for job in bulk)


@pytest.mark.usefixtures("workers")
def test_a_new_generation_is_used_without_a_restart(line: Line, xfeat: Extractor) -> None:
    before = line.client.submit(query("mount-rushmore-2")).wait(120)
    generation = add_sample(line.store, "parthenon", xfeat)
    after = line.client.submit(query("mount-rushmore-2")).wait(120)
    assert before["index_generation"] == generation - 1
    assert after["index_generation"] == generation
    assert answer(after) == in_process(line, xfeat, query("mount-rushmore-2"))


@pytest.mark.usefixtures("gpu")
def test_a_cpu_worker_starts_without_an_index_and_uses_it_when_it_is_there(
    line: Line, cpu: Worker, xfeat: Extractor
) -> None:
    hidden = line.store.path.with_name("hidden")
    cpu.stop()
    line.store.path.rename(hidden)
    try:
        worker = line.crew.hire("cpu", name="early").ready()
        error = failure(line, query("taj-mahal-2"))
        assert (error["code"], error["stage"]) == ("index_missing", "match")
    finally:
        hidden.rename(line.store.path)
    assert line.client.submit(query("taj-mahal-2")).wait(120)["state"] == "done"
    worker.stop()


@pytest.mark.usefixtures("gpu")
def test_features_of_another_extractor_than_the_index_are_refused(line: Line) -> None:
    from tests.support.indexes import build

    other = build(line.store.path.with_name("other"), range(3))
    worker = line.crew.hire("cpu", name="other", env={"LANDMARQ_INDEX_DIR": str(other.path)}).ready()
    error = failure(line, query("taj-mahal-2"))
    assert (error["code"], error["stage"]) == ("fingerprint_mismatch", "match")
    assert worker.alive
    worker.stop()


@pytest.mark.parametrize("pool", ["prefork", "processes"])
def test_a_gpu_worker_refuses_to_fork(line: Line, pool: str) -> None:
    worker = line.crew.hire("gpu", name=f"forking-{pool}", extra=("-P", pool))
    until(lambda: not worker.alive, "the worker has refused")
    assert worker.process.returncode != 0
    assert "landmarq: a GPU worker can't use the prefork pool" in worker.output
    assert "Traceback" not in worker.output


def test_a_worker_with_bad_settings_says_so_in_one_line(line: Line) -> None:
    worker = line.crew.hire("cpu", name="bad", env={"LANDMARQ_EXTRACTOR": "sift"})
    until(lambda: not worker.alive, "the worker has refused")
    assert worker.process.returncode != 0
    assert "landmarq: LANDMARQ_EXTRACTOR" in worker.output
    assert "Traceback" not in worker.output


def test_without_its_extractor_a_gpu_worker_ends_with_what_is_missing(line: Line) -> None:
    env = {"LANDMARQ_EXTRACTOR": "delf", "LANDMARQ_DELF__HANDLE": str(line.store.path / "no-module")}
    worker = line.crew.hire("gpu", name="bare", env=env)
    until(lambda: not worker.alive, "the worker has refused")
    assert worker.process.returncode != 0
    assert "landmarq: " in worker.output
    assert "Traceback" not in worker.output
