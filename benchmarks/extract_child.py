"""One measurement of ``benchmarks.extract`` in a process of its own: how many threads TensorFlow has is settled by its
first operation, and the most memory that a process ever had says nothing about its second measurement.

python -m benchmarks.extract_child '{"measurement": "row", "threads": 1, ...}' prints a JSON object.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import tensorflow as tf

from benchmarks import flops
from benchmarks.data import SAMPLES
from benchmarks.measure import Timing, measure
from recognition.embedding.extractor import EmbeddingExtractor
from recognition.embedding.global_descriptor import GlobalDescriptor
from recognition.extractors import xfeat_net
from recognition.extractors.delf import DelfExtractor
from recognition.extractors.xfeat import SCALES, WEIGHTS, XFeatExtractor
from recognition.extractors.xfeat_pyramid import level_sizes
from recognition.features import Features
from recognition.images import Image, decode, resize_long_side

MATMUL = 2048  # rows and columns; larger products are no faster
MIB = 2**20


def main() -> None:
    """Measure what the argument asks for."""
    task: dict[str, Any] = json.loads(sys.argv[1])
    threads = task.pop("threads")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    cv2.setNumThreads(threads)
    clock = Clock(time.process_time if threads == 1 else time.perf_counter)
    measurements: dict[str, Callable[..., Any]] = {"row": row, "ways": ways, "scales": scales, "blocks": blocks}
    print(json.dumps(measurements[task.pop("measurement")](clock, **task)))


@dataclass(frozen=True)
class Clock:
    """``seconds``: processor time for one thread, where both are the same unless others use the core; else wall."""

    seconds: Callable[[], float]

    def steady(self, run: Callable[[], object], budget_s: float = 4.0) -> Timing:
        """Timed for about so long, at least three times after two warm-ups."""
        run()
        start = time.perf_counter()
        run()
        times = int(np.clip(budget_s / (time.perf_counter() - start), 3, 50))
        return measure(run, times=times, warm_up=0, clock=self.seconds)

    def peak_gflops(self) -> float:
        """The best of several single-precision products of large matrices, GFLOP/s."""
        square = tf.random.normal((MATMUL, MATMUL))
        product = tf.function(tf.matmul)
        timing = measure(lambda: product(square, square).numpy(), times=20, warm_up=2, clock=self.seconds)
        return 2 * MATMUL**3 / timing.least_ms / 1e6


def row(clock: Clock, extractor: str, side: int, batch: int, handle: str) -> dict[str, Any]:
    """Time of one batch, its operations, this process's most memory, and the peak that these threads reach."""
    images = photographs(side, batch)
    run, operations = prepared(extractor, side, images, handle)
    timing = clock.steady(run)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB
    return {"timing": asdict(timing), "operations": operations, "rss_mib": memory, "peak": clock.peak_gflops()}


def photographs(side: int, count: int) -> list[Image]:
    """Of the samples, those of 4:3, resized to ``side`` pixels."""
    images = [decode(file.read_bytes()) for file in sorted((SAMPLES / "index").glob("*.jpg"))]
    return [resize_long_side(image, side) for image in images if image.shape == (600, 800, 3)][:count]


def prepared(name: str, side: int, images: list[Image], handle: str) -> tuple[Callable[[], object], int]:
    """What to time, and how many operations are known of it (0: not counted)."""
    if name == "heavy":
        return _heavy(images)
    if name == "hub":
        hub = DelfExtractor(handle, score_threshold=1.0)
        return lambda: hub.extract(images), 0
    size = (images[0].shape[0], images[0].shape[1])
    operations = sum(flops.of_xfeat(*level) for level in level_sizes(size, side, SCALES))
    xfeat = XFeatExtractor(side, batch_size=len(images))
    if name == "xfeat":
        return lambda: xfeat.extract(images), operations * len(images)
    whole = GlobalDescriptor()
    both = EmbeddingExtractor(xfeat, whole)
    return lambda: both.extract(images), (operations + _of_embedding(size, whole.image_side)) * len(images)


def _heavy(images: list[Image]) -> tuple[Callable[[], object], int]:
    from benchmarks import heavy

    net = heavy.folded(heavy.build())
    network = heavy.frozen(net)
    stacked = tf.constant(np.stack(images).astype(np.float32) / 255)
    operations = sum(flops.of_graph(heavy.graph(net, len(images), *size)) for size in heavy.sizes(stacked))
    return lambda: heavy.pyramid(network, stacked), operations


