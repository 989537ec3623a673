"""The failures of an evaluation as one HTML page with pictures, which needs nothing but itself."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landmarq.datasets import Question
from landmarq.evalrun import Outcome, Row, Run, Seen, write_text
from landmarq.photo import read_photo
from recognition import metrics
from recognition.errors import ImageError

if TYPE_CHECKING:
    from recognition.index.store import Index

SIDE = 240  # pixels of the pictures' longer side
SHOWN = 300  # failures; a page with thousands of pictures opens in no browser
FILE = "report.html"
SUFFIXES = (".html", ".htm")

# The gravest first: what misleads somebody, then what disappoints.
KINDS = (Outcome.ACCEPTED, Outcome.WRONG, Outcome.MISSED, Outcome.UNSURE, Outcome.FAILED)


@dataclass(frozen=True)
class Shown:
    """A picture with what is known about it. ``data``: a data: URI, None when there is no picture."""

    heading: str
    title: str
    image: str
    details: str
    data: str | None


@dataclass(frozen=True)
class Failure:
    """A photograph whose answer is not right. ``why``: in one sentence or two."""

    kind: str
    why: str
    confidence: float
    pictures: list[Shown]


@dataclass(frozen=True)
class Bar:
    """A bin of the reliability diagram; shares in [0, 1]."""

    left: float
    width: float
    confidence: float
    right: float
    count: int


def write_report(path: Path, run: Run, questions: Iterable[Question], index: Index) -> Path:
    """Write the report; the file it is in: ``path``, or ``report.html`` in the folder ``path``.

    Args:
        questions: those that ``run`` has the answers to. index: the one that was asked; it has the thumbnails.

    Raises:
        OutputUnwritable: the file can't be written.
    """
    file = path if path.suffix.lower() in SUFFIXES and not path.is_dir() else path / FILE
    write_text(file, render(run, {question.name: question for question in questions}, Gallery(index)))
    return file


def render(run: Run, questions: Mapping[str, Question], gallery: Gallery) -> str:
    """The page. questions: by the name of the photograph."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("landmarq"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    failed = sorted(
        (row for row in run.answers if row.outcome in KINDS),
        key=lambda row: (KINDS.index(row.outcome), -row.confidence),
    )
    return environment.get_template("report.html.jinja").render(
        run=run,
        figures={name: value for name, value in run.figures.items() if name != "ms"},
        times=run.figures.get("ms", {}),
        outcomes=_counts(run.answers),
        landmarks=sorted(
            (one for one in run.landmarks if one.queries or one.claimed),
            key=lambda one: (one.recognised, one.top1, one.title),
        ),
        bars=bars(run.answers),
        failures=[explain(row, questions[row.photo], run.titles, gallery) for row in failed[:SHOWN]],
        failed=len(failed),
    )


class Gallery:
    """Pictures of an index and of questions, as data: URIs."""

    def __init__(self, index: Index) -> None:
        self._index = index

    @cached_property
    def _ordinals(self) -> dict[str, int]:
        return {image.name: ordinal for ordinal, image in enumerate(self._index.images())}

    @cached_property
    def images(self) -> list[tuple[str, str]]:
        """Name and landmark id of each index image."""
        return [(image.name, image.landmark) for image in self._index.images()]

    def index_image(self, name: str) -> str | None:
        """The thumbnail of an index image, None if there is none of this name."""
        ordinal = self._ordinals.get(name)
        return None if ordinal is None else _data_uri(self._index.thumbnail(ordinal))

    def question(self, question: Question) -> str | None:
        """What was asked about; None if it can't be read, which then is why the job failed."""
        from recognition.images import DEFAULT_LIMITS, decode

        try:
            return _data_uri(decode(read_photo(question.photo(), max_bytes=DEFAULT_LIMITS.max_bytes)))
        except ImageError:
            return None


def explain(row: Row, question: Question, titles: Mapping[str, str], gallery: Gallery) -> Failure:
    """What went wrong with one photograph, and the pictures that show it."""
    right = next((one for one in row.seen if one.role == "right"), None)
    wrong = next((one for one in row.seen if one.role == "wrong" and one.score > 0), None)
    truth = titles.get(row.truth, row.truth) if row.truth else "nothing that the index knows"
    pictures = [Shown("Query", f"Shows {truth}", row.photo, "", gallery.question(question))]
    if wrong is not None:
        pictures.append(_candidate("Best wrong one", wrong, titles, gallery))
    if right is not None:
        pictures.append(_candidate("Best right one", right, titles, gallery))
    elif row.truth is not None:
        pictures += _unseen(row, question, titles, gallery)
    return Failure(row.outcome.value, _why(row, right, titles), row.confidence, pictures)


def bars(rows: Sequence[Row], bins: int = 10) -> list[Bar]:
    """The reliability diagram, one bar per bin of confidence that holds any answer."""
    found = metrics.reliability([row.judged for row in rows], bins)
    lefts = [min(int(confidence * bins), bins - 1) / bins for confidence, _, _ in found]
    return [Bar(left, 1 / bins, *bar) for left, bar in zip(lefts, found, strict=True)]


def _why(row: Row, right: Seen | None, titles: Mapping[str, str]) -> str:
    if row.error is not None:
        return f"{row.error.get('code')}: {row.error.get('message')}"
    named = titles.get(row.named, row.named) if row.named else None
    answer = f"The answer was {named}, confidence {row.confidence:.2f}." if named else _unknown(row)
    if row.outcome in (Outcome.ACCEPTED, Outcome.UNSURE):
        return answer
    if not row.relevant:
        return f"{answer} The index holds no right image."
    if right is None:
        return f"{answer} None of the {row.relevant} right images was among the {row.candidates} candidates."
    lost = f", refused: {right.refused}" if right.refused else ""
    return f"{answer} The best right image came at rank {right.rank}, with {right.inliers} inliers{lost}."


def _unknown(row: Row) -> str:
    reason = row.reason["message"] if row.reason else f"the confidence was {row.confidence:.2f}"
    return f"The answer was unknown: {reason}."


def _candidate(heading: str, seen: Seen, titles: Mapping[str, str], gallery: Gallery) -> Shown:
    refused = f" · refused: {seen.refused}" if seen.refused else ""
    details = f"rank {seen.rank} · {seen.inliers} inliers · score {seen.score:.1f}{refused}"
    return Shown(
        heading, titles.get(seen.landmark, seen.landmark), seen.image, details, gallery.index_image(seen.image)
    )


def _unseen(row: Row, question: Question, titles: Mapping[str, str], gallery: Gallery) -> list[Shown]:
    """A right image of the index that was no candidate, if the index has any."""
    name = next((name for name, landmark in gallery.images if question.role(name, landmark) == "right"), None)
    if name is None:
        return []
    details = f"not among the {row.candidates} candidates"
    title = titles.get(str(row.truth), str(row.truth))
    return [Shown("A right one", title, name, details, gallery.index_image(name))]


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    counted = {outcome.value: sum(row.outcome == outcome for row in rows) for outcome in Outcome}
    return {name: count for name, count in counted.items() if count}


def _data_uri(image: Any) -> str:
    from recognition.images import thumbnail_jpeg

    return "data:image/jpeg;base64," + base64.b64encode(thumbnail_jpeg(image, SIDE)).decode()
