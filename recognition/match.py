"""Features + index -> candidates: nearest neighbours grouped per index image through the accumulated boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recognition.errors import FeaturesError, FingerprintMismatch
from recognition.features import Features, Float32, arrays_from_bytes, arrays_to_bytes
from recognition.profiles import MatchParams
from recognition.search import Searcher
from recognition.search.shortlist import ShortlistSearcher

if TYPE_CHECKING:
    from recognition.index.store import Index

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Index images with putative matches, the one with most votes first.

    Attributes:
        generation: of the index that ``images`` and ``index_rows`` refer to.
        images: int32 [c], ordinals of index images.
        boundaries: int64 [c], accumulated number of putative matches: candidate i owns rows b[i-1] .. b[i].
        query_rows: int32 [p], rows of the query's features.
        index_rows: int32 [p], rows of the index image's own features.
        distances: float32 [p], Euclidean, between the two descriptors.
        weights: float32 [p] in (0, 1], 1 / number of landmarks that the query feature matches: what is found
            on many buildings (windows, columns, sky lines) says little about any.
        similarities: float32 [c] in [-1, 1], cosine of the embeddings of query and candidate; None when the query or
            the whole index has no embedding.
    """

    generation: int
    images: Int32
    boundaries: Int64
    query_rows: Int32
    index_rows: Int32
    distances: Float32
    weights: Float32
    similarities: Float32 | None = None

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, candidate: int) -> slice:
        """Where the putative matches of one candidate are."""
        return slice(int(self.boundaries[candidate - 1]) if candidate else 0, int(self.boundaries[candidate]))

    def to_bytes(self) -> bytes:
        """The candidates as ``safetensors``."""
        arrays = {name: getattr(self, name) for name in self.__slots__ if name != "generation"}
        given = {name: array for name, array in arrays.items() if array is not None}
        return arrays_to_bytes({"generation": np.array(self.generation), **given})

    @classmethod
    def from_bytes(cls, data: bytes) -> Candidates:
        """Inverse of :meth:`to_bytes`.

        Raises:
            FeaturesError: the bytes are not what ``to_bytes`` wrote.
        """
        arrays = arrays_from_bytes(data, "candidates")
        try:
            generation = int(arrays.pop("generation"))
            return cls(generation=generation, **arrays)
        except (ValueError, KeyError, TypeError) as error:
            raise FeaturesError(f"these {len(data)} bytes are no candidates: {error}") from error


def match(features: Features, index: Index, searcher: Searcher, params: MatchParams) -> Candidates:
    """Putative matches of a query with every index image that has any.

    As the origin: the K nearest index descriptors within the distance bound, and per index image only the
    nearest one of each query feature. With ``one_to_one``, of the query features that claim the same index
    feature only the nearest keeps it. Where both sides have embeddings, the images most similar as a whole are
    candidates too, after those with votes; with ``shortlist``, descriptors of no others are searched at all.

    Raises:
        FingerprintMismatch: the features and the index come from different extractors or embedders.
    """
    if features.extractor != index.fingerprint:
        raise FingerprintMismatch(
            f"the photo's features come from {features.extractor}, the index from {index.fingerprint}: "
            "run the same extractor and weights on both, or build the index again"
        )
    if not len(features):
        none, nothing = np.empty(0, np.int64), np.empty(0, np.float32)
        return _group(index, none, none, none, nothing, nothing, None, params)
    similarities = _similarities(features, index)
    if params.shortlist and similarities is not None:
        searcher = ShortlistSearcher(index, _most_similar(similarities, params.shortlist))
    distances, rows = searcher.search(features.descriptors, k=params.neighbours, max_distance=params.max_distance)
    query, rank = np.nonzero(np.isfinite(distances))
    row, distance = rows[query, rank], distances[query, rank]
    image = np.searchsorted(index.boundaries, row, side="right")
    weight = _rarity(query, index.landmark_of[image])
    # np.unique gives the first of each (query feature, image), which is the nearest: ranks ascend.
    keep = np.unique(query * len(index) + image, return_index=True)[1]
    if params.one_to_one:
        keep = keep[np.lexsort((query[keep], distance[keep]))]
        keep = keep[np.unique(row[keep], return_index=True)[1]]
    return _group(index, query[keep], row[keep], image[keep], distance[keep], weight[keep], similarities, params)


def _similarities(features: Features, index: Index) -> Float32 | None:
    """Cosine of the query's embedding and every image's, float32 [images]; None when one side has none.

    Of a wide query, which may show two buildings, the highest of the whole and its halves.
    """
    if features.embedding is None or not index.embedder:
        return None
    if features.embedder != index.embedder:
        raise FingerprintMismatch(
            f"the photo's embedding comes from {features.embedder}, the index's from {index.embedder}: "
            "run the same network and weights on both, or build the index again"
        )
    seen = features.embedding[None] if features.halves is None else np.vstack((features.embedding, features.halves))
    highest: Float32 = np.max([index.similarities(embedding) for embedding in seen], axis=0)
    return highest


def _most_similar(similarities: Float32, count: int) -> Int64:
    """Ordinals of the ``count`` most similar images, best first, equal ones in the index's order."""
    return np.argsort(-similarities, kind="stable")[:count]


def _rarity(query: Int64, landmark: Int32) -> Float32:
    """1 / number of different landmarks among the matches of the same query feature, float32 [p]."""
    span = int(landmark.max(initial=0)) + 1
    pairs = np.unique(query * span + landmark)
    counts = np.bincount(pairs // span, minlength=int(query.max(initial=0)) + 1)
    return (1 / counts[query]).astype(np.float32)


def _shortlist(votes: npt.NDArray[Any], similarities: Float32 | None, params: MatchParams) -> Int64:
    """Ordinals of the candidates: most weighted votes first, then the index's order; then the most similar others."""
    images = np.lexsort((np.arange(len(votes)), -votes))
    images = images[votes[images] > 0]
    if params.max_candidates:
        images = images[: params.max_candidates]
    if similarities is None:
        return images
    similar = _most_similar(similarities, params.similar)
    return np.concatenate((images, similar[~np.isin(similar, images)]))


def _group(
    index: Index,
    query: Int64,
    row: Int64,
    image: Int64,
    distance: Float32,
    weight: Float32,
    similarities: Float32 | None,
    params: MatchParams,
) -> Candidates:
    """Sort matches by candidate, in the order of :func:`_shortlist`."""
    votes = np.bincount(image, weights=weight, minlength=len(index))
    images = _shortlist(votes, similarities, params)
    place = np.full(len(index), len(images))
    place[images] = np.arange(len(images))
    order = np.lexsort((query, place[image]))
    order = order[place[image[order]] < len(images)]
    starts = np.concatenate(([0], index.boundaries[:-1]))
    return Candidates(
        generation=index.generation,
        images=images.astype(np.int32),
        boundaries=np.cumsum(np.bincount(place[image[order]], minlength=len(images))[: len(images)]).astype(np.int64),
        query_rows=query[order].astype(np.int32),
        index_rows=(row[order] - starts[image[order]]).astype(np.int32),
        distances=distance[order],
        weights=weight[order],
        similarities=None if similarities is None else similarities[images],
    )