def _of_embedding(size: tuple[int, int], side: int) -> int:
    from recognition.embedding import efficientnet, global_descriptor

    net = efficientnet.build(np.load(global_descriptor.WEIGHTS))
    shape = resize_long_side(np.zeros((*size, 3), np.uint8), side).shape
    function = tf.function(net).get_concrete_function(tf.TensorSpec([1, *shape], tf.float32))
    return flops.of_graph(function.graph)


def ways(clock: Clock, side: int, names: Sequence[str]) -> dict[str, Any]:
    """Milliseconds of the heavy network, one image at one scale, compiled in several ways."""
    from benchmarks import heavy

    net = heavy.build()
    fused = heavy.folded(net)
    images = tf.constant(np.stack(photographs(side, 1)).astype(np.float32) / 255)
    runs: dict[str, Callable[[], heavy.Network]] = {
        "eager": lambda: net,
        "tf.function": lambda: heavy.compiled(net),
        "tf.function, folded": lambda: heavy.compiled(fused),
        "frozen": lambda: heavy.frozen(net),
        "frozen, folded": lambda: heavy.frozen(fused),
        "XLA, folded": lambda: heavy.compiled(fused, jit_compile=True),
        "bfloat16, folded": lambda: heavy.compiled(fused),
    }
    peak = clock.peak_gflops()  # before bfloat16 is allowed: of single precision
    rows, reference = [], net(images)[0].numpy()
    for name in names:
        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": "bfloat16" in name})
        network = runs[name]()
        timing = clock.steady(lambda network=network: network(images)[0].numpy())
        difference = np.abs(network(images)[0].numpy() - reference).max() / np.abs(reference).max()
        rows.append({"way": name, "timing": asdict(timing), "difference": float(difference)})
    operations = flops.of_graph(heavy.graph(fused, *images.shape[:3]))
    return {"rows": rows, "operations": operations, "peak": peak}


def scales(clock: Clock, side: int) -> dict[str, Any]:
    """XFeat at all scales against one, compiled against eager, batches against single photographs."""
    images = photographs(side, 8)
    size = (images[0].shape[0], images[0].shape[1])
    alone, single, together = XFeatExtractor(side), XFeatExtractor(side, (1.0,)), XFeatExtractor(side, batch_size=8)
    timings = {
        "five": clock.steady(lambda: alone.extract(images[:1])),
        "one": clock.steady(lambda: single.extract(images[:1])),
    }
    differences = [
        _difference(*alone.extract([image]), other)
        for image, other in zip(images, together.extract(images), strict=True)
    ]
    tf.config.run_functions_eagerly(True)
    timings["eager"] = clock.steady(lambda: alone.extract(images[:1]))
    pixels = [height * width for height, width in level_sizes(size, side, SCALES)]
    return {
        "timings": {name: asdict(timing) for name, timing in timings.items()},
        "pixels": sum(pixels) / pixels[SCALES.index(1.0)],
        "difference": max(differences),
    }


def blocks(clock: Clock, side: int) -> dict[str, Any]:
    """Each block of the XFeat network by itself, and the whole of it, for one image at one scale."""
    net = xfeat_net.build(np.load(WEIGHTS))
    height, width = photographs(side, 1)[0].shape[:2]
    parts = [(block.name, net.blocks[block.name], block) for block in flops.xfeat_blocks(height, width)]
    whole = flops.Block("whole network", (1, height, width, 1), flops.of_xfeat(height, width))
    rows = []
    for name, part, block in (*parts, (whole.name, net, whole)):
        function, maps = tf.function(part), tf.random.uniform(block.shape)
        timing = clock.steady(lambda function=function, maps=maps: tf.nest.flatten(function(maps))[0].numpy(), 0.5)
        rows.append({"block": name, "operations": block.operations, "timing": asdict(timing)})
    return {"rows": rows, "peak": clock.peak_gflops()}


def _difference(one: Features, other: Features) -> float:
    """Largest one between the descriptors of the same keypoints; infinite where the keypoints are not the same."""
    rows = [np.lexsort((*found.locations.T, found.scales)) for found in (one, other)]
    if len(one) != len(other) or not np.allclose(one.locations[rows[0]], other.locations[rows[1]], atol=1e-4):
        return float("inf")
    return float(np.abs(one.descriptors[rows[0]] - other.descriptors[rows[1]]).max())


if __name__ == "__main__":
    main()
