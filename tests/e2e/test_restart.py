"""The server is killed and comes back with what it had written: no job is lost, none ends twice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tasks.jobs import OPEN_JOBS, State
from tests.support.samples import query
from tests.support.workers import Crew, until

if TYPE_CHECKING:
    from tests.conftest import Line

pytestmark = pytest.mark.tensorflow

JOBS = 20


def test_a_server_killed_in_the_middle_loses_nothing(line: Line, crew: Crew) -> None:
    gpu, cpu = crew.hire("gpu", concurrency=2), crew.hire("cpu", concurrency=2)
    gpu.ready()
    cpu.ready()
    jobs = line.client.submit_many([query("eiffel-tower-2")] * JOBS)
    until(line.server.written, "the jobs are on disk")
    until(lambda: sum(job.status().state.final for job in jobs) >= 3, "jobs are in flight", every=0.01)
    unfinished = sum(not job.status().state.final for job in jobs)
    line.server.kill()
    time.sleep(1)
    line.server.start()
    back = time.time()
    for job in jobs:
        assert job.wait(180)["state"] == "done"
    records = [job.status() for job in jobs]
    assert [record.finals for record in records] == [1] * JOBS
    slowest = max(record.finished_ms or 0 for record in records) / 1000 - back
    print(f"\nserver killed with {unfinished} of {JOBS} unfinished: the slowest done {slowest:.1f} s after it was back")
    assert gpu.alive
    assert cpu.alive
    until(lambda: line.client.jobs.client.hlen("unacked") == 0, "every message is acknowledged")
    assert line.client.jobs.client.zcard(OPEN_JOBS) == 0


def test_a_message_that_was_lost_is_published_again(line: Line, crew: Crew) -> None:
    # A worker that is killed between taking a message and noting that it has it leaves a job without one.
    job = line.client.submit(query("eiffel-tower-2"))
    assert line.client.jobs.client.delete("gpu") == 1
    env = {"LANDMARQ_REDIS__VISIBILITY_TIMEOUT_S": "3", "LANDMARQ_JOBS__RESCUE_AFTER_S": "6"}
    workers = [crew.hire(role, name=f"{role}-rescuer", env=env) for role in ("gpu", "cpu")]
    assert job.wait(120)["state"] == "done"
    assert job.status().finals == 1
    assert any("without a message" in worker.output for worker in workers)


def test_queued_jobs_survive_without_any_worker(line: Line) -> None:
    jobs = line.client.submit_many([b"photo %d" % i for i in range(200)])
    until(line.server.written, "the jobs are on disk")
    line.server.kill()
    line.server.start()
    assert [job.status().state for job in jobs] == [State.QUEUED] * len(jobs)
    assert line.client.jobs.client.llen("gpu.bulk") == len(jobs)
