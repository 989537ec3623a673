"""Which way up a photograph is, from the feature map that the global descriptor computes anyway.

A linear classifier of four turns, fitted by ``scripts/fit_orientation.py`` on photographs that were turned. The pooled
vector alone can't tell left from right (the network was trained on mirrored pictures): the differences between the
map's opposite sides can, since the sky is on one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.blas import one_thread
from recognition.errors import ExtractorUnavailable
from recognition.extractors import bundled
from recognition.extractors.base import Image

Float32 = npt.NDArray[np.float32]

WEIGHTS = Path(__file__).resolve().parents[1] / "data" / "orientation.npz"
TURNS = 4
SIDES = 0.3  # how much the differences between opposite sides count beside the pooled vector, whose length is 1
# Of scores whose targets are 0 and 1. A photograph that seems upright by CLEARLY is not looked at again; another one
# is looked at in all four turns, and is turned if one of them is better than upright by SURELY.
CLEARLY = 0.3
SURELY = 0.05
_OWNER = "the orientation classifier"


@dataclass(frozen=True)
class View:
    """What the network made of a photograph: ``pooled`` float32 [c], a unit vector, and ``maps`` float32 [h, w, c]."""

    pooled: Float32
    maps: Float32


class Orientation:
    """Four scores per view: how much it looks as if turned by 0, 90, 180 or 270 degrees counterclockwise.

    Args:
        weights: the ``.npz`` that ``scripts/fit_orientation.py`` writes.
    """

    def __init__(self, *, weights: Path = WEIGHTS) -> None:
        self._weights = weights
        self._arrays: Mapping[str, Float32] | None = None

    def load(self) -> None:
        """Read the weights (idempotent).

        Raises:
            ExtractorUnavailable: they are missing or damaged.
        """
        self._parts()

    def scores(self, view: View) -> Float32:
        """float32 [4]: about 1 for the turn that it looks like, about 0 for the others."""
        weights = self._parts()
        with one_thread():
            found: Float32 = described(view) @ weights["directions"] + weights["bias"]
        return found

    def turned(self, image: Image, look: Callable[[Image], View]) -> tuple[int, View]:
        """By how many quarters (0 to 3, counterclockwise) an image is turned, 0 when in doubt, and its upright view.

        Args:
            image: uint8 [h, w, 3] RGB.
            look: runs the network; called once for an image that is clearly upright, else four times.
        """
        first = look(image)
        if _lead(self.scores(first)) >= CLEARLY:
            return 0, first
        views = [first, *(look(np.ascontiguousarray(np.rot90(image, turn))) for turn in range(1, TURNS))]
        # an image that is turned by c looks turned by c + j when it is turned by j more
        total = np.mean([np.roll(self.scores(view), -turn) for turn, view in enumerate(views)], axis=0)
        found = int(np.argmax(total))
        if total[found] - total[0] <= SURELY:
            return 0, first
        return found, views[-found % TURNS]

    def _parts(self) -> Mapping[str, Float32]:
        if self._arrays is None:
            data = bundled.read_weights(self._weights, _OWNER, "scripts/fit_orientation.py")
            arrays = bundled.parse_weights(data, self._weights, _OWNER)
            if not {"directions", "bias"} <= arrays.keys():
                raise ExtractorUnavailable(f"{self._weights} has no classifier: run scripts/fit_orientation.py")
            self._arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
        return self._arrays


def described(view: View) -> Float32:
    """float32 [3 c]: the pooled unit vector; of length ``SIDES``, upper less lower and left less right third."""
    maps = view.maps
    rows, columns = (max(1, round(side / 3)) for side in maps.shape[:2])
    sides = (maps[:rows], maps[-rows:], maps[:, :columns], maps[:, -columns:])
    top, bottom, left, right = (np.sqrt(side.mean(axis=(0, 1))) for side in sides)
    differences = np.concatenate([top - bottom, left - right])
    length = max(float(np.linalg.norm(differences)), 1e-12)
    return np.concatenate([view.pooled, differences * np.float32(SIDES / length)]).astype(np.float32)


def turned_back(locations: Float32, quarters: int, size: tuple[int, int]) -> Float32:
    """Places in an image, from those in its copy that was turned upright.

    Args:
        locations: float32 [n, 2], (y, x) in the copy, ``np.rot90(image, -quarters)``.
        quarters: how far the image is turned, counterclockwise, as :meth:`Orientation.turned` says.
        size: (height, width) of the image, not of the copy.

    Returns:
        float32 [n, 2], (y, x) in the image.
    """
    height, width = size
    y, x = locations[:, 0], locations[:, 1]
    back = {0: (y, x), 1: (height - 1 - x, y), 2: (height - 1 - y, width - 1 - x), 3: (x, width - 1 - y)}
    return np.stack(back[quarters % TURNS], axis=1).astype(np.float32)


def _lead(scores: Float32) -> float:
    """How much better upright is than the best other turn."""
    return float(scores[0] - scores[1:].max())
