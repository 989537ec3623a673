"""Decoding: turns, colour modes, transparency and bit depths all become upright 8-bit RGB."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from recognition.images import decode
from tests.support.photos import encode, photo, save

PICTURE = photo(1, (48, 64))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(format: str, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    data = encode(PICTURE, format, exif=exif)
    with Pillow.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    turned = decode(data)
    assert turned.shape == ((48, 64, 3) if orientation < 5 else (64, 48, 3))
    np.testing.assert_array_equal(turned, expected)


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12"]
)
def test_damaged_exif_counts_as_upright(exif: bytes) -> None:
    data = encode(PICTURE, "PNG")
    # JPEG: an APP1 segment right after the start marker
    plain = encode(PICTURE, "JPEG")
    damaged = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
    np.testing.assert_array_equal(decode(damaged), decode(plain))
    assert decode(data).shape == PICTURE.shape


def test_unknown_orientation_and_garbage_profile_are_ignored() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 77
    np.testing.assert_array_equal(decode(encode(PICTURE, "PNG", exif=exif)), PICTURE)
    np.testing.assert_array_equal(decode(encode(PICTURE, "PNG", icc_profile=b"no profile at all")), PICTURE)


def test_gray_becomes_rgb() -> None:
    gray = Pillow.fromarray(PICTURE).convert("L")
    for mode in ("L", "1"):
        picture = gray.convert(mode)
        np.testing.assert_array_equal(decode(save(picture, "PNG")), np.asarray(picture.convert("RGB")))


def test_cmyk_plain_and_adobe_inverted() -> None:
    red = Pillow.new("CMYK", (32, 32), (0, 255, 255, 0))
    for format in ("JPEG", "TIFF"):  # Pillow writes CMYK JPEGs as Adobe does: inverted, with the marker
        data = save(red, format)
        assert format != "JPEG" or b"Adobe" in data
        assert np.abs(decode(data).astype(int) - (255, 0, 0)).max() < 12


def test_transparency_is_laid_over_white() -> None:
    colour = (200, 100, 0)
    rgba = Pillow.new("RGBA", (32, 32), (*colour, 128))
    half = [round(c * 128 / 255 + 255 * 127 / 255) for c in colour]
    for format, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        assert np.abs(decode(save(rgba, format, **options)).astype(int) - half).max() <= 1
    assert np.abs(decode(save(Pillow.new("LA", (32, 32), (0, 0)), "PNG")).astype(int) - 255).max() == 0


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_palette_with_transparency(format: str) -> None:
    palette = Pillow.new("P", (32, 32), 0)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.paste(1, (16, 0, 32, 32))
    image = decode(save(palette, format, transparency=0))
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[0, 20].tolist() == [200, 100, 50]


def test_transparent_colour_of_rgb_and_gray_png() -> None:
    rgb = Pillow.fromarray(np.full((32, 32, 3), (1, 2, 3), np.uint8))
    assert (decode(save(rgb, "PNG", transparency=(1, 2, 3))) == 255).all()
    assert (decode(save(rgb.convert("L"), "PNG", transparency=2)) == 255).all()


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_gray_is_scaled_not_clipped(format: str) -> None:
    gray = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)
    image = decode(encode(gray, format))  # type: ignore[arg-type]
    np.testing.assert_array_equal(image[:, :, 1], gray >> 8)


@pytest.mark.parametrize(
    ("low", "high", "first", "last"),
    [(0.0, 1.0, 0, 255), (0.0, 255.0, 0, 255), (0.0, 65535.0, 0, 255), (-1000.0, 1e6, 0, 255), (0.0, 0.0, 0, 0)],
)
def test_float_gray(low: float, high: float, first: int, last: int) -> None:
    gray = np.linspace(low, high, 32 * 32, dtype=np.float32).reshape(32, 32)
    image = decode(encode(gray, "TIFF"))  # type: ignore[arg-type]
    assert image[0, 0, 0] == first
    assert image[-1, -1, 0] == last
    assert (np.diff(image[:, :, 0].ravel().astype(int)) >= 0).all()


def test_float_gray_that_is_not_finite_and_32_bit_integers() -> None:
    gray = np.full((32, 32), 0.5, np.float32)
    gray[0, 0], gray[0, 1] = np.nan, np.inf
    image = decode(encode(gray, "TIFF"))  # type: ignore[arg-type]
    assert image[0, :3, 0].tolist() == [0, 0, 128]
    assert (decode(encode(np.full((32, 32), 200, np.int32), "TIFF")) == 200).all()  # type: ignore[arg-type]


def test_lab_is_converted() -> None:
    black = decode(save(Pillow.new("LAB", (32, 32), (0, 128, 128)), "TIFF"))
    assert black.max() < 10
