"""XFeat at several image scales: the compiled network, and the best keypoints of all scales with their descriptors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from recognition.errors import ExtractorError, ExtractorOutOfMemory
from recognition.extractors.base import Image
from recognition.extractors.spread import spread
from recognition.extractors.xfeat_keypoints import Float32, Int32, local_maxima, sample_bilinear
from recognition.images import widening

THRESHOLD = 0.05  # heatmap value that a keypoint must exceed, in (0, 1)
MIN_SIDE = 32  # pixels: the network's coarsest map has one value per 32 pixels
MAX_ENLARGEMENT = 2.0  # more only blurs
GPU_BATCH = 8  # images per network call; bounds the memory
# A batch is no faster on a CPU, and there the neighbours would change the last bits of a photograph's features.
CPU_BATCH = 1
LEVELS_AT_ONCE = 5


@dataclass(frozen=True)
class Detections:
    """What the network found at one scale in a batch, in which all images have one size.

    Attributes:
        maps: tensor [b, h/8, w/8, 64], dense descriptors, left where the network put them.
        size: (h, w) that the network saw, pixels.
        where: int32 [n, 3], (image of the batch, y, x) of each keypoint in pixels of ``size``.
        scores: float32 [n] in (0, 1).
    """

    maps: Any
    size: tuple[int, int]
    where: Int32
    scores: Float32


class Network:
    """The network at one scale, as two compiled functions that take every image size without compiling anew.

    Args:
        arrays: what ``xfeat.npz`` holds; ``projection`` [64, 40] and ``mean`` [64] are left to the extractor.

    Attributes:
        batch_size: images per call that suit the device.
    """

    def __init__(self, arrays: Mapping[str, Float32]) -> None:
        import tensorflow as tf

        from recognition.extractors import xfeat_net

        net = xfeat_net.build(arrays)

        def describe(maps: Any, where: Any, size: Any) -> Any:
            return tf.math.l2_normalize(xfeat_net.sample_bicubic(maps, where, size), axis=-1)

        images = tf.TensorSpec([None, None, None, None], tf.float32)
        maps = tf.TensorSpec([None, None, None, 64], tf.float32)
        where, size = tf.TensorSpec([None, 3], tf.int32), tf.TensorSpec([2], tf.int32)
        self._detect: Callable[[Any], Any] = tf.function(net, input_signature=[images])
        self._describe: Callable[[Any, Any, Any], Any] = tf.function(describe, input_signature=[maps, where, size])
        on_gpu = bool(tf.config.list_physical_devices("GPU"))
        self.batch_size = GPU_BATCH if on_gpu else CPU_BATCH
        # A level's small layers leave a core idle, which another level can use; a card is busy with one.
        self._each: Callable[..., Iterator[Detections]] = map if on_gpu else ThreadPoolExecutor(LEVELS_AT_ONCE).map
        self._failure: type[Exception] = tf.errors.OpError
        self._out_of_memory: type[Exception] = tf.errors.ResourceExhaustedError

    def detect(self, images: Float32) -> Detections:
        """Keypoints of float32 [b, h, w, c] images in [0, 1] (c = 1 or 3; h, w multiples of 32), row by row.

        Raises:
            ExtractorOutOfMemory: the device's memory does not suffice.
            ExtractorError: TensorFlow failed.
        """
        with self._translated(f"a batch of shape {list(images.shape)}"):
            maps, heatmap, reliability = self._detect(images)
            heat, trust = heatmap.numpy(), reliability.numpy()
        size = (images.shape[1], images.shape[2])
        where = local_maxima(heat, THRESHOLD)
        return Detections(maps, size, where, heat[tuple(where.T)] * sample_bilinear(trust, where, size))

    def detect_all(self, levels: Sequence[Float32]) -> list[Detections]:
        """As :meth:`detect`, of images in several sizes; the last ones, which should be the largest, begin."""
        return list(self._each(self.detect, levels[::-1]))[::-1]

    def describe(self, found: Detections, where: Int32) -> Float32:
        """Unit descriptors float32 [n, 64], not projected, at ``where``, int32 [n, 3] as in the detections.

        Raises:
            ExtractorError: as :meth:`detect`.
        """
        with self._translated(f"{len(where)} keypoints of a batch of shape {list(found.maps.shape)}"):
            descriptors: Float32 = self._describe(found.maps, where, np.array(found.size, np.int32)).numpy()
            return descriptors

    @contextmanager
    def _translated(self, work: str) -> Iterator[None]:
        """TensorFlow's errors as Landmarq's."""
        try:
            yield
        except self._out_of_memory as error:
            raise ExtractorOutOfMemory(
                f"the device's memory does not suffice for {work}: "
                "lower LANDMARQ_BATCH__SIZE or LANDMARQ_XFEAT__IMAGE_SIDE"
            ) from error
        except self._failure as error:
            raise ExtractorError(f"the network failed on {work}: {error}") from error


@dataclass(frozen=True)
class Picked:
    """Keypoints of one image, best first: number of the level [n], ``where`` [n, 3] and score [n] as in Detections."""

    level: Int32
    where: Int32
    scores: Float32


@dataclass(frozen=True)
class RawFeatures:
    """As :class:`recognition.features.Features`, with the network's own descriptors, float32 [n, 64]."""

    locations: Float32
    descriptors: Float32
    scores: Float32
    scales: Float32


