"""The global descriptor: a whole photograph as one unit vector, from EfficientNet-Lite0's last feature map.

It sees what local features miss (night, haze, far views) and nothing of what they see: where things are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.blas import one_thread
from recognition.embedding.orientation import View
from recognition.errors import ExtractorError, ExtractorOutOfMemory, ExtractorUnavailable
from recognition.extractors import bundled
from recognition.extractors.base import Image, fingerprint
from recognition.images import MAX_WIDENING, ORDINARY_RATIO, resize_long_side, widening

Float32 = npt.NDArray[np.float32]
Network = Callable[[Float32], tuple[Float32, Float32]]  # images -> pooled vectors and the maps that they are of

WEIGHTS = Path(__file__).resolve().parents[1] / "data" / "efficientnet_lite0.npz"
WHITENING = ("mean", "directions", "damping")
MIN_SIDE = 32  # pixels: the feature map has one place per 32 pixels
GEM_POWER = 3.0
_OWNER = "the global descriptor 'efficientnet_lite0'"


class GlobalDescriptor:
    """EfficientNet-Lite0 with ImageNet weights, GeM-pooled, its strongest common directions damped.

    Args:
        image_side: >= 32, pixels: the longer side of what the network sees, the ratio kept; of a panorama, as many
            times more as it is wider than an ordinary photograph (``widening``).
        weights: the ``.npz`` that ``scripts/convert_efficientnet.py`` and ``scripts/fit_whitening.py`` write.

    Raises:
        ValueError: ``image_side`` is too small.
    """

    name = "efficientnet_lite0"
    dimension = 1280

    def __init__(self, image_side: int = 384, *, weights: Path = WEIGHTS) -> None:
        if image_side < MIN_SIDE:
            raise ValueError(f"image_side must be >= {MIN_SIDE}, not {image_side}")
        self.image_side = image_side
        self._weights = weights
        self._lock = threading.Lock()
        self._fingerprint: str | None = None
        self._loaded: tuple[Network, Mapping[str, Float32]] | None = None

    @property
    def fingerprint(self) -> str:
        """``efficientnet_lite0@`` and a hash of the weights' bytes and the parameters; loads no TensorFlow.

        Raises:
            ExtractorUnavailable: the weights are missing.
        """
        if self._fingerprint is None:
            parameters = {
                "image_side": self.image_side,
                "gem": GEM_POWER,
                "widening": [ORDINARY_RATIO, MAX_WIDENING],
            }
            self._fingerprint = fingerprint(self.name, self._read(), parameters)
        return self._fingerprint

    def load(self) -> None:
        """Load the network and run it once (idempotent, thread-safe).

        Raises:
            ExtractorUnavailable: TensorFlow or the weights are missing, damaged, or without a whitening.
        """
        self._parts()

    def embed(self, images: Sequence[Image]) -> Float32:
        """Unit vectors float32 [n, 1280] of uint8 [h, w, 3] RGB images of any size.

        Raises:
            ExtractorUnavailable: as :meth:`load`, which it calls if nobody has.
            ExtractorError: the network failed.
        """
        return self.whiten(self.pool(images))

    def whiten(self, vectors: Float32) -> Float32:
        """Embeddings float32 [n, 1280], from what :meth:`pool` or :meth:`look` gave.

        Raises:
            ExtractorUnavailable: as :meth:`load`, which it calls if nobody has.
        """
        return whiten(vectors, self._parts()[1])

    def halves(self, view: View) -> Float32:
        """Embeddings float32 [2, 1280] of the two halves of an image along its longer side, from one look at it.

        Raises:
            ExtractorUnavailable: as :meth:`load`, which it calls if nobody has.
        """
        from recognition.embedding import efficientnet

        maps = view.maps if view.maps.shape[0] > view.maps.shape[1] else view.maps.swapaxes(0, 1)
        length = (len(maps) + 1) // 2  # of an odd number, the middle belongs to both
        pooled: Float32 = np.asarray(efficientnet.gem(np.stack((maps[:length], maps[-length:])), GEM_POWER))
        return self.whiten(unit(pooled))

    def look(self, image: Image) -> View:
        """What the network makes of one image, before the whitening."""
        network, _ = self._parts(fitted=False)
        vectors, maps = network(_prepared(image, self.image_side))
        return View(unit(vectors)[0], maps[0])

    def pool(self, images: Sequence[Image]) -> Float32:
        """As :meth:`embed`, before the whitening: what ``scripts/fit_whitening.py`` starts from."""
        # One by one: in a batch the last bits of a vector would depend on its neighbours.
        vectors = [self.look(image).pooled for image in images]
        return np.array(vectors, np.float32).reshape(len(images), self.dimension)

    def _read(self) -> bytes:
        return bundled.read_weights(self._weights, _OWNER, "scripts/convert_efficientnet.py")

    def _parts(self, *, fitted: bool = True) -> tuple[Network, Mapping[str, Float32]]:
        with self._lock:
            if self._loaded is None:
                arrays = bundled.parse_weights(self._read(), self._weights, _OWNER)
                bundled.require_tensorflow(_OWNER)
                network = _compiled(arrays)
                network(np.zeros((1, MIN_SIDE, MIN_SIDE, 3), np.float32))
                self._loaded = network, {name: arrays[name] for name in WHITENING if name in arrays}
            if fitted and len(self._loaded[1]) < len(WHITENING):
                raise ExtractorUnavailable(f"{self._weights} has no whitening: run scripts/fit_whitening.py")
            return self._loaded


def whiten(vectors: Float32, whitening: Mapping[str, Float32]) -> Float32:
    """Unit vectors float32 [n, d], centred, the strongest directions of photographs damped, unit again.

    Args:
        vectors: float32 [n, d].
        whitening: ``mean`` [d]; ``directions`` [d, r], orthonormal; ``damping`` [r] in [0, 1), how much of each is
            taken away.
    """
    directions = whitening["directions"]
    # Each vector by itself: BLAS rounds a row differently in matrices of different height.
    with one_thread():
        out = [
            centred - directions @ (whitening["damping"] * (centred @ directions))
            for centred in vectors - whitening["mean"]
        ]
    return unit(np.array(out, np.float32).reshape(vectors.shape))


def unit(vectors: Float32) -> Float32:
    """The rows of float32 [n, d] with length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Float32 = vectors / np.maximum(lengths, np.float32(1e-12))
    return scaled


