"""The XFeat network on a GPU against the CPU: images per second by batch, and the share of each one's matmul peak.

python -m benchmarks.accelerator [--batches 1 2 4 8 16 32 64] [--json FILE]

Needs numpy and Keras with JAX or TensorFlow (``KERAS_BACKEND`` decides; without it TensorFlow if it is installed), so
that it runs where only one of them can use the card. One scale of 480 x 640 pixels, images and results left on the
device; of both, products and network, single precision as the backend understands it (on a GPU possibly TF32).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow" if find_spec("tensorflow") else "jax")

import keras
from keras import ops

from benchmarks import flops
from benchmarks.measure import measure, report
from recognition.extractors import xfeat_net

WEIGHTS = Path(xfeat_net.__file__).resolve().parents[1] / "data" / "xfeat.npz"
SIZE = (480, 640)
MATMUL = {"cpu": 2048, "gpu": 8192}  # rows and columns; larger products are no faster


@dataclass(frozen=True)
class Device:
    """One processor. ``on``: what is made inside is made there. ``compiled``: the backend's compiler."""

    kind: str
    name: str
    on: Callable[[], AbstractContextManager[object]]
    compiled: Callable[[Callable[..., Any]], Callable[..., Any]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=(1, 2, 4, 8, 16, 32, 64))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = devices()
    rows = [row for device in found for row in _rows(device, arguments.batches)]
    slowest = next(row["images/s"] for row in rows)  # the CPU's, batch 1
    rows = [{**row, "/ CPU, batch 1": row["images/s"] / slowest} for row in rows]
    report(f"XFeat, one scale of {SIZE[0]} x {SIZE[1]}, Keras on {keras.backend.backend()}", rows, arguments.json)
    if all(device.kind == "cpu" for device in found):
        print("no accelerator found: these are the CPU's rows only")


def devices() -> list[Device]:
    """The CPU, and the first GPU if there is one that the backend can use."""
    if keras.backend.backend() == "jax":
        import jax

        cards = [device for device in jax.devices() if device.platform != "cpu"]
        chosen = [*jax.devices("cpu")[:1], *cards[:1]]
        kinds = ["cpu", "gpu"][: len(chosen)]
        return [
            Device(kind, one.device_kind, lambda one=one: jax.default_device(one), jax.jit)  # type: ignore[misc]
            for kind, one in zip(kinds, chosen, strict=True)
        ]
    import tensorflow as tf

    cards = tf.config.list_physical_devices("GPU")
    names = {"cpu": "cpu"}
    if cards:
        names["gpu"] = tf.config.experimental.get_device_details(cards[0]).get("device_name", "gpu")
    return [Device(kind, name, lambda kind=kind: tf.device(f"/{kind}:0"), tf.function) for kind, name in names.items()]


def _rows(device: Device, batches: list[int]) -> list[dict[str, Any]]:
    with device.on(), np.load(WEIGHTS) as weights:
        net = xfeat_net.build(weights)
        peak = _peak_gflops(device)

        @device.compiled
        def run(images: Any) -> Any:  # a single number, so that waiting for it brings nothing else back
            return sum(ops.max(part) for part in net(images))

        return [_row(device, run, batch, peak) for batch in batches]


def _row(device: Device, run: Callable[..., Any], batch: int, peak: float) -> dict[str, Any]:
    images = ops.convert_to_tensor(np.random.default_rng(0).random((batch, *SIZE, 1), np.float32))
    timing = measure(lambda: float(run(images)), times=5, warm_up=2)
    rate = batch * flops.of_xfeat(*SIZE) / timing.median_ms / 1e6
    return {
        "device": device.name,
        "batch": batch,
        "ms": timing,
        "images/s": 1000 * batch / timing.median_ms,
        "GFLOP/s": rate,
        "peak": peak,
        "of peak": rate / peak,
    }


def _peak_gflops(device: Device) -> float:
    """The best of several products of large matrices, GFLOP/s."""
    side = MATMUL[device.kind]
    square = ops.convert_to_tensor(np.random.default_rng(0).random((side, side), np.float32))
    product = device.compiled(lambda matrix: ops.max(ops.matmul(matrix, matrix)))
    return 2 * side**3 / measure(lambda: float(product(square)), times=10, warm_up=2).least_ms / 1e6


if __name__ == "__main__":
    main()
