"""The XFeat network (Potje et al., "XFeat: Accelerated Features for Lightweight Image Matching", CVPR 2024) in Keras 3.

Only ``keras.layers`` and ``keras.ops`` are used, so that it runs on every Keras backend. The weights come from
``scripts/convert_xfeat.py``, which has folded each batch normalisation into the convolution before it: a layer
here is a convolution with bias and, where the table says so, a ReLU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

Weights = Mapping[str, npt.NDArray[np.float32]]
Tensor = Any  # whatever the backend calls it

CELL = 8  # pixels of the input per cell of the descriptor map
STRIDE = 32  # both sides of the input must be multiples of this
_EPSILON = 1e-5
_BICUBIC_A = -0.75  # PyTorch's; Keras and OpenCV differ from each other, hence the own kernel


@dataclass(frozen=True)
class Conv:
    """One convolution: output channels, kernel side, stride, and whether a ReLU follows."""

    filters: int
    kernel: int = 3
    stride: int = 1
    relu: bool = True


LAYERS: dict[str, tuple[Conv, ...]] = {
    "skip1": (Conv(24, 1, relu=False),),
    "block1": (Conv(4), Conv(8, stride=2), Conv(8), Conv(24, stride=2)),
    "block2": (Conv(24), Conv(24)),
    "block3": (Conv(64, stride=2), Conv(64), Conv(64, 1)),
    "block4": (Conv(64, stride=2), Conv(64), Conv(64)),
    "block5": (Conv(128, stride=2), Conv(128), Conv(128), Conv(64, 1)),
    "block_fusion": (Conv(64), Conv(64), Conv(64, 1, relu=False)),
    "heatmap_head": (Conv(64, 1), Conv(64, 1), Conv(1, 1, relu=False)),
    "keypoint_head": (Conv(64, 1), Conv(64, 1), Conv(64, 1), Conv(65, 1, relu=False)),
}


def _block(name: str) -> keras.Sequential:
    layers: list[keras.layers.Layer] = []
    for i, conv in enumerate(LAYERS[name]):
        # PyTorch pads both sides by one; "same" with stride 2 would pad the far side only and shift the picture.
        strided = conv.stride > 1
        if strided:
            layers.append(keras.layers.ZeroPadding2D(1))
        layers.append(
            keras.layers.Conv2D(
                conv.filters,
                conv.kernel,
                strides=conv.stride,
                padding="valid" if strided else "same",
                activation="relu" if conv.relu else None,
                name=f"{name}_{i}",
            )
        )
    return keras.Sequential(layers, name=name)


class XFeatNet(keras.Model):  # type: ignore[misc]  # keras has no type information
    """The network without its refiner. Fully convolutional; calling it yields three maps (see :meth:`call`)."""

    def __init__(self) -> None:
        super().__init__(name="xfeat")
        self.blocks = {name: _block(name) for name in LAYERS}
        self.pool = keras.layers.AveragePooling2D(4)

    def call(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Dense descriptors, keypoint heatmap and reliability.

        Args:
            images: float32 [b, h, w, c] in [0, 1], c = 3 (RGB) or 1 (their mean); h and w multiples of 32.

        Returns:
            descriptors: float32 [b, h/8, w/8, 64], unit vectors.
            heatmap: float32 [b, h, w] in [0, 1], probability that a pixel is its cell's keypoint.
            reliability: float32 [b, h/8, w/8] in [0, 1].
        """
        gray = _instance_norm(ops.mean(images, axis=-1, keepdims=True))
        run = self.blocks
        quarter = run["block2"](run["block1"](gray) + run["skip1"](self.pool(gray)))
        eighth = run["block3"](quarter)
        sixteenth = run["block4"](eighth)
        coarsest = run["block5"](sixteenth)
        fused = run["block_fusion"](eighth + _enlarge(sixteenth, 2) + _enlarge(coarsest, 4))
        reliability = ops.sigmoid(run["heatmap_head"](fused))[..., 0]
        heatmap = _cells_to_pixels(ops.softmax(run["keypoint_head"](_pixels_to_cells(gray)), axis=-1))
        return _unit(fused), heatmap, reliability


def build(weights: Weights) -> XFeatNet:
    """The network with its weights.

    Args:
        weights: for each layer ``i`` of a block, ``block.i.kernel`` float32 [k, k, in, out] and
            ``block.i.bias`` float32 [out]; other keys are ignored.

    Raises:
        KeyError, ValueError: a layer's weights are missing or have another shape.
    """
    net = XFeatNet()
    net(ops.zeros((1, STRIDE, STRIDE, 1)))  # creates the variables
    for name, convs in LAYERS.items():
        for i in range(len(convs)):
            layer = net.blocks[name].get_layer(f"{name}_{i}")
            layer.set_weights([weights[f"{name}.{i}.kernel"], weights[f"{name}.{i}.bias"]])
    return net


