"""Correspondences as a picture: the query photograph and the index image side by side, a line for each inlier."""

from __future__ import annotations

import colorsys

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from recognition.extractors.base import Image
from recognition.features import Float32

Float64 = npt.NDArray[np.float64]
Colour = tuple[int, int, int]

_HEIGHT = 480  # of both pictures
_MAX_WIDTH = 960  # of one picture: panoramas make both lower
_GAP = 6
_TITLE = 44  # height of the strip
_FINE = 3  # lines are drawn this much larger and shrunk: that smooths them
_BACKGROUND = (24, 26, 30)
_TEXT = (240, 240, 240)
_GOLDEN = 0.618034  # steps of the golden ratio around the colour wheel: neighbours always differ


def draw(
    query: Image,
    index_image: Image,
    pairs: Float32,
    *,
    query_size: tuple[int, int],
    index_size: tuple[int, int],
    title: str = "",
) -> Image:
    """Draw the inliers of a match.

    Args:
        query, index_image: uint8 [h, w, 3] RGB of any sizes; both may be thumbnails of the originals.
        pairs: float32 [m, 4], (y, x) in the query and (y, x) in the index image, pixels of the originals; m may be 0.
        query_size, index_size: (height, width) of the originals.
        title: one line above the pictures; too long a one is cut.

    Returns:
        uint8 [h, w, 3] RGB: both pictures at the same height.
    """
    left, right = _same_height(query, index_image)
    top = _TITLE if title else 0
    canvas = Pillow.new("RGB", (left.width + _GAP + right.width, top + left.height), _BACKGROUND)
    canvas.paste(left, (0, top))
    canvas.paste(right, (left.width + _GAP, top))
    starts = _place(pairs[:, :2], query_size, left.size, (top, 0))
    ends = _place(pairs[:, 2:], index_size, right.size, (top, left.width + _GAP))
    lines = _lines(canvas.size, starts, ends)
    canvas.paste(lines, mask=lines)
    if title:
        _write(canvas, title)
    return np.array(canvas)


def _same_height(first: Image, second: Image) -> tuple[Pillow.Image, Pillow.Image]:
    ratios = [image.shape[1] / image.shape[0] for image in (first, second)]
    height = max(1, min(_HEIGHT, round(_MAX_WIDTH / max(ratios))))
    sizes = [(max(1, round(height * ratio)), height) for ratio in ratios]
    pictures = [
        Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS)
        for image, size in zip((first, second), sizes, strict=True)
    ]
    return pictures[0], pictures[1]


def _place(points: Float32, original: tuple[int, int], shown: tuple[int, int], offset: tuple[int, int]) -> Float64:
    """(y, x) in the original to (x, y) on the canvas, float64 [m, 2]; ``shown`` is (width, height), as in Pillow."""
    scale = (shown[1] / original[0], shown[0] / original[1])
    return (points.astype(np.float64) * scale + offset)[:, ::-1]


def _lines(size: tuple[int, int], starts: Float64, ends: Float64) -> Pillow.Image:
    """A transparent picture of ``size`` with a line, and a ring at each end, for each pair."""
    layer = Pillow.new("RGBA", (size[0] * _FINE, size[1] * _FINE))
    pen = ImageDraw.Draw(layer)
    order = np.lexsort((starts[:, 0], starts[:, 1]))  # colours by place: the same pairs in any order look the same
    segments = [(tuple(starts[i] * _FINE), tuple(ends[i] * _FINE), _colour(n)) for n, i in enumerate(order)]
    for start, end, colour in segments:
        for fill, width in (((0, 0, 0, 110), 3.0), ((*colour, 230), 1.7)):  # a dark rim: seen on any picture
            pen.line((*start, *end), fill=fill, width=round(width * _FINE))
    for start, end, colour in segments:
        for x, y in (start, end):
            _ring(pen, x, y, colour)
    return layer.resize(size, Pillow.Resampling.BOX)


def _ring(pen: ImageDraw.ImageDraw, x: float, y: float, colour: Colour) -> None:
    for radius, fill, width in (
        (5.0, (0, 0, 0, 160), 3.5),
        (4.0, (*colour, 255), 1.5),
    ):
        r = radius * _FINE
        pen.ellipse((x - r, y - r, x + r, y + r), outline=fill, width=round(width * _FINE))


def _colour(n: int) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(n * _GOLDEN % 1, 0.75, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def _write(canvas: Pillow.Image, title: str) -> None:
    """The title in its strip, cut where the picture ends."""
    font = ImageFont.load_default(20)
    pen = ImageDraw.Draw(canvas)
    margin, text = 14, " ".join(title.split())
    room = canvas.width - 2 * margin
    shown = text
    while shown and pen.textlength(shown if shown == text else f"{shown}…", font) > room:
        shown = shown[:-1]
    pen.text((margin, _TITLE // 2), shown if shown == text else f"{shown}…", _TEXT, font, anchor="lm")
