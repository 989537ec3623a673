"""What every data set comes down to: photographs to index, and questions with their right answers."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from landmarq.transforms import Transform
from recognition.errors import LandmarqError
from recognition.index.source import Entry

if TYPE_CHECKING:
    from recognition.extractors.base import Image

Role = Literal["right", "wrong", "junk"]
Box = tuple[float, float, float, float]


class BadDataset(LandmarqError):
    """The set of photographs can't be evaluated."""

    code = "bad_dataset"


@dataclass(frozen=True)
class Question:
    """A photograph to be recognised, and what counts as a right answer.

    Attributes:
        truth: the id of its landmark; None when the right answer is "unknown".
        also: ids of further landmarks that it shows: naming one of them is as right.
        relevant: names of the index images that are right, where the set lists them; None: all images of the landmarks.
        junk: names of index images that count as neither right nor wrong, as if they were not in the index.
        box: the part of the photograph that is asked about: (top, left, bottom, right) in pixels; None: all of it.
        transform: what is done to it (to the part, if there is a box) before it is asked.
    """

    file: Path
    name: str
    truth: str | None
    also: frozenset[str] = frozenset()
    relevant: frozenset[str] | None = None
    junk: frozenset[str] = frozenset()
    box: Box | None = None
    transform: Transform | None = None

    def role(self, image: str, landmark: str) -> Role:
        """What an index image of this name and landmark is to this question."""
        if image in self.junk:
            return "junk"
        if self.relevant is not None:
            return "right" if image in self.relevant else "wrong"
        return "right" if self.truth is not None and (landmark == self.truth or landmark in self.also) else "wrong"

    def photo(self) -> Path | bytes:
        """What is recognised: the file, or a PNG of what is made of it.

        Raises:
            ImageError: the file can't be read or cropped.
        """
        if self.box is None and self.transform is None:
            return self.file
        return _made(self.file, self.box, self.transform)


@dataclass(frozen=True)
class Dataset:
    """What :func:`~landmarq.datasets.read_dataset` found. ``notes``: what was left out, for people."""

    index: list[Entry]
    questions: list[Question]
    notes: list[str] = field(default_factory=list)


def read_table(path: Path, *columns: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, cells by column) of each row of a CSV that has at least these columns.

    Raises:
        BadDataset: it can't be read, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            missing = set(columns) - set(reader.fieldnames or ())
            if missing:
                raise BadDataset(f"{path} lacks the column(s) {', '.join(sorted(missing))}")
            for row in reader:
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadDataset(f"can't read {path}: {error}") from None


def _made(file: Path, box: Box | None, transform: Transform | None) -> bytes:
    import io

    from PIL import Image as Pillow

    from landmarq.photo import read_photo
    from recognition.images import DEFAULT_LIMITS, decode

    image = decode(read_photo(file, max_bytes=DEFAULT_LIMITS.max_bytes))
    if box is not None:
        image = _cropped(image, box, file)
    if transform is not None:
        image = transform.apply(image)
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _cropped(image: Image, box: Box, file: Path) -> Image:
    from recognition.errors import ImageError

    top, left, bottom, right = (max(0, round(side)) for side in box)
    part = image[top:bottom, left:right]
    if not part.size:
        raise ImageError(f"{file}: the box {box} holds nothing of its {image.shape[1]} x {image.shape[0]} pixels")
    return part
