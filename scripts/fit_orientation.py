"""Fit the orientation classifier on the sample photographs, each turned four ways; write orientation.npz.

    python scripts/fit_orientation.py

Each photograph is taken whole and in seven random parts of it, some mirrored, some brighter or darker: ridge regression
of the four turns on what ``orientation.described`` gives.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.embedding.global_descriptor import GlobalDescriptor
from recognition.embedding.orientation import TURNS, WEIGHTS, described
from recognition.extractors.base import Image
from recognition.images import decode

ROOT = Path(__file__).resolve().parents[1]
PARTS = 7
RIDGE = 10.0  # in mean squared lengths of a centred vector
SEED = 0

Float32 = npt.NDArray[np.float32]


def versions(image: Image, random: np.random.Generator) -> Iterator[Image]:
    """The whole image uint8 [h, w, 3], then parts of it."""
    yield image
    for _ in range(PARTS):
        height, width = (max(1, int(side * random.uniform(0.5, 1))) for side in image.shape[:2])
        top, left = random.integers(image.shape[0] - height + 1), random.integers(image.shape[1] - width + 1)
        part = image[top : top + height, left : left + width]
        if random.random() < 0.5:
            part = part[:, ::-1]
        yield (255 * (part / 255) ** random.uniform(0.6, 1.6)).astype(np.uint8)


def fit(vectors: Float32, turns: npt.NDArray[np.integer], ridge: float = RIDGE) -> dict[str, npt.NDArray[np.floating]]:
    """``directions`` float16 [d, 4] and ``bias`` float32 [4], so that vector @ directions + bias is 1 for its turn.

    Args:
        vectors: float32 [n, d]. turns: [n], 0 to 3.
    """
    data = vectors.astype(np.float64)
    mean = data.mean(axis=0)
    targets = np.eye(TURNS)[turns]
    products = (data - mean) @ (data - mean).T
    products += ridge * np.trace(products) / len(products) * np.eye(len(products))
    directions = ((data - mean).T @ np.linalg.solve(products, targets - targets.mean(axis=0))).astype(np.float16)
    return {"directions": directions, "bias": (targets.mean(axis=0) - mean @ directions).astype(np.float32)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="the file to write")
    args = parser.parse_args()
    descriptor, random = GlobalDescriptor(), np.random.default_rng(SEED)
    photographs = sorted((ROOT / "samples").rglob("*.jpg"))
    vectors = [
        described(descriptor.look(np.ascontiguousarray(np.rot90(version, turn))))
        for path in photographs
        for version in versions(decode(path.read_bytes()), random)
        for turn in range(TURNS)
    ]
    fitted = fit(np.array(vectors), np.arange(len(vectors)) % TURNS)
    np.savez(args.output, **fitted)
    print(f"{args.output}: fitted on {len(photographs)} photographs, {len(vectors)} views")


if __name__ == "__main__":
    main()
