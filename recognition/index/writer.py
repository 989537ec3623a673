"""The one writer of an index: collects images, writes segments, publishes a generation."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType

from recognition.errors import FeaturesError, FingerprintMismatch, IndexInputError, IndexMissing
from recognition.features import Features
from recognition.index.files import writing
from recognition.index.records import Landmark, Row, SegmentEntry
from recognition.index.segment import Segment, write_segment
from recognition.index.store import Store


class Writer:
    """Context manager that holds the writer's lock. Leaving it without :meth:`commit` leaves nothing behind.

    Args:
        store: where the index is, or will be.
        fingerprint: of the extractor whose features will be added.
        dimension: length of one descriptor; None takes it from the first image.
        lock_timeout: seconds to wait for another writer.
        replace: the new generation holds only what is added here; otherwise it appends to the current one.
        spill_descriptors, spill_images: size at which what was added is written to a segment, so that memory stays
            bounded; all segments appear in one generation.
        max_segments: number of segments beyond which a commit first writes the small ones together.

    Raises:
        IndexLocked: another writer is at work.
        FingerprintMismatch: the index to append to holds descriptors of another extractor.
        SegmentCorrupt, SchemaMismatch: the index to append to is damaged, or of another schema version.
    """

    def __init__(
        self,
        store: Store,
        fingerprint: str,
        dimension: int | None = None,
        lock_timeout: float = 10.0,
        *,
        replace: bool = False,
        spill_descriptors: int = 200_000,
        spill_images: int = 2_000,
        max_segments: int = 64,
    ) -> None:
        self._store = store
        self._fingerprint = fingerprint
        self._dimension = dimension
        self._lock_timeout = lock_timeout
        self._replace = replace
        self._spill = (spill_descriptors, spill_images)
        self._max_segments = max_segments
        self._stack = ExitStack()
        self._entries: dict[str, SegmentEntry] = {}  # by file name, in order
        self._spilled: list[str] = []  # written here and not yet published
        self._rows: dict[str, Row] = {}  # by sha256, not yet in a segment
        self._embedder = ""  # fingerprint of the embeddings, once there are any
        self._live: dict[str, tuple[str, str]] = {}  # sha256 -> (name, segment file, "" for one of _rows)

    def __enter__(self) -> Writer:
        is_new = not self._store.path.exists()
        with ExitStack() as stack:
            stack.enter_context(self._store.lock(self._lock_timeout))
            if is_new:
                stack.callback(self._store.withdraw)
            stack.callback(self._discard)
            with writing(self._store.path):
                self._store.sweep()
                self._store.segments.mkdir(exist_ok=True)
            if not self._replace:
                self._append_to_current()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __contains__(self, sha256: str) -> bool:
        """Whether an image with this content is (or, after :meth:`commit`, will be) in the index."""
        return sha256 in self._live

    def __len__(self) -> int:
        """Number of images that the generation would hold."""
        return len(self._live)

    def add(self, features: Features, *, name: str, sha256: str, landmark: Landmark, thumbnail: bytes) -> bool:
        """Add an image; False, and nothing happens, if the same content is in the index already.

        Args:
            features: at least one.
            name: what people call the image: its path relative to where it came from.
            sha256: hex digest of the image file.
            landmark: what it shows; describes the landmark for all its images from now on.
            thumbnail: a JPEG file.

        Raises:
            FingerprintMismatch, FeaturesError: the features are of another extractor, of another length, or none.
        """
        if sha256 in self._live:
            return False
        self._check(features, name)
        self._collect(Row(features, name, sha256, landmark, thumbnail))
        return True

    def remove(self, key: str) -> int:
        """Remove the images whose content sha256 or name is ``key``; they may be added again. Returns how many.

        Raises:
            IndexInputError: there is none.
        """
        matches = [sha256 for sha256, (name, _) in self._live.items() if key in (sha256, name)]
        if not matches:
            raise IndexInputError(f"the index at {self._store.path} holds no image with the name or sha256 {key!r}")
        for sha256 in matches:
            _, file = self._live.pop(sha256)
            if file:
                entry = self._entries[file]
                self._entries[file] = replace(entry, removed=(*entry.removed, sha256))
            else:
                del self._rows[sha256]
        return len(matches)

    def commit(self) -> int:
        """Publish everything as a new generation, in one step, and return its number.

        Raises:
            IndexInputError: nothing was added to a new index, or to one that is to be replaced.
            StoreError: the files can't be written; the index is as it was.
        """
        self._write_rows()
        if not self._entries:
            raise IndexInputError(f"no image was added: nothing was written to {self._store.path}")
        if len(self._entries) > self._max_segments:
            self._merge_tail()
        segments = tuple(entry for entry in self._entries.values() if len(entry.removed) < entry.images)
        with writing(self._store.path):
            generation = self._store.publish(self._fingerprint, self._dimension or 0, segments)
            self._spilled.clear()
            self._store.sweep()
        return generation

    def _append_to_current(self) -> None:
        try:
            generation = self._store.read(self._store.current())
        except IndexMissing:
            return
        if not generation.segments:  # emptied: any extractor may start again
            return
        if generation.fingerprint != self._fingerprint:
            raise FingerprintMismatch(
                f"the index at {self._store.path} holds descriptors of {generation.fingerprint}, "
                f"these are of {self._fingerprint}: choose the other extractor, or build the index anew with this one"
            )
        self._dimension = generation.dimension
        for segment in self._store.open_segments(generation):
            self._entries[segment.entry.file] = segment.entry
            self._embedder = self._embedder or segment.embedder
            for i in segment.live.nonzero()[0]:
                image = segment.image(int(i))
                self._live[image.sha256] = (image.name, segment.entry.file)

    def _check(self, features: Features, name: str) -> None:
        if features.extractor != self._fingerprint:
            raise FingerprintMismatch(
                f"the features of {name} are of {features.extractor}, the index is of {self._fingerprint}: "
                "extract them with the index's extractor"
            )
        if not len(features):
            raise FeaturesError(f"{name} has no features: nothing could ever match it")
        self._embedder = self._embedder or features.embedder
        if features.embedder not in ("", self._embedder):
            raise FingerprintMismatch(
                f"the embedding of {name} is of {features.embedder}, the index's are of {self._embedder}: "
                "embed it with the same network and weights, or build the index anew"
            )
        self._dimension = self._dimension or features.dimension
        if features.dimension != self._dimension:
            raise FeaturesError(
                f"descriptors of {name} have length {features.dimension}, the index's {self._dimension}"
            )

    def _write_rows(self) -> None:
        if not self._rows:
            return
        with writing(self._store.path):
            entry = write_segment(self._store.segments, list(self._rows.values()), self._fingerprint)
        self._spilled.append(entry.file)
        self._entries[entry.file] = entry
        self._live.update({sha256: (row.name, entry.file) for sha256, row in self._rows.items()})
        self._rows.clear()

    def _merge_tail(self) -> None:
        """Write the small segments at the end anew as few large ones, as many single additions leave them behind."""
        tail: list[SegmentEntry] = []
        for entry in reversed(
            self._entries.values()
        ):  # only the end: the order decides which description is the latest
            if entry.descriptors >= self._spill[0] // 10:
                break
            tail.insert(0, entry)
        for entry in tail:
            del self._entries[entry.file]
            for row in Segment(self._store.segments, entry, self._fingerprint).live_rows():
                self._collect(row)
        self._write_rows()

    def _collect(self, row: Row) -> None:
        self._rows[row.sha256] = row
        self._live[row.sha256] = (row.name, "")
        descriptors, images = self._spill
        if len(self._rows) >= images or sum(len(row.features) for row in self._rows.values()) >= descriptors:
            self._write_rows()

    def _discard(self) -> None:
        for file in self._spilled:
            (self._store.segments / file).unlink(missing_ok=True)
