"""One generation of the index, opened for reading: the live images of all its segments as one sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from recognition.blas import one_thread
from recognition.errors import ImageError, SegmentCorrupt
from recognition.features import Float32
from recognition.images import Image, ImageLimits, decode
from recognition.index.records import IndexImage, Int32, Int64, Landmark
from recognition.index.segment import Segment
from recognition.search.part import Part

_ANY_SIZE = ImageLimits(min_side=1)  # the thumbnail of a panorama is flat


class Index:
    """One opened generation, read only; safe to fork and to use from several threads.

    Attributes:
        generation: its number. fingerprint: the extractor's. dimension: length of one descriptor.
        parts: per segment the descriptors, memory-mapped, with what is needed to search in those of live images.
        boundaries: int64 [images], accumulated: image i owns the rows boundaries[i - 1] (0 for i = 0) to boundaries[i].
        landmark_of: int32 [images], ordinal of each image's landmark.
        embedder: fingerprint of the images' embeddings, empty when none has one.
    """

    def __init__(self, generation: int, fingerprint: str, dimension: int, segments: Sequence[Segment]) -> None:
        self.generation = generation
        self.fingerprint = fingerprint
        self.dimension = dimension
        self._segments = list(segments)
        lives = [np.flatnonzero(segment.live).astype(np.int32) for segment in segments]
        self._row = np.concatenate(lives)
        self._segment_of = np.repeat(np.arange(len(lives), dtype=np.int32), [len(live) for live in lives])
        counts = [np.diff(segment.boundaries, prepend=0)[segment.live] for segment in segments]
        self.boundaries: Int64 = np.cumsum(np.concatenate(counts), dtype=np.int64)
        self.embedder = next((segment.embedder for segment in segments if segment.embedder), "")
        firsts = np.cumsum([0, *(int(count.sum()) for count in counts)])
        self.parts = [_part(segment, int(first)) for segment, first in zip(segments, firsts, strict=False)]
        self._landmarks, self.landmark_of = _merge_landmarks(segments)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._row)

    @property
    def blocks(self) -> list[Float32]:
        """float32 [n_i, d] each, memory-mapped: the descriptors of the live images in row order. Removed images are in
        none of them, so that a block ends where one was."""
        return [array for part in self.parts for array in part.arrays]

    @property
    def descriptor_count(self) -> int:
        """Number of descriptors of all images."""
        return int(self.boundaries[-1])

    @property
    def landmark_count(self) -> int:
        """Number of landmarks with at least one image."""
        return len(self._landmarks)

    def image(self, i: int) -> IndexImage:
        """The image with ordinal ``i`` in [0, images)."""
        segment, row = self._locate(i)
        return segment.image(row)

    def images(self) -> Iterator[IndexImage]:
        """All images, by ordinal."""
        return (self.image(i) for i in range(len(self)))

    def landmark(self, j: int) -> Landmark:
        """The landmark with ordinal ``j`` in [0, landmark_count)."""
        return self._landmarks[j]

    def descriptors(self, i: int) -> Float32:
        """float32 [n, d]: the descriptors of image ``i``, memory-mapped."""
        segment, row = self._locate(i)
        return segment.descriptors[segment.rows(row)]

    def locations(self, i: int) -> Float32:
        """float32 [n, 2]: (y, x) of the features of image ``i``, pixels of its upright original, memory-mapped."""
        segment, row = self._locate(i)
        return segment.locations[segment.rows(row)]

    def locations_at(self, images: Int32, rows: Int32) -> Float32:
        """float32 [n, 2]: (y, x) of features of several images at once, pixels of their upright originals.

        Args:
            images: int32 [n], ordinals. rows: int32 [n], of each image's own features.
        """
        found = np.empty((len(images), 2), np.float32)
        owner, local = self._segment_of[images], self._row[images]
        for s in np.unique(owner):
            mine, segment = owner == s, self._segments[s]
            starts = np.where(local[mine], segment.boundaries[local[mine] - 1], 0)
            found[mine] = segment.locations[starts + rows[mine]]
        return found

    def sizes(self, images: Int32) -> Int32:
        """int32 [n, 2]: (height, width) of the upright originals of several images, pixels."""
        found = np.empty((len(images), 2), np.int32)
        owner = self._segment_of[images]
        for s in np.unique(owner):
            found[owner == s] = self._segments[s].sizes[self._row[images[owner == s]]]
        return found

    def scales(self, i: int) -> Float32:
        """float32 [n]: original pixels per pixel of the image that the network saw, memory-mapped."""
        segment, row = self._locate(i)
        return segment.scales[segment.rows(row)]

    def similarities(self, embedding: Float32) -> Float32:
        """float32 [images] in [-1, 1]: cosine of each image's embedding and this one; 0 for an image without one.

        Args:
            embedding: float32 [e], a unit vector of the embedder that the index names.
        """
        return np.concatenate([_similarities(segment, embedding) for segment in self._segments])

    def thumbnail_jpeg(self, i: int) -> bytes:
        """The small picture of image ``i`` as a JPEG file."""
        segment, row = self._locate(i)
        return segment.thumbnail(row)

    def thumbnail(self, i: int) -> Image:
        """The small picture of image ``i``, uint8 [h, w, 3] RGB.

        Raises:
            SegmentCorrupt: its data is damaged.
        """
        try:
            return decode(self.thumbnail_jpeg(i), _ANY_SIZE)
        except ImageError as error:
            path = self._locate(i)[0].path
            raise SegmentCorrupt(f"a thumbnail in the segment {path} is damaged: restore it, or roll back") from error

    def _locate(self, i: int) -> tuple[Segment, int]:
        if not 0 <= i < len(self):
            raise IndexError(f"there is no image {i}: the index holds {len(self)}")
        return self._segments[self._segment_of[i]], int(self._row[i])


def _part(segment: Segment, first: int) -> Part:
    """The segment's descriptors; adjacent live images are one run."""
    edges = np.flatnonzero(np.diff(segment.live, prepend=False, append=False))
    ends = np.concatenate(([0], segment.boundaries))
    return Part(segment.descriptors, ends[edges].reshape(-1, 2), first, segment.lists)


def _similarities(segment: Segment, embedding: Float32) -> Float32:
    if segment.embeddings is None:
        return np.zeros(int(segment.live.sum()), np.float32)
    with one_thread():
        found: Float32 = segment.embeddings @ embedding
    return found[segment.live]


def _merge_landmarks(segments: Sequence[Segment]) -> tuple[list[Landmark], Int32]:
    """The landmarks of all live images, and each image's ordinal: the latest description of an id wins."""
    merged: dict[str, Landmark] = {}
    ordinals: dict[str, int] = {}
    per_segment: list[npt.NDArray[np.int32]] = []
    for segment in segments:
        mine = segment.landmark_of[segment.live]
        translate = np.zeros(len(segment.landmarks), np.int32)
        for j in np.unique(mine):
            landmark = segment.landmarks[j]
            merged[landmark.id] = landmark
            translate[j] = ordinals.setdefault(landmark.id, len(ordinals))
        per_segment.append(translate[mine])
    return list(merged.values()), np.concatenate(per_segment)
