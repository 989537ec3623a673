"""Local features of one image: the value that travels from the extractor to matching and into the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.errors import FeaturesError

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Local features of one image.

    Attributes:
        locations: float32 [n, 2], (y, x) in pixels of the upright original image (after the EXIF turn).
        descriptors: float32 [n, d], unit vectors; d belongs to the extractor (40 for DELF and for the default).
        scores: float32 [n], the extractor's own measure of how good a feature is, best first.
        scales: float32 [n], original pixels per pixel of the image that the network saw: > 1 for a coarse feature.
        image_size: (height, width) of the upright original image, pixels.
        extractor: fingerprint, ``name@sha256`` of weights and parameters.
        embedding: float32 [e], a unit vector for the whole photograph, or None.
        halves: float32 [2, e], unit vectors for the two halves of a wide photograph to be recognised, or None.
        embedder: fingerprint of what made the embedding, empty without one.

    Raises:
        FeaturesError: an array has another shape or dtype, or holds a value that is not finite.
    """

    locations: Float32
    descriptors: Float32
    scores: Float32
    scales: Float32
    image_size: tuple[int, int]
    extractor: str
    embedding: Float32 | None = None
    embedder: str = ""
    halves: Float32 | None = None

    def __post_init__(self) -> None:
        n = len(self.locations)
        expected = {"locations": (n, 2), "descriptors": (n, self.descriptors.shape[-1]), "scores": (n,), "scales": (n,)}
        if (self.embedding is None) != (not self.embedder):
            raise FeaturesError("an embedding and the fingerprint of its embedder come together or not at all")
        if self.embedding is not None:
            expected["embedding"] = (self.embedding.size,)
        if self.halves is not None:
            if self.embedding is None:
                raise FeaturesError("halves come with the embedding of the whole photograph or not at all")
            expected["halves"] = (2, self.embedding.size)
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise FeaturesError(f"{name} must be float32 {list(shape)}, not {array.dtype} {list(array.shape)}")
            if not np.isfinite(array).all():
                raise FeaturesError(f"{name} holds a value that is not finite")

    def __len__(self) -> int:
        return len(self.locations)

    @property
    def dimension(self) -> int:
        """Length of one descriptor."""
        return int(self.descriptors.shape[1])

    def to_bytes(self) -> bytes:
        """The features as ``safetensors`` (compressing float32 descriptors saves 7-13 %)."""
        whole: dict[str, npt.NDArray[Any]] = {}
        if self.embedding is not None:
            whole = {"embedding": self.embedding, "embedder": _letters(self.embedder)}
        if self.halves is not None:
            whole["halves"] = self.halves
        return arrays_to_bytes(
            {
                "locations": self.locations,
                "descriptors": self.descriptors,
                "scores": self.scores,
                "scales": self.scales,
                "image_size": np.array(self.image_size, np.int64),
                "extractor": _letters(self.extractor),
                **whole,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Features:
        """Inverse of :meth:`to_bytes`.

        Raises:
            FeaturesError: the bytes are not what ``to_bytes`` wrote.
        """
        arrays = arrays_from_bytes(data, "features")
        try:
            height, width = (int(side) for side in arrays["image_size"])
            return cls(
                locations=arrays["locations"],
                descriptors=arrays["descriptors"],
                scores=arrays["scores"],
                scales=arrays["scales"],
                image_size=(height, width),
                extractor=arrays["extractor"].tobytes().decode(),
                embedding=arrays.get("embedding"),
                embedder=arrays["embedder"].tobytes().decode() if "embedder" in arrays else "",
                halves=arrays.get("halves"),
            )
        except (ValueError, KeyError) as error:
            raise FeaturesError(f"these {len(data)} bytes are no features: {error}") from error


def arrays_to_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The arrays as ``safetensors``: a tenth of the time that ``numpy.savez`` and ``load`` take."""
    from safetensors.numpy import save

    # Of an array that is a view with strides, safetensors writes what lies in memory.
    return save({name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()})


def arrays_from_bytes(data: bytes, kind: str) -> dict[str, npt.NDArray[Any]]:
    """Inverse of :func:`arrays_to_bytes`.

    Raises:
        FeaturesError: the bytes are not what it wrote; the message calls them ``kind``.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise FeaturesError(f"these {len(data)} bytes are no {kind}: {error}") from error


def _letters(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode(), np.uint8)
