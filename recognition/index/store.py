"""The index on disk: a directory of immutable segments, generation files that list them, and ``CURRENT``.

index/CURRENT                 "3": replaced in one rename when a generation is published or rolled back to
index/generations/3.json      segments with checksums, removed images
index/segments/<sha256>.h5    finished files only; shared by the generations that list them
index/writer.lock             held by the one writer
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from recognition.errors import (
    FingerprintMismatch,
    GenerationMissing,
    IndexInputError,
    IndexLocked,
    IndexMissing,
    LandmarqError,
    SegmentCorrupt,
)
from recognition.index.files import TEMPORARY, digest, write_atomic, writing
from recognition.index.generation import Generation, generation_file, generation_numbers, missing, read_generation
from recognition.index.opened import Index
from recognition.index.records import SCHEMA_VERSION, IndexImage, Landmark, SegmentEntry
from recognition.index.segment import Segment

__all__ = ["SCHEMA_VERSION", "Index", "IndexImage", "Landmark", "Store"]


class Store:
    """The index in a directory, which need not exist yet. Reading takes no lock and needs no write permission."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.segments = self.path / "segments"
        self._generations = self.path / "generations"
        self._current = self.path / "CURRENT"
        self.lock_file = self.path / "writer.lock"

    def current(self) -> int:
        """The number of the current generation: one small file is read.

        Raises:
            IndexMissing: there is no index here.
            SegmentCorrupt: the file names no generation.
        """
        try:
            text = self._current.read_text("ascii", errors="replace").strip()
        except OSError as error:
            raise IndexMissing(
                f"there is no index at {self.path} ({error.strerror}): build one with `landmarq index build`"
            ) from error
        if not text.isdecimal():
            raise SegmentCorrupt(f"{self._current} names no generation ({text[:20]!r}): roll back to one of them")
        return int(text)

    def generations(self) -> list[int]:
        """The numbers of all generations on disk, ascending. Those above the current one were rolled back from."""
        return generation_numbers(self._generations)

    def stamp(self, generation: int) -> tuple[int, int, int]:
        """The generation's number with what tells its file from that of another index: a key for caches.

        Raises:
            GenerationMissing: the generation has been pruned or never was.
        """
        try:
            found = generation_file(self._generations, generation).stat()
        except OSError as error:
            raise missing(self._generations, generation) from error
        return generation, found.st_ino, found.st_mtime_ns

    def open(self, generation: int | None = None, *, expected_fingerprint: str | None = None) -> Index:
        """Open a generation (None: the current one); later commits, removals and pruning don't disturb it.

        Tables and HDF5 structures are verified by checksum, sizes against truncation; :meth:`check` reads the rest.

        Raises:
            IndexMissing: there is no index, or it holds no images.
            GenerationMissing: the generation has been pruned or never was.
            SegmentCorrupt, SchemaMismatch: a file is damaged, or of another schema version.
            FingerprintMismatch: its descriptors are not ``expected_fingerprint``'s, or not all of one extractor.
        """
        number = self.current() if generation is None else generation
        try:
            return self._open(read_generation(self._generations, number), expected_fingerprint)
        except (GenerationMissing, SegmentCorrupt):
            # A writer may have published and pruned between the two reads.
            if generation is None and self.current() != number:
                return self.open(expected_fingerprint=expected_fingerprint)
            raise

    def _open(self, generation: Generation, expected_fingerprint: str | None) -> Index:
        if not generation.segments:
            raise IndexMissing(f"the index at {self.path} holds no images: add some with `landmarq index add`")
        found = generation.fingerprint
        if expected_fingerprint not in (None, found):
            raise FingerprintMismatch(
                f"the index at {self.path} holds descriptors of {found}, the extractor in use is "
                f"{expected_fingerprint}: they can't be compared; "
                "choose the other extractor, or build the index anew with this one"
            )
        return Index(generation.number, found, generation.dimension, self.open_segments(generation))

    def open_segments(self, generation: Generation) -> list[Segment]:
        """The segments of a generation, opened in its order. Raises as :meth:`open`."""
        return [Segment(self.segments, entry, generation.fingerprint) for entry in generation.segments]

    def read(self, generation: int) -> Generation:
        """What the generation's file says. Raises GenerationMissing, SegmentCorrupt, SchemaMismatch."""
        return read_generation(self._generations, generation)

    def rollback(self, generation: int, *, lock_timeout: float = 10.0) -> None:
        """Make another generation the current one (older or newer); nothing is deleted.

        The next commit appends to it and gets a new number.

        Raises:
            GenerationMissing, SegmentCorrupt, SchemaMismatch, FingerprintMismatch: it can't be used.
            IndexLocked: a writer is at work.
        """
        self.open_segments(self.read(generation))
        with self.lock(lock_timeout), writing(self.path):
            write_atomic(self._current, f"{generation}\n".encode())

    def publish(self, fingerprint: str, dimension: int, segments: tuple[SegmentEntry, ...]) -> int:
        """Write the next generation and make it current; for the holder of :meth:`lock`. Returns its number."""
        number = max(self.generations(), default=0) + 1
        self._generations.mkdir(parents=True, exist_ok=True)
        Generation(number, fingerprint, dimension, segments).write(self._generations)
        try:
            write_atomic(self._current, f"{number}\n".encode())
        except OSError:  # its segments will be discarded: the file must not stay and list them
            (self._generations / f"{number}.json").unlink()
            raise
        return number

    def prune(self, keep: int = 3, *, lock_timeout: float = 10.0) -> list[int]:
        """Delete all but the newest ``keep`` (>= 1) generations and the current one, and segments that none lists.

        Returns:
            The numbers of the deleted generations.

        Raises:
            IndexLocked: a writer is at work. IndexInputError: ``keep`` < 1. IndexMissing: there is no index here.
        """
        if keep < 1:
            raise IndexInputError(f"at least 1 generation has to be kept, not {keep}")
        self.current()
        with self.lock(lock_timeout), writing(self.path):
            current = self.current()
            old = [number for number in self.generations()[:-keep] if number != current]
            for number in old:
                (self._generations / f"{number}.json").unlink()
            self.sweep()
        return old

    def sweep(self) -> None:
        """Delete what a killed writer has left and segments that none lists; for the holder of :meth:`lock`."""
        for folder in (self.path, self.segments, self._generations):
            for path in folder.glob(f"*{TEMPORARY}"):
                path.unlink(missing_ok=True)
        try:
            listed = {entry.file for number in self.generations() for entry in self.read(number).segments}
        except LandmarqError:  # a generation that can't be read may list any of them
            return
        for path in self.segments.glob("*.h5"):
            if path.name not in listed:
                with suppress(PermissionError):  # Windows keeps what a reader has mapped: the next sweep gets it
                    path.unlink(missing_ok=True)

    def check(self) -> list[str]:
        """Read every byte of every generation and compare it with the checksums.

        Returns:
            One sentence for each problem found; empty when the index is sound.

        Raises:
            IndexMissing: there is no index here.
        """
        problems: list[str] = []
        entries: dict[str, SegmentEntry] = {}
        try:
            self.read(self.current())
        except IndexMissing:
            raise
        except LandmarqError as error:
            problems.append(str(error))
        for number in self.generations():
            try:
                generation = self.read(number)
                entries.update({entry.file: entry for entry in generation.segments})
                self.open_segments(generation)
            except LandmarqError as error:
                problems.append(str(error))
        problems += [problem for entry in entries.values() for problem in self._check_bytes(entry)]
        return list(dict.fromkeys(problems))

    def _check_bytes(self, entry: SegmentEntry) -> Iterator[str]:
        path = self.segments / entry.file
        try:
            if digest(path) != entry.sha256:
                yield f"the segment {path} is damaged (checksum of the whole file): restore it, or roll back"
        except OSError as error:
            yield f"the segment {path} can't be read ({error.strerror})"

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Hold the writer's lock; it ends with the process, however that ends.

        Raises:
            IndexLocked: another process or thread still holds it after ``timeout`` seconds.
        """
        lock = FileLock(self.lock_file, timeout=timeout, thread_local=False)
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except Timeout as error:
                raise IndexLocked(
                    f"another writer is at work on the index at {self.path}: waited {timeout:g} s for "
                    f"{self.lock_file}; try again when it has finished (the lock of a killed writer is free)"
                ) from error
        try:
            yield
        finally:
            lock.release()

    def withdraw(self) -> None:
        """Remove the directory if nothing was ever published in it; for a holder of :meth:`lock` that gives up."""
        if self.generations():
            return
        with suppress(OSError):  # whatever else lies there stays
            for folder in (self.segments, self._generations):
                if folder.exists():
                    folder.rmdir()
            self.lock_file.unlink()
            self.path.rmdir()
