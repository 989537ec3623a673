"""The rows of an index: what is known about an image and about a landmark."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recognition.features import Features

# Raised whenever a file written by this release could be misread by an older one, or the other way round.
SCHEMA_VERSION = 1

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Landmark:
    """A landmark: ``latitude`` in [-90, 90] and ``longitude`` in [-180, 180] degrees (WGS 84), None when unknown."""

    id: str
    title: str
    latitude: float | None = None
    longitude: float | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IndexImage:
    """An image of the index. ``landmark`` is the landmark's id, ``size`` the upright original's (height, width)."""

    name: str
    sha256: str
    landmark: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One image on its way into a segment; ``thumbnail`` is a JPEG file."""

    features: Features
    name: str
    sha256: str
    landmark: Landmark
    thumbnail: bytes


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """What a generation knows about one of its segments.

    Attributes:
        file: name within ``segments/``.
        size: bytes of the file; a truncated one is found by it.
        sha256: of the whole file, for ``Store.check``.
        head_sha256: of the file without its ``bulk``: tables, attributes, HDF5's own structures; checked when opening.
        bulk: (offset, length) of the large arrays, bytes, ascending.
        images, descriptors: counts, removed images included.
        removed: content sha256 of the images that are no longer in the index.
    """

    file: str
    size: int
    sha256: str
    head_sha256: str
    bulk: tuple[tuple[int, int], ...]
    images: int
    descriptors: int
    removed: tuple[str, ...] = ()
