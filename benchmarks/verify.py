"""Verification of one candidate: the fast method against skimage.measure.ransac with the origin's settings.

python -m benchmarks.verify [--json FILE]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure import measure, report
from recognition.profiles import SEED, VerifyParams
from recognition.verify import Putative, VerifiedMatch, verify_matches


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [_row(matches, share) for matches in (50, 200, 1000) for share in (0.1, 0.3, 0.6, 0.8)]
    report("verify: one candidate, affine, residual 20 px of 256, 1,000 trials", rows, arguments.json)


def _row(matches: int, share: float) -> dict[str, object]:
    slow, fast = SEED.verify, replace(SEED.verify, method="fast")
    pairs = [_matches(matches, share, seed) for seed in range(10)]
    slow_time = measure(lambda: [_verify(p, slow) for p in pairs[:2]], times=3)
    fast_time = measure(lambda: [_verify(p, fast) for p in pairs[:2]], times=20)
    counts = [(_verify(p, slow).inliers, _verify(p, fast).inliers) for p in pairs]
    return {
        "matches": matches,
        "inliers": f"{share:.0%}",
        "skimage ms": slow_time.median_ms / 2,
        "fast ms": fast_time.median_ms / 2,
        "skimage / fast": slow_time.median_ms / fast_time.median_ms,
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
    query, index = pair
    ends, sizes = np.array([len(index)]), np.array([[256, 256]], np.int32)
    weights = np.ones(len(index), np.float32)
    return verify_matches(Putative(query, index, weights, ends, (256, 256), sizes), params)[0]


if __name__ == "__main__":
    main()
