"""Verification of one candidate against skimage.measure.ransac with the origin's settings, and of all of a query's.

python -m benchmarks.verify [--dataset DATASET --index INDEX] [--queries 40] [--json FILE]

The queries are the samples' unless a data set (as for ``landmarq evaluate``) and an index of it are given.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.data import SAMPLES, write_index
from benchmarks.measure import measure, report
from config.settings import load
from landmarq.datasets import read_dataset
from landmarq.engine import Engine
from recognition.images import decode
from recognition.match import match
from recognition.profiles import SEED, VerifyParams
from recognition.recognize import extract
from recognition.search import make_searcher
from recognition.verify import METHODS, Putative, VerifiedMatch, verify, verify_matches

# The fast method is for all candidates of a query in one call: this many.
CANDIDATES = 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--json", type=Path, help="two files: NAME.one.json, NAME.query.json")
    arguments = parser.parse_args()
    files = [arguments.json and arguments.json.with_suffix(f".{part}.json") for part in ("one", "query")]
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        rows = [_row(matches, share) for matches in (8, 50, 200, 1000) for share in (0.1, 0.3, 0.6, 0.8)]
    report("verify: per candidate, affine, residual 20 px of 256, 1,000 trials", rows, files[0])
    with TemporaryDirectory() as folder:
        engine = Engine(load(index_dir=arguments.index or write_index(Path(folder) / "index", copies=100)))
        photos = _photos(arguments.dataset, arguments.queries)
        report(f"verify: all candidates of {len(photos)} queries, one core", [_whole(engine, photos)], files[1])


def _row(matches: int, share: float) -> dict[str, object]:
    slow, fast = SEED.verify, replace(SEED.verify, method="fast")
    pairs = [_matches(matches, share, seed) for seed in range(5)]
    slow_time = measure(lambda: [_verify(p, slow) for p in pairs[:2]], times=2)
    fast_time = measure(lambda: verify_matches(_putative(pairs[:2] * (CANDIDATES // 2)), fast, range(CANDIDATES)))
    counts = [(_verify(p, slow).inliers, _verify(p, fast).inliers) for p in pairs]
    return {
        "matches": matches,
        "inliers": f"{share:.0%}",
        "skimage ms": slow_time.median_ms / 2,
        "fast ms": fast_time.median_ms / CANDIDATES,
        "skimage / fast": slow_time.median_ms / 2 / (fast_time.median_ms / CANDIDATES),
        "largest difference in inliers": max(abs(a - b) for a, b in counts),
    }


def _matches(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Matches between two 256-pixel pictures of which a share follows a turned and shrunken view, with 1 px noise."""
    rng = np.random.default_rng(seed)
    index = (rng.random((count, 2)) * 256).astype(np.float32)
    query = index @ np.array([[0.85, 0.2], [-0.15, 0.9]]) + (10, 20) + rng.normal(0, 1, (count, 2))
    outliers = rng.random(count) >= share
    query[outliers] = rng.random((int(outliers.sum()), 2)) * 256
    return query.astype(np.float32), index


def _verify(pair: tuple[np.ndarray, np.ndarray], params: VerifyParams) -> VerifiedMatch:
    return verify_matches(_putative([pair]), params)[0]


def _putative(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Putative:
    query, index = (np.concatenate(side) for side in zip(*pairs, strict=True))
    ends = np.cumsum([len(pair[1]) for pair in pairs])
    sizes = np.full((len(pairs), 2), 256, np.int32)
    return Putative(query, index, np.ones(len(index), np.float32), ends, (256, 256), sizes)


def _photos(dataset: Path | None, most: int) -> list[bytes]:
    files = sorted((SAMPLES / "query").glob("*.jpg"))
    if dataset:
        files = [question.file for question in read_dataset(dataset, None).questions if question.truth]
    return [file.read_bytes() for file in files[:: max(1, len(files) // most)]]


def _whole(engine: Engine, photos: Sequence[bytes]) -> dict[str, object]:
    features = [extract(decode(photo), engine.extractor, engine.profile.extract) for photo in photos]
    index, params = engine.index, engine.profile
    searcher = make_searcher(index.parts, params.match.method)
    queries = [(found, match(found, index, searcher, params.match)) for found in features]
    runs = [partial(verify, found, candidates, index, params.verify) for found, candidates in queries]
    with threadpool_limits(1):
        taken = [measure(run, times=5).median_ms for run in runs]
        ransac = [_in_ransac(run) for run in runs]
    return {
        "candidates": float(np.median([len(candidates) for _, candidates in queries])),
        "matches": float(np.median([len(candidates.query_rows) for _, candidates in queries])),
        "ms p50": float(np.median(taken)),
        "ms p95": float(np.percentile(taken, 95)),
        "most ms": max(taken),
        "share of RANSAC": float(np.median(ransac)),
    }


def _in_ransac(run: Callable[[], object]) -> float:
    """Which share of its time is spent in the search for models, the median of five runs."""
    find, spent = METHODS["fast"], [0.0]

    def clocked(*arguments: Any) -> Any:
        start = time.perf_counter()
        found = find(*arguments)
        spent[0] += time.perf_counter() - start
        return found

    shares = []
    with patch.dict(METHODS, fast=clocked):
        for _ in range(5):
            spent[0], start = 0.0, time.perf_counter()
            run()
            shares.append(spent[0] / (time.perf_counter() - start))
    return float(np.median(shares))


if __name__ == "__main__":
    main()