def _prepared(image: Image, side: int) -> Float32:
    """float32 [1, h, w, 3] as the network was trained: (RGB - 127) / 128."""
    wide = round(side * widening(image.shape[:2]))
    pixels: Float32 = resize_long_side(image, wide).astype(np.float32)
    return (pixels[None] - np.float32(127)) / np.float32(128)


def _compiled(arrays: Mapping[str, npt.NDArray[Any]]) -> Network:
    """Network and pooling as one function of float32 [b, h, w, 3], compiled once for all sizes."""
    import tensorflow as tf

    from recognition.embedding import efficientnet

    net = efficientnet.build(arrays)
    signature = [tf.TensorSpec([None, None, None, 3], tf.float32)]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def pooled(images: efficientnet.Tensor) -> tuple[efficientnet.Tensor, efficientnet.Tensor]:
        maps = net(images)
        return efficientnet.gem(maps, GEM_POWER), maps

    def network(images: Float32) -> tuple[Float32, Float32]:
        try:
            vectors, maps = pooled(images)
        except tf.errors.ResourceExhaustedError as error:
            raise ExtractorOutOfMemory(f"{_OWNER}: the device's memory does not suffice") from error
        except tf.errors.OpError as error:
            raise ExtractorError(f"{_OWNER} failed: {error.message}") from error
        return vectors.numpy(), maps.numpy()

    return network
