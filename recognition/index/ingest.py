"""Photographs into the index: read, decode, extract, write; what can't be used is skipped and named."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from recognition.errors import ExtractorError, ExtractorUnavailable, ImageError, IndexInputError, LandmarqError
from recognition.features import Features
from recognition.images import DEFAULT_LIMITS, Image, ImageLimits, check_length, decode, thumbnail_jpeg
from recognition.index.source import Entry, read_source
from recognition.index.store import Store
from recognition.index.writer import Writer

__all__ = ["Entry", "IngestReport", "Skipped", "ingest", "read_source"]

# Decoded images that wait for the extractor: enough to keep it busy, few enough for photographs of 100 megapixels.
_AHEAD = 4
_DECODERS = 2


@dataclass(frozen=True, slots=True)
class Skipped:
    """A photograph that was left out. ``code``: an ImageError's or ExtractorError's, missing_file, unreadable_file or
    no_features."""

    name: str
    code: str
    message: str


@dataclass(slots=True)
class IngestReport:
    """What became of the photographs.

    ``generation``: the current one afterwards, unchanged if nothing was added. ``duplicates``: names of those whose
    content the index already had, or that were listed twice.
    """

    generation: int = 0
    added: int = 0
    duplicates: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _Photo:
    sha256: str
    image: Image


def ingest(
    store: Store,
    entries: Sequence[Entry],
    extract: Callable[[Image], Features],
    *,
    fingerprint: str,
    replace: bool = False,
    limits: ImageLimits = DEFAULT_LIMITS,
    on_progress: Callable[[int, int], None] | None = None,
) -> IngestReport:
    """Add photographs to the index and publish them as one generation.

    Args:
        store: the index; created if there is none.
        entries: from :func:`read_source`.
        extract: the features of a uint8 [h, w, 3] RGB image; called in this thread, one image at a time.
        fingerprint: the extractor's.
        replace: the new generation holds only these photographs; otherwise they are added to the current one.
        limits: what is accepted as a photograph.
        on_progress: called with (done, total) after each photograph.

    Raises:
        IndexInputError: nothing could be added to a new index, or to one that is to be replaced; nothing was written.
        ExtractorUnavailable: the extractor can't be loaded.
        IndexLocked, FingerprintMismatch, SegmentCorrupt, SchemaMismatch: as :class:`~recognition.index.writer.Writer`.
    """
    report = IngestReport()
    with Writer(store, fingerprint, replace=replace) as writer:
        for done, (entry, outcome) in enumerate(_decode_ahead(entries, limits), 1):
            _take(writer, entry, outcome, extract, report)
            if on_progress:
                on_progress(done, len(entries))
        if report.added:
            report.generation = writer.commit()
        elif replace or not len(writer):
            raise IndexInputError(f"none of the {len(entries)} photographs could be added{_first_reason(report)}")
        else:
            report.generation = store.current()
    return report


def _take(
    writer: Writer, entry: Entry, outcome: _Photo | Skipped, extract: Callable[[Image], Features], report: IngestReport
) -> None:
    if isinstance(outcome, Skipped):
        report.skipped.append(outcome)
        return
    if outcome.sha256 in writer:
        report.duplicates.append(entry.name)
        return
    try:
        features = extract(outcome.image)
    except ExtractorUnavailable:
        raise
    except (ExtractorError, ImageError) as error:
        report.skipped.append(_skipped(entry, error))
        return
    if not len(features):
        message = "no features were found: the picture is blank, blurred or too small"
        report.skipped.append(Skipped(entry.name, "no_features", message))
        return
    writer.add(
        features,
        name=entry.name,
        sha256=outcome.sha256,
        landmark=entry.landmark,
        thumbnail=thumbnail_jpeg(outcome.image),
    )
    report.added += 1


def _decode_ahead(entries: Sequence[Entry], limits: ImageLimits) -> Iterator[tuple[Entry, _Photo | Skipped]]:
    """Each entry with its decoded photograph, in order, a few of them decoded in advance by threads."""
    waiting: deque[tuple[Entry, Future[_Photo | Skipped]]] = deque()
    remaining = iter(entries)
    with ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode") as pool:
        while True:
            while len(waiting) < _AHEAD and (entry := next(remaining, None)) is not None:
                waiting.append((entry, pool.submit(_read, entry, limits)))
            if not waiting:
                return
            entry, future = waiting.popleft()
            yield entry, future.result()


def _read(entry: Entry, limits: ImageLimits) -> _Photo | Skipped:
    try:
        check_length(entry.file.stat().st_size, limits)
        data = entry.file.read_bytes()
        return _Photo(hashlib.sha256(data).hexdigest(), decode(data, limits))
    except (FileNotFoundError, NotADirectoryError):
        return Skipped(entry.name, "missing_file", f"{entry.file} does not exist")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return Skipped(entry.name, "unreadable_file", f"{entry.file} can't be read: {error}")
    except ImageError as error:
        return _skipped(entry, error)


def _skipped(entry: Entry, error: LandmarqError) -> Skipped:
    return Skipped(entry.name, error.code, error.message)


def _first_reason(report: IngestReport) -> str:
    if not report.skipped:
        return ""
    first = report.skipped[0]
    return f"; the first, {first.name}: {first.message}"
