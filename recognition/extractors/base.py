"""What an extractor is: loaded once per process, called many times, from several threads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from recognition.features import Features

Image = npt.NDArray[np.uint8]


class Extractor(Protocol):
    """Turns images into :class:`~recognition.features.Features`. Constructing one loads nothing heavy."""

    name: str

    @property
    def fingerprint(self) -> str:
        """``name@sha256`` of weights and of every parameter that changes what a descriptor means."""

    @property
    def dimension(self) -> int:
        """Length of one descriptor."""

    @property
    def batch_size(self) -> int:
        """Images of one bucket per call of :meth:`extract` that suit the device; 1 where a batch gains nothing.

        Raises:
            ExtractorUnavailable: as :meth:`load`, which it calls if nobody has.
        """

    def bucket(self, image: Image) -> Hashable:
        """Images (uint8 [h, w, 3]) of equal buckets share the network's calls in :meth:`extract`; loads nothing."""

    def load(self) -> None:
        """Load the network and run it once (idempotent, thread-safe).

        Raises:
            ExtractorUnavailable: a package, the weights or the module is missing; the message says how to get it.
        """

    def extract(self, images: Sequence[Image], *, max_features: int = 1000) -> list[Features]:
        """Features of each image (uint8 [h, w, 3] RGB, any sizes), best first; an image without any gives n = 0.

        Args:
            max_features: of an ordinary photograph; a panorama may have up to ``recognition.images.widening`` as many.

        Raises:
            ExtractorUnavailable: as :meth:`load`, which it calls if nobody has.
            ExtractorOutOfMemory: the images are too many, or too large, for the device.
            ExtractorError: the network failed.
        """


@runtime_checkable
class TurningExtractor(Extractor, Protocol):
    """An extractor that can tell which way up a photograph is."""

    def extract_upright(self, images: Sequence[Image], *, max_features: int = 1000) -> list[Features]:
        """As :meth:`extract`, photographs that surely lie on a side turned first; locations are the given image's."""


def fingerprint(name: str, weights: bytes, parameters: Mapping[str, object]) -> str:
    """``name@`` and the first 16 hex digits of the sha256 over the weights and the parameters (as sorted JSON)."""
    digest = hashlib.sha256(weights)
    digest.update(json.dumps(parameters, sort_keys=True).encode())
    return f"{name}@{digest.hexdigest()[:16]}"
