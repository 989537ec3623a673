"""Files that are either complete or not there: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from recognition.errors import StoreError

TEMPORARY = ".tmp"
_CHUNK = 4 * 2**20


@contextmanager
def temporary(folder: Path) -> Iterator[Path]:
    """A path in ``folder`` for a file in the making; whatever is left there at the end is deleted."""
    path = folder / f"{uuid.uuid4().hex}{TEMPORARY}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def publish(temporary_file: Path, place: Path) -> None:
    """Give a finished file its name, in one step and durably: a power cut leaves the old file or the new one."""
    with temporary_file.open("rb") as file:
        os.fsync(file.fileno())
    temporary_file.replace(place)
    _flush_folder(place.parent)


def write_atomic(place: Path, data: bytes) -> None:
    """Replace a whole file in one step."""
    with temporary(place.parent) as path:
        path.write_bytes(data)
        publish(path, place)


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows opens no folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(path: Path, without: Sequence[tuple[int, int]] = ()) -> str:
    """Hex sha256 of a file, leaving out the given (offset, length) ranges, bytes, ascending."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        for offset, length in without:
            _feed(sha256, file, offset - file.tell())
            file.seek(offset + length)
        _feed(sha256, file, None)
    return sha256.hexdigest()


def _feed(sha256: hashlib._Hash, file: BinaryIO, length: int | None) -> None:
    """Hash the next ``length`` bytes (None: the rest)."""
    while length is None or length > 0:
        chunk = file.read(_CHUNK if length is None else min(length, _CHUNK))
        if not chunk:
            return
        sha256.update(chunk)
        length = None if length is None else length - len(chunk)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a full disk or a missing permission raises into an error for the user."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # HDF5 reports a failed write as RuntimeError, too
        raise StoreError(f"the index at {path} can't be written: {error}") from error
