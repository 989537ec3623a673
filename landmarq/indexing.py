"""Photographs into the index that the settings name: for ``index build``, ``index add``, ``evaluate`` and the demo."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from landmarq.environment import load_extractor
from workers.engine import limits, profile

if TYPE_CHECKING:
    from config.settings import Settings
    from recognition.index.ingest import IngestReport
    from recognition.index.source import Entry

OnProgress = Callable[[int, int], None]


def ingest_source(
    settings: Settings, source: Path, *, replace: bool, on_progress: OnProgress | None = None
) -> IngestReport:
    """As :func:`ingest_entries`, of all photographs of ``source``, a folder or a CSV.

    Raises:
        IndexInputError: the source is unusable.
    """
    from recognition.index.source import read_source

    return ingest_entries(settings, read_source(source), replace=replace, on_progress=on_progress)


def ingest_entries(
    settings: Settings, entries: Sequence[Entry], *, replace: bool, on_progress: OnProgress | None = None
) -> IngestReport:
    """Extract the features of photographs and publish them as one generation.

    replace: the new generation holds only these. on_progress: called with (done, total).

    Raises:
        IndexInputError: nothing could be added to a new index. IndexLocked: another writer is at work.
        ExtractorUnavailable: the network can't be loaded. FingerprintMismatch: the index is another extractor's.
    """
    from recognition.index.ingest import ingest
    from recognition.index.store import Store
    from recognition.recognize import extract

    # Somebody chose the photographs of an index: they are upright, and a wrong turn would stay.
    params = profile(settings).extract
    params = dataclasses.replace(params, turn=False, max_features=params.index_features)
    extractor = load_extractor(settings)
    return ingest(
        Store(settings.index_path),
        entries,
        lambda image: extract(image, extractor, params),
        fingerprint=extractor.fingerprint,
        replace=replace,
        limits=limits(settings),
        on_progress=on_progress,
    )
