"""Floating-point operations of a network's convolutions and matrix products, 2 per multiplication and addition.

Nothing else is counted (normalisation, activations, resizing, sampling): it is what the processor's peak is about, and
the time of all else shows as a lower share of that peak.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# What each block of XFeat is given: pixels of the image per place, and channels.
_XFEAT_INPUTS = {
    "skip1": (4, 1),
    "block1": (1, 1),
    "block2": (4, 24),
    "block3": (4, 24),
    "block4": (8, 64),
    "block5": (16, 64),
    "block_fusion": (8, 64),
    "heatmap_head": (8, 64),
    "keypoint_head": (8, 64),
}


@dataclass(frozen=True)
class Block:
    """A block of the XFeat network: the shape of what it is given, and its operations."""

    name: str
    shape: tuple[int, int, int, int]
    operations: int


def of_convolution(output: Sequence[int], kernel: Sequence[int]) -> int:
    """Of one convolution.

    Args:
        output: (batch, height, width, channels).
        kernel: (height, width, channels in, channels out); of a depthwise one (height, width, channels, multiplier).
    """
    return 2 * math.prod(output[:3]) * math.prod(kernel)


def of_xfeat(height: int, width: int) -> int:
    """Of the XFeat network for one gray image, from its table of layers; both sides are multiples of 32 pixels."""
    return sum(block.operations for block in xfeat_blocks(height, width))


def xfeat_blocks(height: int, width: int) -> Iterator[Block]:
    """The blocks of the XFeat network for one gray image."""
    from recognition.extractors.xfeat_net import LAYERS

    for name, layers in LAYERS.items():
        step, channels = _XFEAT_INPUTS[name]
        shape, total = (1, height // step, width // step, channels), 0
        for layer in layers:
            step *= layer.stride
            output = (1, height // step, width // step, layer.filters)
            total += of_convolution(output, (layer.kernel, layer.kernel, channels, layer.filters))
            channels = layer.filters
        yield Block(name, shape, total)


def of_graph(graph: Any) -> int:
    """Of all convolutions and matrix products of a TensorFlow graph whose shapes are known."""
    return sum(_of_operation(operation) for operation in graph.get_operations())


def _of_operation(operation: Any) -> int:
    if operation.type in ("Conv2D", "DepthwiseConv2dNative"):
        return of_convolution(operation.outputs[0].shape.as_list(), operation.inputs[1].shape.as_list())
    if operation.type == "MatMul":
        inner = operation.inputs[0].shape.as_list()[0 if operation.get_attr("transpose_a") else 1]
        return 2 * math.prod(operation.outputs[0].shape.as_list()) * int(inner)
    return 0
