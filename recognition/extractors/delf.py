"""DELF from TF-Hub: attentive local features of a ResNet-50, 40 numbers each.

The module is in TF1 format. What is documented of it, and all that is relied on here: a signature ``default`` that
takes ``image`` (float32 [h, w, 3] in [0, 1]), ``score_threshold`` (float32), ``image_scales`` (float32 [s]) and
``max_feature_num`` (int32), and gives ``locations`` ([n, 2] as (y, x)) and ``descriptors`` ([n, 40]).
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from recognition.errors import ExtractorError, ExtractorUnavailable
from recognition.extractors import hub
from recognition.extractors.base import Image, fingerprint
from recognition.features import Features, Float32
from recognition.images import resize_long_side

HANDLE = "https://tfhub.dev/google/delf/1"
SCALES = (0.25, 0.3536, 0.5, 0.7071, 1.0, 1.4142, 2.0)
DIMENSION = 40

_INPUTS = ("image", "score_threshold", "image_scales", "max_feature_num")
_OUTPUTS = ("locations", "descriptors")
_WARM_UP_SIDE = 128

Signature = Callable[..., Mapping[str, Any]]


class DelfExtractor:
    """Google's DELF, or any module with the same signature.

    The module says neither how good a feature is nor at which of its image scales it was found. So ``scores`` give the
    order in which the module lists its features, from 1 down to 1/n, and ``scales`` are all the factor by which
    the photograph was shrunk before.

    Args:
        handle: URL of the module, or path of a folder that holds it unpacked.
        cache_dir: where downloaded modules are kept; None: ``TFHUB_CACHE_DIR``, or among the temporary files.
        score_threshold: least attention score of a feature.
        image_scales: factors, > 0, at which the network looks at each image.
        image_side: > 0, pixels: an image whose longer side exceeds it is shrunk first, because the largest image scale
            multiplies the network's work by its square; None: never.
        download_timeout_s: > 0, seconds after which a download is given up.

    Raises:
        ValueError: a parameter is out of its range.
    """

    name = "delf"
    dimension = DIMENSION

    def __init__(
        self,
        handle: str = HANDLE,
        *,
        cache_dir: Path | None = None,
        score_threshold: float = 100.0,
        image_scales: Sequence[float] = SCALES,
        image_side: int | None = 1024,
        download_timeout_s: float = 900.0,
    ) -> None:
        if not image_scales or min(image_scales) <= 0 or (image_side is not None and image_side <= 0):
            raise ValueError(f"image_scales and image_side must be > 0, not {tuple(image_scales)} and {image_side}")
        self.handle = handle
        self.cache_dir = cache_dir
        self.score_threshold = float(score_threshold)
        self.image_scales = tuple(float(scale) for scale in image_scales)
        self.image_side = image_side
        self.download_timeout_s = download_timeout_s
        self._lock = threading.RLock()
        self._folder: Path | None = None
        self._fingerprint: str | None = None
        self._module: Any = None  # owns the variables: the signature alone would not keep them alive
        self._signature: Signature | None = None

    @property
    def fingerprint(self) -> str:
        """``delf@sha256`` of the module's graph, variables and the parameters. Resolves the module, loads nothing.

        Raises:
            ExtractorUnavailable: the module is missing and can't be fetched.
        """
        with self._lock:
            if self._fingerprint is None:
                parameters = {
                    "score_threshold": self.score_threshold,
                    "image_scales": self.image_scales,
                    "image_side": self.image_side,
                }
                self._fingerprint = fingerprint(self.name, hub.digest(self._resolve()), parameters)
            return self._fingerprint

    @property
    def batch_size(self) -> int:
        """1: the module takes no batches."""
        return 1

    def bucket(self, image: Image) -> Hashable:
        """The image's size, though the module takes no batches."""
        return image.shape[:2]

    def load(self) -> None:
        """Load the module and run it once, whoever calls first; the others wait.

        Raises:
            ExtractorUnavailable: TensorFlow or the module is missing, or the module is not of the documented kind.
        """
        self._ready()

    def extract(self, images: Sequence[Image], *, max_features: int = 1000) -> list[Features]:
        """Features of each image (uint8 [h, w, 3] RGB, any sizes), best first, at most ``max_features`` of each.

        Images go through the network one by one: the module takes no batches.

        Raises:
            ExtractorUnavailable: as :meth:`load`, which it calls if nobody has.
            ExtractorError: the module failed on an image, or gave something else than locations and descriptors.
        """
        signature = self._ready()
        return [self._features(signature, image, max_features) for image in images]

    def _ready(self) -> Signature:
        with self._lock:
            if self._signature is None:
                self._module, signature = _open(self._resolve())
                self._warm_up(signature)
                self._signature = signature
            return self._signature

    def _resolve(self) -> Path:
        if self._folder is None:
            self._folder = hub.resolve(self.handle, cache_dir=self.cache_dir, deadline_s=self.download_timeout_s)
        return self._folder

    def _warm_up(self, signature: Signature) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (_WARM_UP_SIDE, _WARM_UP_SIDE, 3), np.uint8)
        try:
            self._run(signature, noise, max_features=10)
        except ExtractorError as error:
            raise ExtractorUnavailable(f"the module {self.handle} does not work: {error}") from error

    def _features(self, signature: Signature, image: Image, max_features: int) -> Features:
        height, width = image.shape[:2]
        longer = max(height, width)
        seen = resize_long_side(image, min(longer, self.image_side or longer))
        locations, descriptors = self._run(signature, seen, max_features)
        factor = np.array([height, width], np.float32) / np.array(seen.shape[:2], np.float32)
        original = (locations + np.float32(0.5)) * factor - np.float32(0.5)  # a pixel's number names its centre
        n = len(original)
        return Features(
            locations=np.clip(original, 0, np.array([height - 1, width - 1], np.float32)),
            descriptors=descriptors,
            scores=np.linspace(1.0, 1.0 / max(n, 1), n, dtype=np.float32),
            scales=np.full(n, factor.max(), np.float32),
            image_size=(height, width),
            extractor=self.fingerprint,
        )

    def _run(self, signature: Signature, image: Image, max_features: int) -> tuple[Float32, Float32]:
        """Locations float32 [n, 2] (y, x) in the image's own pixels, descriptors float32 [n, 40] of unit length."""
        import tensorflow as tf

        try:
            outputs = signature(
                image=tf.constant(image.astype(np.float32) / np.float32(255.0)),
                score_threshold=tf.constant(self.score_threshold, tf.float32),
                image_scales=tf.constant(self.image_scales, tf.float32),
                max_feature_num=tf.constant(max_features, tf.int32),
            )
        except Exception as error:  # TensorFlow's own tree of errors, TypeError and ValueError alike
            raise ExtractorError(f"DELF failed on an image of {list(image.shape)}: {_first_line(error)}") from error
        locations, descriptors = (np.asarray(outputs[key], np.float32)[:max_features] for key in _OUTPUTS)
        if locations.shape != (len(descriptors), 2) or descriptors.shape[1:] != (DIMENSION,):
            raise ExtractorError(
                f"DELF gave locations {list(locations.shape)} and descriptors {list(descriptors.shape)}, "
                f"not [n, 2] and [n, {DIMENSION}]"
            )
        return _sound(locations, descriptors)


