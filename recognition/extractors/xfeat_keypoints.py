"""Keypoints of the XFeat network's maps, in NumPy and OpenCV: for this, TensorFlow's calls cost ten times the work."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]


def local_maxima(heatmaps: Float32, threshold: float, size: int = 5) -> Int32:
    """Where float32 [b, h, w] heatmaps exceed the threshold and their size x size neighbours: int32 [n, 3], row by row.

    Like the original, nothing is taken from the last row and column. OpenCV's dilation gives the very numbers of
    TensorFlow's pooling, which is slow where there is one channel only.
    """
    window = np.ones((size, size), np.uint8)
    found = heatmaps > threshold
    for mask, heatmap in zip(found, heatmaps, strict=True):
        mask &= heatmap == cv2.dilate(heatmap, window)
    found[:, -1] = found[:, :, -1] = False
    # As np.argwhere, which takes four times as long over three axes.
    rows, x = np.divmod(np.flatnonzero(found), heatmaps.shape[2])
    image, y = np.divmod(rows, heatmaps.shape[1])
    return np.stack((image, y, x), axis=1).astype(np.int32)


def sample_bilinear(maps: Float32, where: Int32, extent: tuple[int, int]) -> Float32:
    """Values of float32 [b, h, w] maps at integer pixels ``where`` [n, 3] (b, y, x) of an image of ``extent`` (height,
    width): float32 [n]. What lies outside the map counts as zero."""
    height, width = maps.shape[1:]
    image, y, x = where.T
    flat, values = maps.ravel(), np.zeros(len(where), np.float32)
    columns = _taps(x, extent[1], width)
    for row, row_weight in _taps(y, extent[0], height):
        start = (image * height + row) * width
        for column, column_weight in columns:
            values += flat.take(start + column) * (row_weight * column_weight)
    return values


def _taps(pixels: Int32, extent: int, cells: int) -> list[tuple[Int32, Float32]]:
    """The two cells beside each pixel along one axis, and their weights; ``xfeat_net._taps`` says why so."""
    position = pixels.astype(np.float32) / np.float32(extent - 1) * np.float32(cells) - np.float32(0.5)
    base = np.floor(position)
    share, cell = position - base, base.astype(np.int32)
    return [
        (np.maximum(cell, 0), (1 - share) * (cell >= 0)),
        (np.minimum(cell + 1, cells - 1), share * (cell + 1 < cells)),
    ]
