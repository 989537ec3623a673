"""Micro-batching in the GPU worker: photographs per second with and without it, by how many jobs are there at a time.

python -m benchmarks.batching [--photos 32] [--json FILE]

The worker's own batcher and extractor, in this process; a job is a thread that decodes its photograph and submits it.
"off": every job calls the network by itself. "as shipped": batches where the device gains by them (on a GPU). "8": of
up to eight, wherever this runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import SAMPLES
from benchmarks.measure import Timing, measure, report
from config.settings import load
from landmarq.environment import load_extractor
from recognition.extractors.device import limit_memory
from recognition.images import decode
from workers.batching import Batcher
from workers.gpu import make_batcher

TURNS = 3
LOADS = (1, 2, 4, 8, 16)
SIZES: dict[str, int | None] = {"off": 1, "as shipped": None, "8": 8}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=32)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    files = sorted((SAMPLES / "query").glob("*.jpg"))
    photos = [files[i % len(files)].read_bytes() for i in range(arguments.photos)]
    cards = limit_memory()
    extractor = load_extractor(load())
    batchers = {name: make_batcher(extractor, load(batch={"size": size})) for name, size in SIZES.items()}
    rows = [row for jobs in LOADS for row in _at_load(batchers, photos, jobs)]
    where = f"{cards} GPU, batches of up to {batchers['as shipped'].size}" if cards else "no GPU, so no batches"
    report(
        f"{len(photos)} photographs through the GPU worker's network (as shipped here: {where})", rows, arguments.json
    )


def _at_load(batchers: dict[str, Batcher], photos: Sequence[bytes], jobs: int) -> list[dict[str, Any]]:
    """A row for each batcher; they take turns, so that other work on the machine meets all of them."""
    times: dict[str, list[Timing]] = {name: [] for name in batchers}
    with ThreadPoolExecutor(jobs) as pool:
        for turn in range(1 + TURNS):
            for name, batcher in batchers.items():
                job = partial(_job, batcher)
                taken = measure(lambda j=job: list(pool.map(j, photos)), times=1, warm_up=0)  # type: ignore[misc]
                times[name] += [taken] if turn else []  # the first one compiles what a batch of this size needs
    middle = {name: float(np.median([taken.median_ms for taken in each])) for name, each in times.items()}
    return [
        {
            "jobs at a time": jobs,
            "batching": name,
            "photographs/s": len(photos) * 1000 / ms,
            "/ off": middle["off"] / ms,
        }
        for name, ms in middle.items()
    ]


def _job(batcher: Batcher, photo: bytes) -> None:
    with batcher.job() as submit:
        submit(decode(photo))


if __name__ == "__main__":
    main()