def _open(folder: Path) -> tuple[Any, Signature]:
    """The loaded module and its checked signature ``default``."""
    hub.require_packages()
    with _without_known_warnings():
        import tensorflow_hub

        try:
            module = tensorflow_hub.load(str(folder))
        except Exception as error:  # as in _run: no common base
            raise ExtractorUnavailable(f"TensorFlow can't load the module in {folder}: {_first_line(error)}") from error
    if "default" not in module.signatures:
        found = ", ".join(sorted(module.signatures)) or "none"
        raise ExtractorUnavailable(f"the module in {folder} is not DELF: no signature 'default' (it has: {found})")
    signature = module.signatures["default"]
    missing = [f"input {name!r}" for name in _INPUTS if name not in signature.structured_input_signature[1]]
    missing += [f"output {name!r}" for name in _OUTPUTS if name not in signature.structured_outputs]
    if missing:
        raise ExtractorUnavailable(f"the module in {folder} is not DELF: 'default' has no {', '.join(missing)}")
    return module, signature


@contextmanager
def _without_known_warnings() -> Iterator[None]:
    """Without setuptools' word on pkg_resources, and TensorFlow's, four a variable, that TF1's can't be trained."""

    def unknown(record: logging.LogRecord) -> bool:
        return "reference variable" not in record.getMessage()

    log = logging.getLogger("tensorflow")
    log.addFilter(unknown)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*pkg_resources")
            yield
    finally:
        log.removeFilter(unknown)


def _sound(locations: Float32, descriptors: Float32) -> tuple[Float32, Float32]:
    """Without the features that can't be compared (not finite, or of no length), descriptors of unit length."""
    norms = np.linalg.norm(descriptors, axis=1)
    usable = np.isfinite(norms) & (norms > 0) & np.isfinite(locations).all(axis=1)
    return locations[usable], descriptors[usable] / norms[usable, None]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
