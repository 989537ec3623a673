"""Decoding: limits first, damage named; whatever the bytes, an image or an ImageError."""

from __future__ import annotations

import contextlib
import struct
import threading
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageFile, ImageOps

from recognition.errors import (
    EmptyImage,
    ImageError,
    ImageTooManyBytes,
    ImageTooManyPixels,
    ImageTooSmall,
    NotAnImage,
    TruncatedImage,
)
from recognition.images import ImageLimits, crop_square, decode, resize_long_side, thumbnail_jpeg, widening
from tests.support.photos import encode, jpeg, photo, save

PICTURE = photo(1, (48, 64))
SMALL = ImageLimits(max_bytes=2**20, max_pixels=10_000, min_side=1)


def png_header(width: int, height: int, padding: int = 0) -> bytes:
    """A PNG that announces any size and carries ``padding`` bytes of image data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", bytes(padding)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG"])
def test_every_format(format: str) -> None:
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98, "subsampling": 0}}
    image = decode(encode(PICTURE, format, **options.get(format, {})))
    assert image.dtype == np.uint8
    assert image.shape == PICTURE.shape
    assert image.flags.c_contiguous
    assert image.flags.writeable
    error = np.abs(image.astype(int) - PICTURE).mean()
    assert error < (8 if format in ("GIF", "JPEG") else 0.01)


def test_only_the_first_frame_of_an_animation() -> None:
    frames = [Pillow.fromarray(photo(i, (48, 64))) for i in range(3)]
    image = decode(save(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert np.abs(image.astype(int) - np.asarray(frames[0])).mean() < 8


def test_formats_that_are_not_offered_are_refused() -> None:
    for format in ("ICO", "PPM", "PCX"):
        with pytest.raises(NotAnImage, match="JPEG, PNG"):
            decode(encode(PICTURE, format))


def test_empty_and_foreign_bytes() -> None:
    with pytest.raises(EmptyImage, match="0 bytes"):
        decode(b"")
    for data in (b"hello", b"%PDF-1.7 ...", b"RIFF\0\0\0\0WAVEfmt ", b"BM, a text", bytes(1000)):
        with pytest.raises(NotAnImage, match=f"{len(data):,} bytes"):
            decode(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_truncated_files(format: str) -> None:
    data = encode(PICTURE, format)
    for end in (len(data) // 2, len(data) * 3 // 4):
        with pytest.raises(TruncatedImage, match="send the complete file"):
            decode(data[:end])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    with pytest.raises((TruncatedImage, NotAnImage)):
        decode(data[:20])


def test_too_many_bytes_comes_before_everything_else() -> None:
    with pytest.raises(ImageTooManyBytes, match=r"101 bytes, the limit is 100"):
        decode(bytes(101), ImageLimits(max_bytes=100))


def test_a_giant_png_is_refused_from_its_header() -> None:
    data = png_header(60_000, 60_000, padding=100_000)
    tracemalloc.start()
    with pytest.raises(ImageTooManyPixels, match=r"60,000 x 60,000 pixels \(3,600,000,000\), the limit is 100,000,000"):
        decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * 2**20


def test_pixels_between_pillows_limit_and_ours() -> None:
    """Pillow warns beyond 89 million pixels and raises beyond 179 million; only ours counts."""
    bilevel = save(Pillow.new("1", (9_500, 9_500)), "PNG")
    assert decode(bilevel, ImageLimits(max_pixels=10**9)).shape == (9_500, 9_500, 3)
    with pytest.raises(ImageTooManyPixels):
        decode(png_header(9_500, 20_000))
    with pytest.raises(ImageTooManyPixels):
        decode(bilevel, ImageLimits(max_pixels=9_500 * 9_499))


@pytest.mark.parametrize("size", [(1, 1), (15, 300), (300, 15)])
def test_too_small(size: tuple[int, int]) -> None:
    with pytest.raises(ImageTooSmall, match="at least 16"):
        decode(encode(photo(0, size), "PNG"))
    assert decode(encode(photo(0, size), "PNG"), ImageLimits(min_side=1)).shape == (*size, 3)


def test_threads_leave_warnings_and_pillow_as_they_were() -> None:
    filters, pixels = list(warnings.filters), Pillow.MAX_IMAGE_PIXELS
    files = [jpeg(i, (100, 120)) for i in range(4)] + [b"no image"]

    def work() -> None:
        for data in files * 5:
            try:
                decode(data)
            except NotAnImage:
                continue

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == filters
    assert pixels == Pillow.MAX_IMAGE_PIXELS


@pytest.fixture(scope="module")
def valid_files() -> list[bytes]:
    exif = Pillow.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    small = photo(3, (20, 24))
    palette = save(Pillow.fromarray(small).quantize(16), "PNG", transparency=3)
    gray16 = encode(np.arange(400, dtype=np.uint16).reshape(20, 20), "TIFF")  # type: ignore[arg-type]
    formats = [encode(small, format) for format in ("PNG", "WEBP", "TIFF", "BMP", "GIF")]
    return [*formats, encode(small, "JPEG", exif=exif), palette, gray16, encode(small, "TIFF", compression="tiff_lzw")]


@settings(max_examples=300)
@given(st.data())
def test_mutated_files_give_an_image_or_an_image_error(valid_files: list[bytes], data: st.DataObject) -> None:
    mutated = bytearray(data.draw(st.sampled_from(valid_files)))
    for _ in range(data.draw(st.integers(1, 6))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(mutated)), st.integers(1, len(mutated))))
    try:
        image = decode(bytes(mutated[:end]), SMALL)
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3


@settings(max_examples=200)
@given(
    st.sampled_from(
        [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x20\0\0\0WEBPVP8 ", b"II*\0", b"BM"]
    ),
    st.binary(max_size=200),
)
def test_arbitrary_bytes_give_an_image_or_an_image_error(start: bytes, rest: bytes) -> None:
    with contextlib.suppress(ImageError):
        assert decode(start + rest, SMALL).ndim == 3


@settings(max_examples=50)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 300))
def test_resize_long_side(height: int, width: int, side: int) -> None:
    resized = resize_long_side(np.zeros((height, width, 3), np.uint8), side)
    assert max(resized.shape[:2]) == side
    assert abs(min(resized.shape[:2]) - max(1, min(height, width) * side / max(height, width))) < 0.5 + 1e-9
    assert resized.dtype == np.uint8
    assert resized.flags.c_contiguous


def test_resize_to_the_same_side_keeps_the_array() -> None:
    assert resize_long_side(PICTURE, 64) is PICTURE


def test_crop_square_is_the_origins() -> None:
    cropped = crop_square(photo(2), 256)
    expected = ImageOps.fit(Pillow.fromarray(photo(2)), (256, 256), Pillow.Resampling.LANCZOS)
    np.testing.assert_array_equal(cropped, np.asarray(expected))


def test_thumbnail() -> None:
    assert decode(thumbnail_jpeg(photo(0, (600, 900)))).shape == (213, 320, 3)
    small = decode(thumbnail_jpeg(PICTURE))
    assert small.shape == PICTURE.shape
    assert np.abs(small.mean(axis=2) - PICTURE.mean(axis=2)).mean() < 8  # the colours are subsampled


@pytest.mark.parametrize(
    ("size", "expected"),
    [((600, 600), 1), ((480, 640), 1), ((600, 900), 1), ((600, 1200), 4 / 3), ((1800, 600), 2), ((1, 5000), 2)],
)
def test_only_what_is_wider_than_a_photograph_is_widened(size: tuple[int, int], expected: float) -> None:
    assert widening(size) == pytest.approx(expected)
