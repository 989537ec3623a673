"""Photo bytes to pixels: every format, orientation and colour mode becomes upright uint8 RGB, or a clear error.

Limits are checked before anything is decoded: the length of the file first, then the size that its header announces.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from recognition.errors import (
    EmptyImage,
    ImageError,
    ImageTooManyBytes,
    ImageTooManyPixels,
    ImageTooSmall,
    NotAnImage,
    TruncatedImage,
)
from recognition.extractors.base import Image

__all__ = [
    "DEFAULT_LIMITS",
    "FORMATS",
    "Image",
    "ImageLimits",
    "check_length",
    "crop_square",
    "decode",
    "resize_long_side",
    "thumbnail_jpeg",
    "widening",
]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")

# What tells a damaged image from something else. BMP's two letters would claim texts, too.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_EXIF_ORIENTATION = 0x0112
_TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ImageLimits:
    """What :func:`decode` accepts.

    ``max_bytes``: length of the file, > 0. ``max_pixels``: width times height, > 0. ``min_side``: shorter side, >= 1.
    """

    max_bytes: int = 25 * 2**20
    max_pixels: int = 100_000_000
    min_side: int = 16


DEFAULT_LIMITS = ImageLimits()


def decode(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Image:
    """Decode a photograph: JPEG, PNG, WebP, or the first frame of a GIF, TIFF or BMP.

    The EXIF turn is applied; a damaged EXIF block counts as "upright". Transparent pixels are laid over white. 16-bit
    gray keeps its upper 8 bits; in 32-bit and float gray, white is the first of 1, 255 and 65535 that no pixel exceeds,
    and anything beyond is stretched between its extremes. Colour profiles are ignored.

    Returns:
        uint8 [h, w, 3] RGB, C-contiguous, writable.

    Raises:
        EmptyImage, NotAnImage, TruncatedImage, ImageTooManyBytes, ImageTooManyPixels, ImageTooSmall: as they say.
        ImageError: a colour mode that can't be turned into RGB.
    """
    if not data:
        raise EmptyImage("the image is empty (0 bytes): the upload or the file was cut off before it began")
    check_length(len(data), limits)
    with _pillow_unattended(), _open(data) as image:
        _check_size(image.size, limits)
        try:
            image.load()
        except Exception as error:  # Pillow's plugins raise OSError, ValueError, SyntaxError, zlib.error, ...
            raise TruncatedImage(_damaged(data, error)) from error
        try:
            return np.array(_to_rgb(_upright(image)), dtype=np.uint8, order="C")
        except Exception as error:
            raise ImageError(
                f"the image's colours (mode {image.mode}) can't be turned into RGB ({error}): save it as JPEG or PNG"
            ) from error


def check_length(length: int, limits: ImageLimits) -> None:
    """Refuse a file by its length in bytes, which is known before it is read or received.

    Raises:
        ImageTooManyBytes: it is over ``limits.max_bytes``.
    """
    if length > limits.max_bytes:
        raise ImageTooManyBytes(
            f"the image has {length:,} bytes, the limit is {limits.max_bytes:,}: "
            "send a smaller or more strongly compressed one"
        )


def resize_long_side(image: Image, side: int) -> Image:
    """The image with its longer side ``side`` pixels long (> 0), the ratio kept; the same array if it already is."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale == 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))  # OpenCV wants (width, height)
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.ascontiguousarray(resized, dtype=np.uint8)


def crop_square(image: Image, side: int) -> Image:
    """The largest centred square, resized to ``side`` x ``side`` pixels with Lanczos: the origin's ``ImageOps.fit``."""
    return np.array(ImageOps.fit(Pillow.fromarray(image), (side, side), Pillow.Resampling.LANCZOS))


def thumbnail_jpeg(image: Image, side: int = 320) -> bytes:
    """A JPEG whose longer side is at most ``side`` pixels; small images are not enlarged."""
    thumbnail = Pillow.fromarray(image)
    thumbnail.thumbnail((side, side), Pillow.Resampling.LANCZOS)
    buffer = io.BytesIO()
    thumbnail.save(buffer, "JPEG", quality=85, optimize=True)
    return buffer.getvalue()


