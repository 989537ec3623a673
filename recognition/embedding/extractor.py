"""An extractor that gives every photograph's features its global embedding, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from recognition.embedding.global_descriptor import GlobalDescriptor
from recognition.extractors.base import Extractor, Image
from recognition.features import Features


class EmbeddingExtractor:
    """Local features of one network, the embedding of another.

    Name, fingerprint and dimension are those of the local features: these can be matched with any other ones of the
    same extractor, with or without embeddings.
    """

    def __init__(self, local: Extractor, whole: GlobalDescriptor) -> None:
        self._local = local
        self._whole = whole
        self.name = local.name

    @property
    def fingerprint(self) -> str:
        """The local extractor's."""
        return self._local.fingerprint

    @property
    def dimension(self) -> int:
        """Length of one local descriptor."""
        return self._local.dimension

    def load(self) -> None:
        """Load both networks, as :meth:`recognition.extractors.base.Extractor.load` says."""
        self._local.load()
        self._whole.load()

    def extract(self, images: Sequence[Image], *, max_features: int = 1000) -> list[Features]:
        """As :meth:`recognition.extractors.base.Extractor.extract`, with embeddings."""
        found = self._local.extract(images, max_features=max_features)
        embeddings = self._whole.embed(images)
        embedder = self._whole.fingerprint
        return [
            replace(features, embedding=embedding, embedder=embedder)
            for features, embedding in zip(found, embeddings, strict=True)
        ]
