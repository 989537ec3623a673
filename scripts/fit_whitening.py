"""Fit the whitening of the global descriptor on the sample photographs; write it into efficientnet_lite0.npz.

    python scripts/fit_whitening.py

The mean is taken away, and the strongest directions that photographs of landmarks have in common (sky, façade, lawn)
are damped to about the strength of the next ones. Whatever lies outside of them is kept as it is: 71 photographs say
what is common, not what is rare. The last bits depend on the number of TensorFlow's threads: with
TF_NUM_INTRAOP_THREADS=1 OMP_NUM_THREADS=1 the shipped file comes out, byte by byte, on a machine of the same kind.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.embedding.global_descriptor import WEIGHTS, GlobalDescriptor
from recognition.images import decode

ROOT = Path(__file__).resolve().parents[1]
DIRECTIONS = 32
FLOOR = 0.03  # of the strongest variance, added to every other: how far a direction may be damped

Float32 = npt.NDArray[np.float32]


def fit(vectors: Float32, count: int = DIRECTIONS, floor: float = FLOOR) -> dict[str, Float32]:
    """``mean`` [d], ``directions`` [d, count] and ``damping`` [count], as ``global_descriptor.whiten`` takes them.

    Args:
        vectors: float32 [n, d] with n > count.
    """
    data = vectors.astype(np.float64)
    mean = data.mean(axis=0)
    _, lengths, axes = np.linalg.svd(data - mean, full_matrices=False)
    variances = lengths[:count] ** 2
    directions = axes[:count].T * np.sign(axes[np.arange(count), np.abs(axes[:count]).argmax(axis=1)])
    added = floor * variances[0]
    damping = 1 - np.sqrt((variances[-1] + added) / (variances + added))
    whitening = {"mean": mean, "directions": directions, "damping": damping}
    return {name: array.astype(np.float32) for name, array in whitening.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the file to read and to write")
    args = parser.parse_args()
    photographs = sorted((ROOT / "samples").rglob("*.jpg"))
    descriptor = GlobalDescriptor(weights=args.weights)
    whitening = fit(descriptor.pool([decode(path.read_bytes()) for path in photographs]))
    with np.load(args.weights, allow_pickle=False) as old:
        arrays = {name: old[name] for name in old.files} | whitening
    np.savez(args.weights, **dict(sorted(arrays.items())))
    print(f"{args.weights}: fitted on {len(photographs)} photographs")


if __name__ == "__main__":
    main()
