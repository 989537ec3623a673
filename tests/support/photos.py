"""Synthetic photographs with plenty of corners, and their encoded forms."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image as Pillow

from recognition.extractors.base import Image


def photo(seed: int = 0, size: tuple[int, int] = (240, 320)) -> Image:
    """A picture of random rectangles and discs: (height, width) = ``size``, uint8 RGB, the same for the same seed."""
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = rng.integers(60, 200, (5, 6, 3)).astype(np.uint8)
    picture = np.ascontiguousarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    for _ in range(60):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        extent = int(rng.integers(4, max(5, min(size) // 4)))
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        if rng.random() < 0.7:
            cv2.rectangle(picture, (x, y), (x + extent, y + int(rng.integers(4, extent + 5))), colour, -1)
        else:
            cv2.circle(picture, (x, y), extent // 2 + 1, colour, -1)
    return picture


def encode(image: Image, format: str = "JPEG", **options: object) -> bytes:
    """The image as a file of any format that Pillow writes."""
    return save(Pillow.fromarray(image), format, **options)


def save(image: Pillow.Image, format: str, **options: object) -> bytes:
    """A Pillow image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def jpeg(seed: int = 0, size: tuple[int, int] = (240, 320), quality: int = 90) -> bytes:
    """A synthetic photograph as a JPEG file."""
    return encode(photo(seed, size), "JPEG", quality=quality)