def extract(
    network: Network, images: Sequence[Image], image_side: int, scales: Sequence[float], max_features: int
) -> list[RawFeatures]:
    """The best features over all scales of each image, spread over it; of all images :func:`seen_sizes` are the same.

    Those of a wide image are ``widening`` times as many, from ``widening`` times as large a picture.
    """
    sizes = [(image.shape[0], image.shape[1]) for image in images]
    seen = seen_sizes(sizes[0], image_side, scales)
    grays = [_gray(image, max(map(max, seen), default=MIN_SIDE)) for image in images]
    levels = network.detect_all([np.stack([_resize(gray, level) for gray in grays])[..., None] for level in seen])
    steps = [np.array(size) / np.array(seen).reshape(-1, 2) for size in sizes]  # original pixels per pixel, [levels, 2]
    chosen = [
        _spread(best_first(levels, i), steps[i], size, round(max_features * widening(size)))
        for i, size in enumerate(sizes)
    ]
    return [
        RawFeatures(_locations(picked, step, size), descriptors, picked.scores, _spans(step)[picked.level])
        for picked, step, size, descriptors in zip(
            chosen, steps, sizes, _describe(network, levels, chosen), strict=True
        )
    ]


def seen_sizes(size: tuple[int, int], image_side: int, scales: Sequence[float]) -> list[tuple[int, int]]:
    """(h, w) in which the network sees an image (height, width): :func:`level_sizes`, larger ones of a wide image."""
    return level_sizes(size, image_side * widening(size), scales)


def level_sizes(size: tuple[int, int], image_side: float, scales: Sequence[float]) -> list[tuple[int, int]]:
    """(h, w) for each scale, multiples of 32, without repetition; none for an image too small."""
    height, width = size
    if min(size) < MIN_SIDE:
        return []
    zooms = [min(image_side * scale / max(size), MAX_ENLARGEMENT) for scale in scales]
    # The nearest multiple: rounding down, as the original does, distorts small levels by up to a fifth.
    levels = [(_multiple(height * zoom), _multiple(width * zoom)) for zoom in zooms]
    return list(dict.fromkeys(levels))


def best_first(levels: list[Detections], image: int) -> Picked:
    """All keypoints of one image over all levels; equal scores keep level, row and column order."""
    mine = [found.where[:, 0] == image for found in levels]
    level = np.repeat(np.arange(len(levels), dtype=np.int32), [int(mask.sum()) for mask in mine])
    where = np.concatenate([np.zeros((0, 3), np.int32), *(f.where[m] for f, m in zip(levels, mine, strict=True))])
    scores = np.concatenate([np.zeros(0, np.float32), *(f.scores[m] for f, m in zip(levels, mine, strict=True))])
    order = np.argsort(-scores, kind="stable")
    return Picked(level[order], where[order], scores[order])


def _spread(picked: Picked, steps: npt.NDArray[np.float64], size: tuple[int, int], count: int) -> Picked:
    rows = spread(_locations(picked, steps, size), size, count)
    return Picked(picked.level[rows], picked.where[rows], picked.scores[rows])


def _describe(network: Network, levels: list[Detections], chosen: list[Picked]) -> list[Float32]:
    """Descriptors float32 [n, 64] of each image's keypoints, one network call per level for all images."""
    descriptors = [np.zeros((len(picked.level), 64), np.float32) for picked in chosen]
    for i, found in enumerate(levels):
        rows = [np.flatnonzero(picked.level == i) for picked in chosen]
        where = np.concatenate([picked.where[mine] for picked, mine in zip(chosen, rows, strict=True)])
        values = np.split(network.describe(found, where), np.cumsum([len(mine) for mine in rows])[:-1])
        for array, mine, value in zip(descriptors, rows, values, strict=True):
            array[mine] = value
    return descriptors


def _gray(image: Image, side: int) -> Float32:
    """Mean of the three channels, float32 [h, w] in [0, 1]: all that the network looks at.

    A picture of several times ``side`` is shrunk first, to no less than twice that: as float32 it would be huge.
    """
    factor = max(image.shape[:2]) // (2 * side)
    if factor > 1:
        height, width = (max(length // factor, 1) for length in image.shape[:2])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    gray: Float32 = cv2.transform(image.astype(np.float32), np.full((1, 3), 1 / 765))
    return gray


def _resize(gray: Float32, size: tuple[int, int]) -> Float32:
    shrinks = size[0] * size[1] < gray.size
    resized: Float32 = cv2.resize(gray, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return resized


def _spans(steps: npt.NDArray[np.float64]) -> Float32:
    """Original pixels per pixel of each level, float32 [levels]."""
    spans: Float32 = np.sqrt(steps.prod(axis=1)).astype(np.float32)
    return spans


def _multiple(side: float) -> int:
    return max(round(side / 32), 1) * 32


def _locations(picked: Picked, steps: npt.NDArray[np.float64], size: tuple[int, int]) -> Float32:
    """(y, x) in the original image, float32 [n, 2]; a pixel's number names its centre, hence the halves."""
    original = (picked.where[:, 1:] + 0.5) * steps[picked.level] - 0.5
    clipped: Float32 = np.clip(original, 0, np.array(size) - 1).astype(np.float32)
    return clipped
