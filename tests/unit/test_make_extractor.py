"""From settings to extractors: with an embedding by default, without one where there should be none."""

from __future__ import annotations

import pytest

from config.settings import load
from recognition.embedding.extractor import EmbeddingExtractor
from recognition.extractors.xfeat import XFeatExtractor
from workers.engine import make_extractor


def test_the_default_has_an_embedding_and_the_local_features_fingerprint() -> None:
    extractor = make_extractor(load())
    assert isinstance(extractor, EmbeddingExtractor)
    assert extractor.fingerprint == XFeatExtractor().fingerprint


@pytest.mark.parametrize("overrides", [{"embedding": "none"}, {"profile": "seed"}])
def test_without_an_embedding(overrides: dict[str, object]) -> None:
    assert isinstance(make_extractor(load(**overrides)), XFeatExtractor)
