"""Floating-point operations of a network's convolutions and matrix products, 2 per multiplication and addition.

Nothing else is counted (normalisation, activations, resizing, sampling): it is what the processor's peak is about, and
the time of all else shows as a lower share of that peak.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

# Where each block of XFeat begins: pixels of the input per cell of the block's input.
_XFEAT_STEPS = {
    "skip1": 4,
    "block1": 1,
    "block2": 4,
    "block3": 4,
    "block4": 8,
    "block5": 16,
    "block_fusion": 8,
    "heatmap_head": 8,
    "keypoint_head": 8,
}


def of_convolution(output: Sequence[int], kernel: Sequence[int]) -> int:
    """Of one convolution.

    Args:
        output: (batch, height, width, channels).
        kernel: (height, width, channels in, channels out); of a depthwise one (height, width, channels, multiplier).
    """
    return 2 * math.prod(output[:3]) * math.prod(kernel)


def of_xfeat(height: int, width: int) -> int:
    """Of the XFeat network for one gray image, from its table of layers; both sides are multiples of 32 pixels."""
    from recognition.extractors.xfeat_net import CELL, LAYERS

    total = 0
    for block, layers in LAYERS.items():
        step = _XFEAT_STEPS[block]
        channels = {"block1": 1, "skip1": 1, "keypoint_head": CELL * CELL, "block3": 24, "block2": 24}.get(block, 64)
        for layer in layers:
            step *= layer.stride
            output = (1, height // step, width // step, layer.filters)
            total += of_convolution(output, (layer.kernel, layer.kernel, channels, layer.filters))
            channels = layer.filters
    return total


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
