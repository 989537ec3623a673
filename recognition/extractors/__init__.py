"""Extractors by name: ``xfeat``, bundled and offline, and ``delf``, from TF-Hub."""

from __future__ import annotations

from typing import Any

from recognition.errors import ExtractorUnavailable
from recognition.extractors.base import Extractor

NAMES = ("xfeat", "delf")


def create(name: str, **options: Any) -> Extractor:
    """A new extractor; nothing heavy is loaded before :meth:`Extractor.load`.

    Raises:
        ExtractorUnavailable: no extractor of that name.
    """
    if name == "xfeat":
        from recognition.extractors.xfeat import XFeatExtractor

        return XFeatExtractor(**options)
    if name == "delf":
        from recognition.extractors.delf import DelfExtractor

        return DelfExtractor(**options)
    raise ExtractorUnavailable(f"no extractor {name!r}: choose one of {', '.join(NAMES)}")
