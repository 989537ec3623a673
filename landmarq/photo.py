"""Photographs as a user hands them over: a path, bytes, or a file object."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from recognition.errors import EmptyImage, ImageError, ImageTooManyBytes

Photo = Path | str | bytes | BinaryIO


def read_photo(photo: Photo, *, max_bytes: int) -> bytes:
    """The bytes of a photo, never more than ``max_bytes`` + 1 of them read from a file.

    Raises:
        ImageError: there is no such file, it can't be read, is empty, or is larger than ``max_bytes``.
    """
    if isinstance(photo, bytes):
        data, name = photo, "the photo"
    elif isinstance(photo, str | Path):
        name = str(photo)
        try:
            with Path(photo).open("rb") as file:
                data = file.read(max_bytes + 1)
        except OSError as error:
            raise ImageError(f"can't read {name}: {error.strerror or error}") from None
    else:
        name = str(getattr(photo, "name", "the photo"))
        data = photo.read(max_bytes + 1)
    if not data:
        raise EmptyImage(f"{name} is empty: it has no bytes at all")
    if len(data) > max_bytes:
        raise ImageTooManyBytes(f"{name} has more than {max_bytes} bytes, the limit (LANDMARQ_IMAGE__MAX_BYTES)")
    return data
