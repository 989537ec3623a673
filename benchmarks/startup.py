"""How long a CPU worker takes until it is ready, and what it and each process of its pool cost in memory.

python -m benchmarks.startup [--sizes 10000 1000000] [--processes 3] [--json FILE]

Real workers on a server of their own, on indexes of random descriptors that the writer of every index has written.
"busy": after each process has matched and verified photographs, whose features are made here in an extractor's place.
Private: what only this process has. PSS: the private pages, and of those that are shared each process's share.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.measure import report
from config.celery import make_app
from config.settings import Settings, load
from landmarq.client import Client
from recognition.features import Features
from recognition.images import thumbnail_jpeg
from recognition.index.store import Landmark, Store
from recognition.index.writer import Writer
from tasks.pipeline import enqueue
from tests.support.server import Server
from tests.support.workers import Worker, until

SIZES = (10_000, 1_000_000)
FEATURES = 1_000  # of an image
STARTS = 3
PHOTOGRAPHS = 4  # per process
PHOTOGRAPH = thumbnail_jpeg(np.full((240, 320, 3), 128, np.uint8))  # what it shows does not matter here
WAIT_S = 120.0
FINGERPRINT, EMBEDDER = "benchmark@0123456789abcdef", "whole@0123456789abcdef"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [_row(size, arguments.processes) for size in arguments.sizes]
    report(f"startup: a CPU worker with {arguments.processes} processes, median of {STARTS}", rows, arguments.json)


def _row(size: int, processes: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="landmarq-startup-") as folder:
        _write_index(Path(folder) / "index", size)
        starts = [_start(Path(folder), f"{i}", processes) for i in range(STARTS)]
    return {"descriptors": size, **{name: float(np.median([start[name] for start in starts])) for name in starts[0]}}


def _write_index(path: Path, descriptors: int) -> None:
    rng = np.random.default_rng(0)
    with Writer(Store(path), FINGERPRINT) as writer:
        for i in range(descriptors // FEATURES):
            name = f"{i}.jpg"
            writer.add(
                _features(rng),
                name=name,
                sha256=hashlib.sha256(name.encode()).hexdigest(),
                landmark=Landmark(f"landmark-{i // 4}", f"Landmark {i // 4}"),
                thumbnail=PHOTOGRAPH,
            )
        writer.commit()


def _features(rng: np.random.Generator) -> Features:
    descriptors, embedding = rng.standard_normal((FEATURES, 40), np.float32), rng.standard_normal(1280, np.float32)
    return Features(
        locations=rng.random((FEATURES, 2), np.float32) * 480,
        descriptors=descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True),
        scores=np.zeros(FEATURES, np.float32),
        scales=np.ones(FEATURES, np.float32),
        image_size=(480, 640),
        extractor=FINGERPRINT,
        embedding=embedding / np.linalg.norm(embedding),
        embedder=EMBEDDER,
    )


def _start(folder: Path, name: str, processes: int) -> dict[str, float]:
    """Seconds until the worker is ready, and MiB of its processes then and when they are busy."""
    with Server(folder / f"server-{name}") as server:
        env = {"LANDMARQ_REDIS__URL": server.url, "LANDMARQ_INDEX_DIR": str(folder / "index")}
        worker = Worker("cpu", env, folder / f"{name}.log", concurrency=processes)
        start = time.perf_counter()
        try:
            worker.start().ready()
            ready_s = time.perf_counter() - start
            until(lambda: len(worker.children) == processes, "the pool is complete")
            idle = _private(worker)
            _recognise(load(redis={"url": server.url}), PHOTOGRAPHS * processes)
            return {"ready s": ready_s, "a process, idle MiB": idle, **_busy(worker)}
        finally:
            worker.kill()


def _recognise(settings: Settings, photographs: int) -> None:
    """Have photographs matched and verified, all at once."""
    rng, app = np.random.default_rng(1), make_app(settings)
    with Client(settings=settings) as client:
        jobs = client.submit_many([PHOTOGRAPH] * photographs)
        for job in jobs:
            client.jobs.begin(job.id, "extract")
            client.jobs.complete(job.id, "extract", "features", _features(rng).to_bytes())
            enqueue(app, job.id, start="match")
        ends = [job.wait(WAIT_S)["state"] for job in jobs]
    app.close()
    if set(ends) != {"done"}:
        raise SystemExit(f"the worker did not answer: {ends}")


def _private(worker: Worker) -> float:
    return float(np.mean([child.memory_full_info().uss for child in worker.children])) / 2**20


def _busy(worker: Worker) -> dict[str, float]:
    parent = psutil.Process(worker.process.pid).memory_full_info()
    children = [child.memory_full_info() for child in worker.children]
    mib = {"parent private": parent.uss, "parent PSS": parent.pss}
    for name, field in (("private", "uss"), ("PSS", "pss"), ("RSS", "rss")):
        mib[f"a process, busy, {name}"] = float(np.mean([getattr(child, field) for child in children]))
    mib["all PSS"] = parent.pss + sum(child.pss for child in children)
    return {f"{name} MiB": value / 2**20 for name, value in mib.items()}


if __name__ == "__main__":
    main()