def sample_bicubic(maps: Tensor, where: Tensor, extent: Tensor) -> Tensor:
    """Values of float32 [b, h, w, c] maps at integer pixels ``where`` [n, 3] (b, y, x) of an image of
    ``extent`` (height, width): float32 [n, c]. With PyTorch's kernel; what lies outside the map counts as zero."""
    shape = ops.shape(maps)
    rows, row_weights = _taps(where[:, 1], extent[0], shape[1])
    columns, column_weights = _taps(where[:, 2], extent[1], shape[2])
    flat = ops.reshape(maps, (-1, maps.shape[-1]))
    index = (where[:, 0, None, None] * shape[1] + rows[:, :, None]) * shape[2] + columns[:, None, :]  # [n, 4, 4]
    weights = row_weights[:, :, None] * column_weights[:, None, :]
    count = ops.shape(index)[0]
    taps = weights.shape[1] * weights.shape[2]
    values = ops.take(flat, ops.reshape(index, (count, taps)), axis=0)  # [n, 16, c]
    return ops.sum(values * ops.reshape(weights, (count, taps, 1)), axis=1)


def _taps(pixels: Tensor, extent: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Cell numbers int32 [n, 4] and weights float32 [n, 4] around each pixel, along one axis.

    The original maps the pixels 0 .. extent-1 onto the whole width of the map, from the outer edge of its first
    cell to that of its last, and the descriptors were trained that way: hence ``extent - 1`` and then ``- 0.5``.
    """
    steps = ops.cast(extent - 1, "float32")
    position = ops.cast(pixels, "float32") / steps * ops.cast(cells, "float32") - 0.5
    base = ops.floor(position)
    offsets, weights = _cubic_kernel(position - base)
    index = ops.cast(base, "int32")[:, None] + ops.convert_to_tensor(offsets, dtype="int32")[None, :]
    inside = ops.logical_and(index >= 0, index < cells)
    return ops.clip(index, 0, cells - 1), weights * ops.cast(inside, "float32")


def _cubic_kernel(t: Tensor) -> tuple[list[int], Tensor]:
    a = _BICUBIC_A

    def near(x: Tensor) -> Tensor:  # |x| <= 1
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:  # 1 < |x| < 2
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [-1, 0, 1, 2], ops.stack([far(t + 1), near(t), near(1 - t), far(2 - t)], axis=-1)


def _instance_norm(gray: Tensor) -> Tensor:
    centred = gray - _mean(gray)
    return centred * ops.rsqrt(_mean(ops.square(centred)) + _EPSILON)


def _mean(gray: Tensor) -> Tensor:
    # Row by row: a sum over all pixels at once is split among threads, and its last bits depend on their number.
    rows = ops.mean(gray[..., 0], axis=2)
    return ops.mean(rows, axis=1)[:, None, None, None]


def _unit(vectors: Tensor) -> Tensor:
    return vectors * ops.rsqrt(ops.maximum(ops.sum(ops.square(vectors), axis=-1, keepdims=True), 1e-24))


def _enlarge(maps: Tensor, factor: int) -> Tensor:
    """Bilinear, half-pixel centres. (``ops.image.resize`` takes no size that is known at run time only.)"""
    _, height, width, channels = ops.shape(maps)
    rows = ops.pad(maps, ((0, 0), (1, 1), (0, 0), (0, 0)), mode="symmetric")
    tall = ops.stack(_phases(factor, rows[:, :-2], maps, rows[:, 2:]), axis=2)
    tall = ops.reshape(tall, (-1, height * factor, width, channels))
    columns = ops.pad(tall, ((0, 0), (0, 0), (1, 1), (0, 0)), mode="symmetric")
    wide = ops.stack(_phases(factor, columns[:, :, :-2], tall, columns[:, :, 2:]), axis=3)
    return ops.reshape(wide, (-1, height * factor, width * factor, channels))


def _phases(factor: int, before: Tensor, here: Tensor, after: Tensor) -> list[Tensor]:
    """The ``factor`` values that take the place of one: mixtures with the nearer neighbour."""
    shifts = [(i + 0.5) / factor - 0.5 for i in range(factor)]
    return [here + abs(shift) * ((before if shift < 0 else after) - here) for shift in shifts]


def _pixels_to_cells(gray: Tensor) -> Tensor:
    """[b, h, w, 1] -> [b, h/8, w/8, 64], a cell's pixels row by row."""
    _, height, width, _ = ops.shape(gray)
    split = ops.reshape(gray, (-1, height // CELL, CELL, width // CELL, CELL))
    return ops.reshape(ops.transpose(split, (0, 1, 3, 2, 4)), (-1, height // CELL, width // CELL, CELL * CELL))


def _cells_to_pixels(cells: Tensor) -> Tensor:
    """[b, h/8, w/8, 65] -> [b, h, w]; the last channel means "no keypoint in this cell" and is dropped."""
    _, height, width, _ = ops.shape(cells)
    split = ops.reshape(cells[..., : CELL * CELL], (-1, height, width, CELL, CELL))
    return ops.reshape(ops.transpose(split, (0, 1, 3, 2, 4)), (-1, height * CELL, width * CELL))
