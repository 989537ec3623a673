"""EfficientNet-Lite0 in Keras 3, up to its last feature map, and GeM pooling.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; the Lite variant has
ReLU6 and no squeeze-and-excitation.

Only ``keras.layers`` and ``keras.ops`` are used, so that it runs on every Keras backend. The weights come from
``scripts/convert_efficientnet.py``, which has folded each batch normalisation into the convolution before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

Weights = Mapping[str, npt.NDArray[np.floating[Any]]]
Tensor = Any  # whatever the backend calls it

CHANNELS = 1280  # of the last feature map
_SMALLEST = 1e-6  # a channel that is zero everywhere must not become 0 ** (1 / 3), whose slope is infinite


@dataclass(frozen=True)
class Stage:
    """Inverted residual blocks: how many, kernel side, stride of the first, widening inside, output channels."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STEM = 32
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Block:
    """One inverted residual block; ``name`` is its number, as in the weights."""

    name: str
    before: int
    after: int
    kernel: int
    stride: int
    expansion: int


def blocks() -> Iterator[Block]:
    """All blocks, in order."""
    before, number = STEM, 0
    for stage in STAGES:
        for i in range(stage.repeats):
            stride = 1 if i else stage.stride
            yield Block(str(number), before, stage.channels, stage.kernel, stride, stage.expansion)
            before, number = stage.channels, number + 1


def build(weights: Weights) -> keras.Model:
    """The network with its weights: float32 [b, h, w, 3], (RGB - 127) / 128 -> float32 [b, h/32, w/32, 1280] in [0, 6].

    Fully convolutional; h and w are rounded up.

    Args:
        weights: for each layer ``layer.kernel`` and ``layer.bias``, float16 or float32; other keys are ignored.

    Raises:
        KeyError, ValueError: a layer's weights are missing or have another shape.
    """
    images = keras.Input((None, None, 3))
    maps = _conv("stem", STEM, 3, stride=2)(images)
    for block in blocks():
        maps = _residual(block, maps)
    net = keras.Model(images, _conv("head", CHANNELS)(maps), name="efficientnet_lite0")
    for layer in net.layers:
        if layer.weights:
            key = layer.name.replace("_", ".")
            layer.set_weights([weights[f"{key}.{part}"].astype(np.float32) for part in ("kernel", "bias")])
    return net


def gem(maps: Tensor, power: float) -> Tensor:
    """Generalised mean over the places of float32 [b, h, w, c] >= 0: float32 [b, c] (Radenovic et al., TPAMI 2018).

    ``power`` > 0: 1 is the average, infinity the maximum.
    """
    # Row by row: a sum over all places at once is split among threads, and its last bits depend on their number.
    raised = ops.power(ops.maximum(maps, _SMALLEST), power)
    return ops.power(ops.mean(ops.mean(raised, axis=2), axis=1), 1 / power)


def _residual(block: Block, maps: Tensor) -> Tensor:
    inside = maps
    if block.expansion > 1:
        inside = _conv(f"{block.name}_expand", block.before * block.expansion)(inside)
    inside = keras.layers.DepthwiseConv2D(
        block.kernel, strides=block.stride, padding="same", activation="relu6", name=f"{block.name}_depthwise"
    )(inside)
    inside = _conv(f"{block.name}_project", block.after, activation=None)(inside)
    return keras.layers.add([inside, maps]) if block.stride == 1 and block.before == block.after else inside


def _conv(
    name: str, filters: int, kernel: int = 1, *, stride: int = 1, activation: str | None = "relu6"
) -> keras.layers.Layer:
    return keras.layers.Conv2D(filters, kernel, strides=stride, padding="same", activation=activation, name=name)
