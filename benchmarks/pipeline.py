"""A job's way through the queue: what it costs beside the engine's own work, and what more CPU workers bring.

python -m benchmarks.pipeline [--jobs 12] [--copies 200] [--json FILE]

A real server and real worker processes. ``--jobs``: photographs per run; ``--copies``: perturbed copies of index
photographs that make matching the larger part of a job whose features are already there.
"""

from __future__ import annotations

import argparse
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.data import SAMPLES, write_index
from benchmarks.measure import Timing, measure, report
from config.celery import make_app
from config.settings import load
from landmarq.client import Client
from landmarq.engine import Engine
from recognition.features import Features
from recognition.images import decode
from recognition.recognize import extract
from tasks import blobs
from tasks.jobs import STAGES, JobRecord
from tasks.pipeline import enqueue
from tests.support.server import Server
from tests.support.workers import Crew

PATIENCE_S = 300.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--json", type=Path, help="three files: NAME.idle.json, NAME.saturated.json, NAME.cpu.json")
    arguments = parser.parse_args()
    files = [arguments.json and arguments.json.with_suffix(f".{part}.json") for part in ("idle", "saturated", "cpu")]
    photos = [file.read_bytes() for file in sorted((SAMPLES / "query").glob("*.jpg"))]
    asked = [photos[i % len(photos)] for i in range(arguments.jobs)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        few, many = write_index(folder / "few"), write_index(folder / "many", copies=arguments.copies)
        engine = Engine(load(index_dir=few))
        floor = measure(lambda: [engine.recognize(photo) for photo in asked], times=2)
        features = [extract(decode(photo), engine.extractor, engine.profile.extract) for photo in photos]
        with _line(folder / "idle", few) as (client, crew):  # as docker-compose.yml has it
            crew.hire("gpu", concurrency=2), crew.hire("cpu", concurrency=2).ready()
            report("one job at a time, ms", _idle(client, asked), files[0])
        with _line(folder / "line", few) as (client, crew):
            crew.hire("gpu", concurrency=2), crew.hire("cpu", name="cpu1").ready()
            report(f"{len(asked)} photographs at once", _saturated(client, asked, crew, floor), files[1])
        title = f"{len(asked)} jobs from their features on, {len(photos)} queries, {arguments.copies} more photographs"
        report(title, _cpu_bound(folder, many, features, len(asked)), files[2])


@contextmanager
def _line(folder: Path, index: Path) -> Iterator[tuple[Client, Crew]]:
    """A server of its own, and nobody hired yet."""
    folder.mkdir()
    env = {"LANDMARQ_INDEX_DIR": str(index), "TF_CPP_MIN_LOG_LEVEL": "2"}
    with (
        Server(folder) as server,
        Client(server.url) as client,
        Crew(folder, {**env, "LANDMARQ_REDIS__URL": server.url}) as crew,
    ):
        yield client, crew


def _idle(client: Client, asked: Sequence[bytes]) -> list[dict[str, Any]]:
    for photo in asked:  # the workers' first jobs load and compile
        client.submit(photo).wait(PATIENCE_S)
    parts = [_one_job(client, photo) for photo in [*asked, *asked]]
    rows = []
    for name in parts[0]:
        p50, p95 = np.percentile([part[name] for part in parts], (50, 95))
        share = float(np.median([part[name] / part["latency"] for part in parts]))
        rows.append({"part": name, "p50": float(p50), "p95": float(p95), "share of the latency": f"{share:.1%}"})
    return rows


def _one_job(client: Client, photo: bytes) -> dict[str, float]:
    """Where its milliseconds went. Times of the record are whole ms."""
    start = time.perf_counter()
    job = client.submit(photo)
    submitted = time.perf_counter()
    job.wait(PATIENCE_S)
    latency = (time.perf_counter() - start) * 1000
    record = job.status()
    work = sum(record.stages[stage].work_ms or 0 for stage in STAGES)
    return {
        "latency": latency,
        "extract, match, verify": work,
        "all else": latency - work,
        "of it: submit": (submitted - start) * 1000,
        "of it: reading and writing in the stages": sum(record.stages[s].duration_ms or 0 for s in STAGES) - work,
        "of it: from stage to stage": _between(record),
    }


def _between(record: JobRecord) -> float:
    """Milliseconds between the end of a stage and the beginning of the next one."""
    times = [record.stages[stage] for stage in STAGES]
    return sum((b.started_ms or 0) - (a.finished_ms or 0) for a, b in pairwise(times))


def _saturated(client: Client, asked: Sequence[bytes], crew: Crew, floor: Timing) -> list[dict[str, Any]]:
    rows = [_throughput("one process, no queue", len(asked), floor, floor)]
    hired = 1
    for workers in (1, 2, 4):
        for number in range(hired, workers):
            crew.hire("cpu", name=f"cpu{number + 1}").ready()
        hired = workers
        taken = measure(lambda: [job.wait(PATIENCE_S) for job in client.submit_many(asked)], times=2)
        rows.append(_throughput(f"1 GPU worker, {workers} CPU workers", len(asked), taken, floor))
    return rows


def _cpu_bound(folder: Path, index: Path, features: Sequence[Features], count: int) -> list[dict[str, Any]]:
    stored = [found.to_bytes() for found in features]
    taken = []
    for workers in (1, 2):
        with _line(folder / f"line{workers}", index) as (client, crew):
            for worker in [crew.hire("cpu", name=f"cpu{number}") for number in range(workers)]:
                worker.ready()
            taken.append(measure(lambda c=client: _match(c, stored, count), times=3))  # type: ignore[misc]
    return [_throughput(f"{n} CPU workers", count, timing, taken[0]) for n, timing in zip((1, 2), taken, strict=True)]


def _match(client: Client, stored: Sequence[bytes], count: int) -> None:
    """Jobs whose features are there already, until the last one is done."""
    with make_app(client.settings) as app:
        jobs = [client.job(uuid.uuid4().hex) for _ in range(count)]
        for i, job in enumerate(jobs):
            client.jobs.create(job.id, b"")
            client.jobs.client.set(blobs.key(job.id, "features"), stored[i % len(stored)], ex=600)
            enqueue(app, job.id, start="match")
        for job in jobs:
            job.wait(PATIENCE_S)


def _throughput(what: str, count: int, taken: Timing, first: Timing) -> dict[str, Any]:
    return {
        "with": what,
        "ms in all": taken,
        "jobs/s": count * 1000 / taken.median_ms,
        "/ first row": first.median_ms / taken.median_ms,
    }


if __name__ == "__main__":
    main()
