"""Nearest neighbours of one photograph's 1,000 descriptors: every method against cKDTree as the origin used it.

python -m benchmarks.search [--sizes 10000 20000 50000 100000] [--json FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.data import fill, sample_features
from benchmarks.measure import measure, report
from recognition.search import ExactSearcher, KDTreeSearcher

SIZES = (10_000, 20_000, 50_000, 100_000)
ORIGIN = {"k": 10, "max_distance": 0.8}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    descriptors = np.concatenate([features.descriptors for features in sample_features("index")])
    queries = sample_features("query")[0].descriptors
    rows = []
    for size in arguments.sizes:
        index = fill(descriptors, size)
        searchers = {"kdtree": KDTreeSearcher([index]), "exact": ExactSearcher([index])}
        times = {name: measure(lambda s=s: s.search(queries, **ORIGIN), times=3) for name, s in searchers.items()}
        found = {name: s.search(queries, **ORIGIN)[1] for name, s in searchers.items()}
        rows.append(
            {
                "descriptors": size,
                "kdtree ms": times["kdtree"],
                "exact ms": times["exact"],
                "kdtree / exact": times["kdtree"].median_ms / times["exact"].median_ms,
                "same rows": float((found["kdtree"] == found["exact"]).mean()),
            }
        )
    report(f"search: {len(queries)} query descriptors, K = 10, distance < 0.8", rows, arguments.json)


if __name__ == "__main__":
    main()
