"""An extractor that gives every photograph's features its global embedding, too."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from recognition.embedding.global_descriptor import GlobalDescriptor
from recognition.embedding.orientation import Orientation, turned_back
from recognition.extractors.base import Extractor, Image
from recognition.features import Features
from recognition.images import widening


class EmbeddingExtractor:
    """Local features of one network, the embedding of another.

    Name, fingerprint and dimension are those of the local features: these can be matched with any other ones of the
    same extractor, with or without embeddings.
    """

    def __init__(self, local: Extractor, whole: GlobalDescriptor) -> None:
        self._local = local
        self._whole = whole
        self._orientation = Orientation()
        self.name = local.name

    @property
    def fingerprint(self) -> str:
        """The local extractor's."""
        return self._local.fingerprint

    @property
    def dimension(self) -> int:
        """Length of one local descriptor."""
        return self._local.dimension

    @property
    def batch_size(self) -> int:
        """The local extractor's."""
        return self._local.batch_size

    def bucket(self, image: Image) -> Hashable:
        """The local extractor's."""
        return self._local.bucket(image)

    def load(self) -> None:
        """Load both networks, as :meth:`recognition.extractors.base.Extractor.load` says."""
        self._local.load()
        self._whole.load()
        self._orientation.load()

    def extract(self, images: Sequence[Image], *, max_features: int = 1000) -> list[Features]:
        """As :meth:`recognition.extractors.base.Extractor.extract`, with embeddings."""
        found = self._local.extract(images, max_features=max_features)
        embeddings = self._whole.embed(images)
        embedder = self._whole.fingerprint
        return [
            replace(features, embedding=embedding, embedder=embedder)
            for features, embedding in zip(found, embeddings, strict=True)
        ]

    def extract_upright(self, images: Sequence[Image], *, max_features: int = 1000) -> list[Features]:
        """As :meth:`extract`, of photographs that may lie on a side or on their head.

        Those that surely do are turned upright before anything is extracted; locations and size are still those of the
        image as it was given. Of one that is wider than ordinary photographs, the halves have embeddings, too.
        """
        seen = [self._orientation.turned(image, self._whole.look) for image in images]
        upright = [np.ascontiguousarray(np.rot90(image, -turn)) for image, (turn, _) in zip(images, seen, strict=True)]
        found = self._local.extract(upright, max_features=max_features)
        pooled = np.array([view.pooled for _, view in seen], np.float32).reshape(-1, self._whole.dimension)
        embeddings = self._whole.whiten(pooled)
        return [
            replace(
                features,
                locations=turned_back(features.locations, turn, image.shape[:2]),
                image_size=image.shape[:2],
                embedding=embedding,
                embedder=self._whole.fingerprint,
                halves=self._whole.halves(view) if widening(image.shape[:2]) > 1 else None,
            )
            for image, (turn, view), features, embedding in zip(images, seen, found, embeddings, strict=True)
        ]
