"""One HDF5 file of the index: written once, never changed, mapped into memory by every process that reads it.

docs/index-format.md describes the layout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from recognition.errors import FingerprintMismatch, LandmarqError, SchemaMismatch, SegmentCorrupt
from recognition.features import Features, Float32
from recognition.index.files import digest, publish, temporary
from recognition.index.records import SCHEMA_VERSION, Bytes, IndexImage, Int32, Int64, Landmark, Row, SegmentEntry
from recognition.search.lists import LEAST, Lists, make_lists

# Large arrays: everything else is small enough to be read and checked whenever the index is opened.
BULK = ("descriptors", "locations", "scales", "thumbnails/jpeg", "embeddings")
_LISTS = ("centroids", "ends", "order")
_TEXT = h5py.string_dtype()
_REPAIR = "restore it from a backup, roll back to another generation, or build the index anew"


def write_segment(folder: Path, rows: Sequence[Row], fingerprint: str) -> SegmentEntry:
    """Write the images as one new segment file in ``folder`` and say what a generation has to know about it.

    Args:
        folder: an existing directory.
        rows: at least one image, each with at least one feature of the same dimension.
        fingerprint: the extractor's.
    """
    with temporary(folder) as path:
        # Every array on its own cache line: HDF5 would otherwise put float32 data at any byte.
        with h5py.File(path, "w", alignment_threshold=1, alignment_interval=64) as file:
            _write_arrays(file, rows)
            _write_images(file, rows)
            _write_landmarks(file, _landmarks(rows))
            _write_attributes(file, rows, fingerprint)
            bulk = tuple(sorted(_extent(file[name]) for name in BULK if name in file))
        sha256 = digest(path)
        entry = SegmentEntry(
            file=f"{sha256[:32]}.h5",
            size=path.stat().st_size,
            sha256=sha256,
            head_sha256=digest(path, bulk),
            bulk=bulk,
            images=len(rows),
            descriptors=sum(len(row.features) for row in rows),
        )
        publish(path, folder / entry.file)
    return entry


def _write_arrays(file: h5py.File, rows: Sequence[Row]) -> None:
    for name in ("descriptors", "locations", "scales"):
        file[name] = np.concatenate([getattr(row.features, name) for row in rows]).astype(np.float32, copy=False)
    if len(file["descriptors"]) >= LEAST:
        _write_lists(file, make_lists(file["descriptors"][:]))
    file["boundaries"] = np.cumsum([len(row.features) for row in rows], dtype=np.int64)
    if any(row.features.embedding is not None for row in rows):
        file["embeddings"] = _embeddings(rows)
    file["thumbnails/jpeg"] = np.frombuffer(b"".join(row.thumbnail for row in rows), np.uint8)
    file["thumbnails/boundaries"] = np.cumsum([len(row.thumbnail) for row in rows], dtype=np.int64)


def _write_lists(file: h5py.File, lists: Lists) -> None:
    for name in _LISTS:
        file[f"lists/{name}"] = getattr(lists, name)


def _embeddings(rows: Sequence[Row]) -> Float32:
    """float32 [images, e]; zeros, which resemble nothing, for an image without an embedding."""
    found = {i: row.features.embedding for i, row in enumerate(rows) if row.features.embedding is not None}
    table = np.zeros((len(rows), len(next(iter(found.values())))), np.float32)
    for i, embedding in found.items():
        table[i] = embedding
    return table


def _write_images(file: h5py.File, rows: Sequence[Row]) -> None:
    ordinals = {landmark: i for i, landmark in enumerate(_landmarks(rows))}
    file["images/sha256"] = np.array([row.sha256.encode() for row in rows], "S64")
    file["images/landmark"] = np.array([ordinals[row.landmark.id] for row in rows], np.int32)
    file["images/size"] = np.array([row.features.image_size for row in rows], np.int32)
    file.create_dataset("images/name", data=[_text(row.name) for row in rows], dtype=_TEXT)


def _landmarks(rows: Sequence[Row]) -> dict[str, Landmark]:
    """The landmarks by id, in order of appearance; of two descriptions the later one."""
    return {row.landmark.id: row.landmark for row in rows}


def _write_landmarks(file: h5py.File, landmarks: dict[str, Landmark]) -> None:
    columns = {
        "id": [_text(landmark.id) for landmark in landmarks.values()],
        "title": [_text(landmark.title) for landmark in landmarks.values()],
        "metadata": [_text(json.dumps(landmark.metadata)) for landmark in landmarks.values()],
    }
    for name, texts in columns.items():
        file.create_dataset(f"landmarks/{name}", data=texts, dtype=_TEXT)
    for name in ("latitude", "longitude"):
        degrees = [getattr(landmark, name) for landmark in landmarks.values()]
        file[f"landmarks/{name}"] = np.array([np.nan if d is None else d for d in degrees], np.float64)


def _write_attributes(file: h5py.File, rows: Sequence[Row], fingerprint: str) -> None:
    file.attrs["schema_version"] = SCHEMA_VERSION
    file.attrs["fingerprint"] = fingerprint
    file.attrs["embedder"] = next((row.features.embedder for row in rows if row.features.embedder), "")
    file.attrs["dimension"] = rows[0].features.dimension
    file.attrs["image_count"] = len(rows)
    file.attrs["descriptor_count"] = sum(len(row.features) for row in rows)
    file.attrs["created"] = datetime.now(UTC).isoformat(timespec="seconds")


def _text(text: str) -> bytes:
    """UTF-8 that HDF5 can hold: file names may carry bytes that are no text, cells of a CSV a NUL."""
    return text.replace("\0", "").encode("utf-8", "replace")


def _extent(dataset: h5py.Dataset) -> tuple[int, int]:
    """(offset, length) of a contiguous array in its file, bytes."""
    return int(dataset.id.get_offset() or 0), int(dataset.id.get_storage_size())  # an empty array has no place


class Segment:
    """One opened segment. Its file handle is closed again; ``descriptors``, ``locations``, ``scales`` are mapped.

    Attributes:
        descriptors: float32 [n, d]; locations: float32 [n, 2]; scales: float32 [n].
        embeddings: float32 [images, e], mapped, zeros where an image has none; None when no image has one.
        embedder: the embeddings' fingerprint, empty without any.
        lists: inverted lists of the descriptors, mapped; None in a small segment, or one of an older release.
        boundaries: int64 [images], accumulated numbers of descriptors.
        sha256: S64 [images]; names: bytes (UTF-8) [images]; landmark_of: int32 [images]; sizes: int32 [images, 2].
        landmarks: the landmark table.
        live: bool [images], False where the image has been removed.

    Raises:
        SegmentCorrupt: the file is missing, truncated or damaged (only ``Store.check`` looks at the large arrays).
        SchemaMismatch, FingerprintMismatch: it is of another schema version or extractor than ``fingerprint``.
    """

    def __init__(self, folder: Path, entry: SegmentEntry, fingerprint: str) -> None:
        self.path = folder / entry.file
        self.entry = entry
        try:
            self._check_file()
            # A finished segment is never written again: no lock is needed, and read-only media may offer none.
            with h5py.File(self.path, "r", locking=False) as file:
                self._check_attributes(file, fingerprint)
                self._map(file)
                self._read_tables(file)
            self._check_shapes()
        except LandmarqError:
            raise
        except Exception as error:  # h5py answers damage with OSError, KeyError, ValueError, RuntimeError, ...
            raise SegmentCorrupt(f"the segment {self.path} can't be read ({error}): {_REPAIR}") from error

    def image(self, i: int) -> IndexImage:
        """What the image table says about image ``i``."""
        height, width = self.sizes[i].tolist()
        landmark = self.landmarks[self.landmark_of[i]].id
        return IndexImage(self.names[i].decode(), self.sha256[i].decode(), landmark, (height, width))

    def rows(self, i: int) -> slice:
        """The rows of image ``i`` in ``descriptors``, ``locations`` and ``scales``."""
        return slice(int(self.boundaries[i - 1]) if i else 0, int(self.boundaries[i]))

    def thumbnail(self, i: int) -> bytes:
        """The JPEG file of image ``i``."""
        start = int(self._thumbnail_ends[i - 1]) if i else 0
        return self._thumbnails[start : self._thumbnail_ends[i]].tobytes()

    def live_rows(self) -> Iterator[Row]:
        """The live images as they were written; their scores, which no segment keeps, are 0."""
        for i in map(int, self.live.nonzero()[0]):
            image, rows = self.image(i), self.rows(i)
            features = Features(
                locations=self.locations[rows],
                descriptors=self.descriptors[rows],
                scores=np.zeros(rows.stop - rows.start, np.float32),
                scales=self.scales[rows],
                image_size=image.size,
                extractor=self.fingerprint,
                **self._embedding(i),
            )
            yield Row(features, image.name, image.sha256, self.landmarks[self.landmark_of[i]], self.thumbnail(i))

    def _embedding(self, i: int) -> dict[str, Any]:
        if self.embeddings is None or not self.embeddings[i].any():
            return {}
        return {"embedding": self.embeddings[i], "embedder": self.embedder}

    def _check_file(self) -> None:
        if not self.path.exists():
            raise SegmentCorrupt(f"the segment {self.path} is missing: {_REPAIR}")
        size = self.path.stat().st_size
        if size != self.entry.size:
            raise SegmentCorrupt(
                f"the segment {self.path} has {size:,} bytes instead of {self.entry.size:,}: {_REPAIR}"
            )
        # Before HDF5 sees the file: a damaged structure can do worse to its C library than raise.
        if digest(self.path, self.entry.bulk) != self.entry.head_sha256:
            raise SegmentCorrupt(f"the tables of the segment {self.path} are damaged (checksum): {_REPAIR}")

    def _check_attributes(self, file: h5py.File, fingerprint: str) -> None:
        version = int(file.attrs["schema_version"])
        if version != SCHEMA_VERSION:
            raise SchemaMismatch(
                f"the segment {self.path} has schema version {version}, this release reads {SCHEMA_VERSION}: "
                "build the index anew, or use the release that wrote it"
            )
        self.fingerprint = str(file.attrs["fingerprint"])
        if self.fingerprint != fingerprint:
            raise FingerprintMismatch(
                f"the segment {self.path} holds descriptors of {self.fingerprint}, the index those of {fingerprint}: "
                "they can't be compared; build the index anew with one extractor"
            )
        self.dimension = int(file.attrs["dimension"])
        self.embedder = str(file.attrs.get("embedder", ""))

    def _map(self, file: h5py.File) -> None:
        """One mapping of the whole file (one file descriptor), and views into it."""
        self._mapped = np.memmap(self.path, np.uint8, mode="r")
        self.descriptors: Float32 = self._view(file["descriptors"])
        self.locations: Float32 = self._view(file["locations"])
        self.scales: Float32 = self._view(file["scales"])
        self.embeddings: Float32 | None = self._view(file["embeddings"]) if "embeddings" in file else None
        self._thumbnails: Bytes = self._view(file["thumbnails/jpeg"])
        self.lists = Lists(*(self._view(file[f"lists/{name}"]) for name in _LISTS)) if "lists" in file else None

    def _view(self, dataset: h5py.Dataset) -> Any:
        offset, length = _extent(dataset)
        return self._mapped[offset : offset + length].view(dataset.dtype).reshape(dataset.shape)

    def _read_tables(self, file: h5py.File) -> None:
        self.boundaries: Int64 = file["boundaries"][:]
        self._thumbnail_ends: Int64 = file["thumbnails/boundaries"][:]
        self.sha256 = file["images/sha256"][:]
        self.names = file["images/name"][:]
        self.landmark_of: Int32 = file["images/landmark"][:]
        self.sizes: Int32 = file["images/size"][:]
        table = (file[f"landmarks/{name}"][:] for name in ("id", "title", "latitude", "longitude", "metadata"))
        self.landmarks = [_landmark(*row) for row in zip(*table, strict=True)]
        self.live = ~np.isin(self.sha256, np.array([sha.encode() for sha in self.entry.removed], "S64"))

    def _check_shapes(self) -> None:
        n, images = self.entry.descriptors, self.entry.images
        expected = {
            "descriptors": ((n, self.dimension), np.float32),
            "locations": ((n, 2), np.float32),
            "scales": ((n,), np.float32),
            "boundaries": ((images,), np.int64),
            "landmark_of": ((images,), np.int32),
            "sizes": ((images, 2), np.int32),
        }
        if self.embeddings is not None:
            expected["embeddings"] = ((images, *self.embeddings.shape[1:2]), np.float32)
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise SegmentCorrupt(f"{name} of the segment {self.path} is {array.dtype} {array.shape}: {_REPAIR}")


def _landmark(id: bytes, title: bytes, latitude: float, longitude: float, metadata: bytes) -> Landmark:
    y, x = (None if np.isnan(degrees) else float(degrees) for degrees in (latitude, longitude))
    return Landmark(id.decode(), title.decode(), y, x, json.loads(metadata))
