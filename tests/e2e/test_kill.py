"""kill -9 of workers with jobs in flight: every job is done, once; and a photo that kills its worker is given up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from landmarq.client import Job
from tasks.errors import JobFailed
from tasks.jobs import Stage
from tests.support import poison
from tests.support.photos import encode, photo
from tests.support.samples import query
from tests.support.workers import Crew, Worker, until

if TYPE_CHECKING:
    from tests.conftest import Line

pytestmark = pytest.mark.tensorflow

JOBS = 20


def submit(line: Line) -> list[Job]:
    names = ("eiffel-tower-2", "taj-mahal-2", "qutub-minar-2", "statue-of-liberty-2")
    return line.client.submit_many([query(names[i % len(names)]) for i in range(JOBS)])


def kill_in_the_middle_of(stage: Stage, worker: Worker, jobs: Sequence[Job]) -> None:
    """kill -9 while the worker has begun the stage of a job and not finished it."""

    def caught() -> bool:
        worker.freeze()
        records = [job.status() for job in jobs]
        if any(r.stages[stage].started_ms and not r.stages[stage].finished_ms for r in records):
            return True
        worker.thaw()
        return False

    until(caught, f"{worker.node} is in the middle of {stage}", every=0.02)
    worker.kill()


def assert_all_done_once(jobs: Sequence[Job], since: float, what: str) -> None:
    """Wait for all; prints how long the slowest took since ``since`` (Unix time), which no test asserts."""
    for job in jobs:
        assert job.wait(120)["state"] == "done"
    records = [job.status() for job in jobs]
    assert [record.finals for record in records] == [1] * len(jobs)
    again = sum(sum(record.attempts.values()) - 3 for record in records)
    assert again, "nothing was in flight"
    slowest = max(record.finished_ms or 0 for record in records) / 1000 - since
    print(f"\n{what}: slowest of {len(jobs)} done {slowest:.1f} s after the new worker's start, {again} stages again")


def test_a_killed_gpu_worker_loses_nothing(line: Line, crew: Crew) -> None:
    cpu = crew.hire("cpu")
    gpu = crew.hire("gpu", concurrency=2, name="gpu-a").ready()
    cpu.ready()
    jobs = submit(line)
    kill_in_the_middle_of("extract", gpu, jobs)
    crew.hire("gpu", concurrency=2, name="gpu-b")
    assert_all_done_once(jobs, time.time(), "kill -9 of the GPU worker")


def test_a_killed_cpu_worker_loses_nothing(line: Line, crew: Crew) -> None:
    gpu = crew.hire("gpu", concurrency=2, name="gpu-c")
    cpu = crew.hire("cpu", concurrency=2, name="cpu-c")
    gpu.ready()
    cpu.ready()
    jobs = submit(line)
    kill_in_the_middle_of("match", cpu, jobs)
    crew.hire("cpu", concurrency=2, name="cpu-d")
    assert_all_done_once(jobs, time.time(), "kill -9 of the CPU worker")


@pytest.fixture(scope="module")
def gpu(line: Line) -> Worker:
    return line.crew.hire("gpu", name="gpu-e").ready()


@pytest.mark.usefixtures("gpu")
def test_a_photo_that_kills_its_worker_is_given_up_and_others_go_on(line: Line, crew: Crew) -> None:
    env = {"LANDMARQ_JOBS__MAX_ATTEMPTS": "2"}
    worker = crew.hire("cpu", name="poisoned", module="tests.support.poison", env=env).ready()
    poisonous = line.client.submit(encode(photo(size=poison.DEADLY), "PNG"))
    with pytest.raises(JobFailed, match="begun 2 times") as caught:
        poisonous.wait(120)
    assert (caught.value.error["code"], caught.value.error["stage"]) == ("too_many_attempts", "match")
    assert poisonous.status().attempts == {"extract": 1, "match": 3, "verify": 0}
    assert line.client.submit(query("taj-mahal-2")).wait(120)["state"] == "done"
    assert worker.alive


@pytest.mark.usefixtures("gpu")
def test_an_unexpected_fault_is_tried_again_and_then_told(line: Line, crew: Crew) -> None:
    env = {"LANDMARQ_JOBS__MAX_ATTEMPTS": "2"}
    worker = crew.hire("cpu", name="raising", module="tests.support.poison", env=env).ready()
    job = line.client.submit(encode(photo(size=poison.RAISING), "PNG"))
    with pytest.raises(JobFailed, match="failed 2 times with ZeroDivisionError") as caught:
        job.wait(120)
    assert (caught.value.error["code"], caught.value.error["stage"]) == ("internal_error", "match")
    assert "an unexpected fault" not in caught.value.error["message"]
    assert f"job={job.id} stage=match" in worker.output
    assert "ZeroDivisionError: an unexpected fault" in worker.output
    assert job.status().attempts == {"extract": 1, "match": 2, "verify": 0}


@pytest.mark.usefixtures("gpu")
def test_a_killed_pool_process_is_replaced_and_its_job_done(line: Line, crew: Crew) -> None:
    worker = crew.hire("cpu", name="cpu-f").ready()
    (child,) = until(lambda: worker.children, "the pool has its process")
    child.kill()
    assert line.client.submit(query("taj-mahal-2")).wait(120)["state"] == "done"
    assert worker.alive


def test_a_stage_that_hangs_is_ended(line: Line, crew: Crew, gpu: Worker) -> None:
    env = {"LANDMARQ_JOBS__STAGE_TIMEOUT_S": "2"}
    crew.hire("cpu", name="hanging", module="tests.support.poison", env=env).ready()
    job = line.client.submit(encode(photo(size=poison.SLOW), "PNG"))
    with pytest.raises(JobFailed, match="longer than 2 s") as caught:
        job.wait(120)
    assert (caught.value.error["code"], caught.value.error["stage"]) == ("stage_timeout", "match")
    assert line.client.submit(query("taj-mahal-2")).wait(120)["state"] == "done"
    assert gpu.alive


@pytest.mark.usefixtures("gpu")
def test_a_stage_longer_than_the_visibility_timeout_runs_once(line: Line, crew: Crew) -> None:
    env = {"LANDMARQ_REDIS__VISIBILITY_TIMEOUT_S": "3"}
    workers = [crew.hire("cpu", name=name, module="tests.support.poison", env=env) for name in ("slow-a", "slow-b")]
    for worker in workers:
        worker.ready()
    job = line.client.submit(encode(photo(size=poison.SLOW), "PNG"))
    assert job.wait(120)["state"] == "done"
    assert job.status().attempts == {"extract": 1, "match": 1, "verify": 1}
