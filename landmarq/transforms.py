"""What may be done to a question's photograph before it is asked: how much does an answer suffer from it?"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recognition.extractors.base import Image


class Transform(StrEnum):
    """A change to a photograph. Turns are clockwise, as a camera that was held the other way makes them."""

    TURN90 = "turn90"
    TURN180 = "turn180"
    TURN270 = "turn270"
    HALF = "half"

    def apply(self, image: Image) -> Image:
        """The changed photograph, C-contiguous: uint8 [h, w, 3] -> [w, h, 3], [h, w, 3] or about [h/2, w/2, 3]."""
        import numpy as np

        from recognition.images import resize_long_side

        if self is Transform.HALF:
            return resize_long_side(image, max(1, round(max(image.shape[:2]) / 2)))
        quarters = {Transform.TURN90: 1, Transform.TURN180: 2, Transform.TURN270: 3}[self]
        return np.ascontiguousarray(np.rot90(image, -quarters))