def _open(data: bytes) -> Pillow.Image:
    """The image with only its header read."""
    known = data.startswith(_SIGNATURES) or (data[:4], data[8:12]) == (b"RIFF", b"WEBP")
    try:
        return Pillow.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:
        if known:
            raise TruncatedImage(_damaged(data, error)) from error
        raise NotAnImage(
            f"these {len(data):,} bytes are not in a supported image format: send {', '.join(FORMATS)}"
        ) from error


def _damaged(data: bytes, error: Exception) -> str:
    reason = str(error) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):  # whose text is the address of a BytesIO
        reason = "its header can't be read"
    return f"the image is cut off or damaged ({len(data):,} bytes; {reason}): send the complete file"


def _check_size(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise ImageTooManyPixels(
            f"the image has {width:,} x {height:,} pixels ({width * height:,}), the limit is {limits.max_pixels:,}: "
            "send a smaller one"
        )
    if min(width, height) < limits.min_side:
        raise ImageTooSmall(
            f"the image has {width} x {height} pixels, each side needs at least {limits.min_side}: send a larger one"
        )


def _upright(image: Pillow.Image) -> Pillow.Image:
    """The image after its EXIF turn."""
    try:  # not ImageOps.exif_transpose: it also writes the EXIF block anew, and fails on a damaged one
        turn = _TURNS.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # whatever a damaged block makes Pillow raise: viewers show such a picture unturned
        turn = None
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Pillow.Image) -> Pillow.Image:
    if image.mode.startswith("I;16"):
        return Pillow.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return Pillow.fromarray(_gray_to_bytes(np.asarray(image, np.float64))).convert("RGB")
    if image.has_transparency_data:
        white = Pillow.new("RGBA", image.size, "white")
        return Pillow.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _gray_to_bytes(gray: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """32-bit integer or float gray to 8 bits: nothing says what white is, so the values decide. Infinite ones are 0."""
    gray = np.nan_to_num(gray, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(gray.min()), float(gray.max())
    if low < 0 or high > 65535:
        gray, high = gray - low, high - low
        white = high
    else:
        white = 1.0 if high <= 1 else 255.0 if high <= 255 else 65535.0
    return np.rint(gray / white * 255).clip(0, 255).astype(np.uint8)


class _Unattended:
    """How many threads are inside Pillow, and what to restore when the last one leaves."""

    lock = threading.Lock()
    threads = 0
    silenced: warnings.catch_warnings[None] | None = None
    max_pixels: int | None = None


@contextmanager
def _pillow_unattended() -> Iterator[None]:
    """Silence Pillow's warnings and its own pixel limit (``ImageLimits`` applies, to the header).

    Both are global to the process, and threads that save and restore them in turn would leave the wrong values behind:
    so the first thread in changes them and the last one out restores them.
    """
    state = _Unattended
    with state.lock:
        if state.threads == 0:
            state.silenced = warnings.catch_warnings()
            state.silenced.__enter__()
            warnings.simplefilter("ignore")
            state.max_pixels, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
        state.threads += 1
    try:
        yield
    finally:
        with state.lock:
            state.threads -= 1
            if state.threads == 0 and state.silenced is not None:
                Pillow.MAX_IMAGE_PIXELS = state.max_pixels
                state.silenced.__exit__(None, None, None)
                state.silenced = None


ORDINARY_RATIO = 1.5  # of the sides of most photographs
MAX_WIDENING = 2.0  # what is wider still is a strip: its cost must end somewhere


def widening(size: tuple[int, int]) -> float:
    """How much more there is to see in an image (height, width) than in one of 3:2, in [1, 2].

    A panorama, or two pictures beside each other, is a row of photographs: fitted into the frame of one, each would be
    too small and would have to share its features with the others.
    """
    return min(max(max(size) / min(size) / ORDINARY_RATIO, 1.0), MAX_WIDENING)
