"""Nearest neighbours of 1,000 query descriptors: every method against cKDTree as the origin used it, on one thread.

python -m benchmarks.search [--sizes 10000 100000] [--methods origin kdtree BLAS exact ann]
                            [--dataset DATASET --index INDEX] [--json FILE]

Descriptors are those of the samples, or of INDEX (``landmarq evaluate DATASET --work-dir`` leaves one), filled up with
perturbed copies; queries are drawn from the query photographs, none of which is in the index. Milliseconds are of
processor time, which neighbours on the machine disturb least. In many descriptors a KD-tree is asked fewer queries
("asked"), and its time scaled up to a thousand; above a million every method is timed once. "origin" is
cKDTree.query(queries, k=10, distance_upper_bound=0.8); "origin / this" compares with it whatever K.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from benchmarks.data import dataset_queries, fill, index_descriptors, sample_features
from benchmarks.measure import measure, report
from recognition.search import AnnSearcher, ExactSearcher, KDTreeSearcher, Part, make_searcher
from recognition.search.lists import LEAST, make_lists

Float32 = npt.NDArray[np.float32]
SIZES = (10_000, 100_000)
METHODS = ("origin", "kdtree", "BLAS", "exact", "ann")
QUERIES = 1_000
SEGMENT = 200_000  # descriptors, as the writer of an index has it
BOUND = 0.8
ORIGIN = {"k": 10, "distance_upper_bound": BOUND}
AUTO = {ExactSearcher: "exact", AnnSearcher: "ann"}


@dataclass(frozen=True)
class Method:
    """A way to search, built: ``run(queries, k)``; ``asked``: how many queries it can be asked in reasonable time."""

    name: str
    build_s: float
    mib: float
    run: Callable[[Float32, int], Any]
    asked: int = QUERIES


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--methods", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if (arguments.dataset is None) != (arguments.index is None):
        parser.error("--dataset and --index go together")
    real, queries = _real(arguments.dataset, arguments.index)
    threadpool_limits(1)
    rows = [row for size in arguments.sizes for row in _rows(fill(real, size), queries, arguments.methods)]
    report(f"search: {QUERIES} query descriptors, distance < {BOUND}, one thread", rows, arguments.json)


def _real(dataset: Path | None, index: Path | None) -> tuple[Float32, Float32]:
    """Descriptors to be found and to be asked for."""
    if dataset is not None and index is not None:
        real, asked = index_descriptors(index), dataset_queries(dataset)
    else:
        real, asked = (
            np.concatenate([features.descriptors for features in sample_features(folder)])
            for folder in ("index", "query")
        )
    return real, asked[np.random.default_rng(0).choice(len(asked), QUERIES, replace=False)]


def _rows(index: Float32, queries: Float32, methods: Sequence[str]) -> Iterator[dict[str, object]]:
    parts = [
        Part(index[i : i + SEGMENT], np.array([[0, len(index[i : i + SEGMENT])]]), i)
        for i in range(0, len(index), SEGMENT)
    ]
    auto = AUTO[type(make_searcher(parts))]
    truth = {k: ExactSearcher([index]).search(queries, k=k, max_distance=BOUND)[1] for k in (1, 5)}
    origin, times = None, 3 if len(index) <= 1_000_000 else 1
    for method in _methods(index, parts, methods):
        for k in (10,) if method.name == "origin" else (1, 5):
            run = partial(method.run, queries[:: QUERIES // method.asked], k)
            taken = measure(run, times=times, clock=time.process_time).scaled(QUERIES / method.asked)
            origin = taken if method.name == "origin" else origin
            yield {
                "descriptors": len(index),
                "method": method.name + (" = auto" if method.name == auto else ""),
                "K": k,
                "asked": method.asked,
                "build s": method.build_s,
                "MiB": method.mib,
                "ms": taken,
                "origin / this": origin.median_ms / taken.median_ms if origin else "",
                "recall": _recall(method, queries, truth[k], len(index)) if k in truth else "",
            }


def _recall(method: Method, queries: Float32, truth: npt.NDArray[np.int64], none: int) -> float | str:
    """Share of the true neighbours within the bound that are among those found."""
    if method.asked < QUERIES or method.name == "BLAS":
        return ""
    found = method.run(queries, truth.shape[1])[1]
    hit = (truth[:, :, None] == found[:, None, :]).any(axis=2)
    return float(hit[truth < none].mean())


def _methods(index: Float32, parts: list[Part], names: Sequence[str]) -> Iterator[Method]:
    """The methods asked for, one built after the other; none that is out of place at this size."""
    asked = min(QUERIES, max(10, 20_000_000 // len(index)))
    ways: dict[str, Callable[[], Method]] = {
        "origin": lambda: _origin(index, asked),
        "kdtree": lambda: _method("kdtree", lambda: KDTreeSearcher([index]), asked),
        "BLAS": lambda: Method("BLAS", 0.0, 0.0, partial(_brute_force, index)),
        "exact": lambda: _method("exact", lambda: ExactSearcher([index])),
        "ann": lambda: _ann(parts),
    }
    absent = {"kdtree"} if len(index) > 100_000 else {"ann"} if len(index) < LEAST else set()
    return (ways[name]() for name in METHODS if name in names and name not in absent)


def _origin(index: Float32, asked: int) -> Method:
    tree, seconds, mib = _built(lambda: cKDTree(index))
    return Method("origin", seconds, mib, lambda queries, k: tree.query(queries, **ORIGIN), asked)


def _method(name: str, build: Callable[[], Any], asked: int = QUERIES) -> Method:
    searcher, seconds, mib = _built(build)
    return Method(name, seconds, mib, lambda queries, k: searcher.search(queries, k=k, max_distance=BOUND), asked)


def _ann(parts: list[Part]) -> Method:
    """MiB: of the lists, which a segment holds and every process maps."""
    listed, seconds, _ = _built(lambda: [replace(part, lists=make_lists(part.descriptors)) for part in parts])
    lists = [part.lists for part in listed]
    mib = sum(one.centroids.nbytes + one.ends.nbytes + one.order.nbytes for one in lists) / 2**20
    return replace(_method("ann", lambda: AnnSearcher(listed)), build_s=seconds, mib=mib)


def _built(build: Callable[[], Any]) -> tuple[Any, float, float]:
    """What was built, seconds of processor time, MiB that the process has grown by."""
    process = psutil.Process(os.getpid())
    start, before = time.process_time(), process.memory_info().rss
    built = build()
    return built, time.process_time() - start, max(0, process.memory_info().rss - before) / 2**20


def _brute_force(index: Float32, queries: Float32, k: int) -> npt.NDArray[np.int64]:
    """What one writes first: products with 8,192 rows, the k best of each, and the best of those."""
    similarities, rows = [], []
    for start in range(0, len(index), 8192):
        similarity = queries @ index[start : start + 8192].T
        chosen = _largest(similarity, k)
        similarities.append(np.take_along_axis(similarity, chosen, 1))
        rows.append(chosen + start)
    best = _largest(np.hstack(similarities), k)
    return np.take_along_axis(np.hstack(rows), best, 1)


def _largest(values: Float32, k: int) -> npt.NDArray[np.int64]:
    return values.argmax(axis=1)[:, None] if k == 1 else np.argpartition(values, -k, axis=1)[:, -k:]


if __name__ == "__main__":
    main()
