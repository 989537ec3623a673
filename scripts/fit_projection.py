"""Fit the projection 64 -> 40 of XFeat descriptors on the sample photographs; write it into recognition/data/xfeat.npz.

    python scripts/fit_projection.py

PCA with half whitening: each component is divided by the square root of its standard deviation, which damps the
few strong directions that all photographs share without blowing up the noise of the weak ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from recognition.extractors import xfeat, xfeat_pyramid

ROOT = Path(__file__).resolve().parents[1]
DIMENSION = 40
WHITENING = 0.5  # power of the standard deviation that is divided out: 0 none, 1 full

Float32 = npt.NDArray[np.float32]


def fit(descriptors: Float32, dimension: int = DIMENSION) -> tuple[Float32, Float32]:
    """Projection float32 [64, dimension] and mean float32 [64] from descriptors [n, 64]."""
    data = descriptors.astype(np.float64)
    mean = data.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(data - mean, rowvar=False))
    strongest = np.argsort(-variances)[:dimension]
    axes = axes[:, strongest]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(dimension)])  # eigenvectors have no sign of their own
    projection = axes / variances[strongest] ** (WHITENING / 2)
    return projection.astype(np.float32), mean.astype(np.float32)


def collect(photographs: list[Path], weights: Path) -> Float32:
    """Descriptors [n, 64] of all photographs, as the extractor would see them with its default parameters."""
    default = xfeat.XFeatExtractor()
    with np.load(weights, allow_pickle=False) as arrays:
        network = xfeat_pyramid.Network(dict(arrays))
    descriptors = []
    for path in photographs:
        image = np.asarray(Image.open(path).convert("RGB"))
        raw = xfeat_pyramid.extract(network, [image], default.image_side, default.scales, 1000)
        descriptors.append(raw[0].descriptors)
    return np.concatenate(descriptors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, default=ROOT / "samples" / "index", help="folder of .jpg files")
    parser.add_argument("--weights", type=Path, default=xfeat.WEIGHTS, help="the .npz, which is rewritten")
    args = parser.parse_args()
    photographs = sorted(args.photographs.glob("*.jpg"))
    if not photographs:
        parser.error(f"no .jpg files in {args.photographs}")
    descriptors = collect(photographs, args.weights)
    projection, mean = fit(descriptors)
    with np.load(args.weights, allow_pickle=False) as old:
        arrays = dict(old) | {"projection": projection, "mean": mean}
    np.savez(args.weights, **dict(sorted(arrays.items())))
    print(f"{args.weights}: projection from {len(descriptors)} descriptors of {len(photographs)} photographs")


if __name__ == "__main__":
    main()
