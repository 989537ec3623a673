"""The default extractor: XFeat at several image scales, descriptors projected from 64 to 40 numbers. Works offline."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.blas import one_thread
from recognition.errors import ExtractorUnavailable
from recognition.extractors import bundled, xfeat_pyramid
from recognition.extractors.base import Image, fingerprint
from recognition.extractors.spread import CELLS, POOL, SHARE
from recognition.extractors.xfeat_pyramid import MIN_SIDE, Network
from recognition.features import Features
from recognition.images import MAX_WIDENING, ORDINARY_RATIO

Float32 = npt.NDArray[np.float32]

WEIGHTS = Path(__file__).resolve().parents[1] / "data" / "xfeat.npz"
SCALES = (0.3536, 0.5, 0.7071, 1.0, 1.4142)
_OWNER = "the extractor 'xfeat'"


class XFeatExtractor:
    """XFeat at several scales, the best features of all scales together.

    Args:
        image_side: >= 32, pixels: the longer side of the image at scale 1.
        scales: > 0, relative to ``image_side``; where one would enlarge the original more than twice, twice it is.
        weights: the ``.npz`` that ``scripts/convert_xfeat.py`` and ``scripts/fit_projection.py`` write.
        batch_size: > 0, images per network call; None: what suits the device. It may change a
            descriptor's last bits, by about 1e-6, and is no part of the fingerprint.

    Raises:
        ValueError: a parameter is out of its range.
    """

    name = "xfeat"
    dimension = 40

    def __init__(
        self,
        image_side: int = 640,
        scales: Sequence[float] = SCALES,
        *,
        weights: Path = WEIGHTS,
        batch_size: int | None = None,
    ) -> None:
        if image_side < MIN_SIDE or not scales or min(scales) <= 0:
            raise ValueError(f"image_side must be >= {MIN_SIDE} and scales > 0, not {image_side} and {tuple(scales)}")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be > 0, not {batch_size}")
        self.image_side = image_side
        self.scales = tuple(float(scale) for scale in scales)
        self._weights = weights
        self._batch_size = batch_size
        self._lock = threading.Lock()
        self._fingerprint: str | None = None
        self._loaded: tuple[Network, Float32, Float32] | None = None

    @property
    def fingerprint(self) -> str:
        """``xfeat@`` and a hash of the weights' bytes, the image side and the scales; loads no TensorFlow.

        Raises:
            ExtractorUnavailable: the weights are missing.
        """
        if self._fingerprint is None:
            parameters = {
                "image_side": self.image_side,
                "scales": list(self.scales),
                "spread": [CELLS, SHARE, POOL],
                "widening": [ORDINARY_RATIO, MAX_WIDENING],
            }
            self._fingerprint = fingerprint(self.name, _read(self._weights), parameters)
        return self._fingerprint

    @property
    def batch_size(self) -> int:
        """As :attr:`recognition.extractors.base.Extractor.batch_size` says."""
        return self._batch_size or self._parts()[0].batch_size

    def load(self) -> None:
        """Load the network and run it once, as :meth:`recognition.extractors.base.Extractor.load` says."""
        self._parts()

    def bucket(self, image: Image) -> Hashable:
        """The sizes in which the network sees an image: those of images of slightly different sizes are the same."""
        return tuple(xfeat_pyramid.seen_sizes((image.shape[0], image.shape[1]), self.image_side, self.scales))

    def extract(self, images: Sequence[Image], *, max_features: int = 1000) -> list[Features]:
        """Features as :meth:`recognition.extractors.base.Extractor.extract` says.

        An image with a side shorter than 32 pixels has no features.
        """
        size = self.batch_size
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for i, image in enumerate(images):
            groups[self.bucket(image)].append(i)
        batches = [same[start : start + size] for same in groups.values() for start in range(0, len(same), size)]
        features: dict[int, Features] = {}
        for batch in batches:
            features.update(zip(batch, self._extract_batch([images[i] for i in batch], max_features), strict=True))
        return [features[i] for i in range(len(images))]

    def _parts(self) -> tuple[Network, Float32, Float32]:
        """The network, the projection [64, 40] and the mean [64]."""
        with self._lock:
            if self._loaded is None:
                arrays = read_arrays(self._weights)
                bundled.require_tensorflow(_OWNER)
                network = Network(arrays)
                ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (1, 64, 1))[..., None]
                network.describe(network.detect(ramp), np.zeros((1, 3), np.int32))
                self._loaded = network, arrays["projection"], arrays["mean"]
            return self._loaded

    def _extract_batch(self, images: list[Image], max_features: int) -> list[Features]:
        """Features of images of one bucket, which share the network calls."""
        network, projection, mean = self._parts()
        found = xfeat_pyramid.extract(network, images, self.image_side, self.scales, max_features)
        # Each image projected on its own: for a whole batch the last bits would depend on its neighbours.
        return [
            Features(
                locations=raw.locations,
                descriptors=project(raw.descriptors, projection, mean),
                scores=raw.scores,
                scales=raw.scales,
                image_size=(image.shape[0], image.shape[1]),
                extractor=self.fingerprint,
            )
            for image, raw in zip(images, found, strict=True)
        ]


def project(descriptors: Float32, projection: Float32, mean: Float32) -> Float32:
    """Descriptors float32 [n, 64] -> unit vectors float32 [n, 40]."""
    with one_thread():
        short = (descriptors - mean) @ projection
    unit: Float32 = short / np.maximum(np.linalg.norm(short, axis=1, keepdims=True), 1e-12)
    return unit


def read_arrays(path: Path) -> dict[str, Float32]:
    """The arrays of a weights file.

    Raises:
        ExtractorUnavailable: the file is missing, damaged or without a projection.
    """
    arrays = bundled.parse_weights(_read(path), path, _OWNER)
    if not {"projection", "mean"} <= arrays.keys():
        raise ExtractorUnavailable(f"{path} has no projection: run scripts/fit_projection.py")
    return arrays


def _read(path: Path) -> bytes:
    return bundled.read_weights(path, _OWNER, "scripts/convert_xfeat.py")
