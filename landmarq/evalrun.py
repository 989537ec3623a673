"""One evaluation as it is kept: every answer with what it takes to judge, to compare and to explain it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal

from landmarq.errors import OutputUnwritable
from recognition.errors import LandmarqError
from recognition.metrics import Judged

VERSION: Final = 1


class BadRun(LandmarqError):
    """A file that is no run of ``landmarq evaluate``, or two that can't be compared."""

    code = "bad_run"


class Outcome(StrEnum):
    """What became of a photograph."""

    RIGHT = "named rightly"
    UNSURE = "right landmark first, not named"
    MISSED = "right landmark not first, not named"
    WRONG = "named wrongly"
    SILENT = "rightly unknown"
    ACCEPTED = "distractor named"
    FAILED = "failed"

    @property
    def grade(self) -> int:
        """Better outcomes have higher grades; a wrong answer is worse than none."""
        return {Outcome.RIGHT: 3, Outcome.SILENT: 3, Outcome.UNSURE: 2, Outcome.MISSED: 1}.get(self, 0)


@dataclass(frozen=True)
class Seen:
    """An index image among the candidates. ``rank``: from 1; ``role``: what it is to the question."""

    rank: int
    landmark: str
    image: str
    role: Literal["right", "wrong", "junk"]
    inliers: int
    score: float
    refused: str | None


@dataclass(frozen=True)
class Row:
    """One photograph and its answer.

    Attributes:
        truth: the right landmark's id; None: the right answer is "unknown". best: the landmark ranked first.
        confidence: of ``best``, in [0, 1]. named: the landmark of the answer; None: unknown.
        ranking: per index image, best first, the landmark that it counts as: ``truth`` for a right one.
        relevant: number of right images in the index. candidates: how many were considered.
        scores: of the best landmark and of the best other one.
        seen: the first candidates, and the best right and wrong one.
    """

    photo: str
    truth: str | None
    best: str | None
    confidence: float
    named: str | None
    ranking: list[str]
    relevant: int
    candidates: int
    scores: tuple[float, float]
    reason: dict[str, str] | None
    error: dict[str, Any] | None
    timings_ms: dict[str, float | None]
    seen: list[Seen]

    @property
    def judged(self) -> Judged:
        """For the metrics."""
        return Judged(self.truth, self.best, self.confidence, self.ranking, self.relevant)

    @property
    def outcome(self) -> Outcome:
        """Right, wrong, or which of the shades between."""
        if self.error is not None:
            return Outcome.FAILED
        if self.truth is None:
            return Outcome.ACCEPTED if self.named is not None else Outcome.SILENT
        if self.named is not None:
            return Outcome.RIGHT if self.judged.right else Outcome.WRONG
        return Outcome.UNSURE if self.judged.right else Outcome.MISSED


@dataclass(frozen=True)
class PerLandmark:
    """How the queries of one landmark went; rates in [0, 1].

    Attributes:
        images: in the index. top1, mAP: of its queries. recognised: share of its queries that were named rightly.
        mistaken: number of its queries that were named wrongly. claimed: number of photographs of something else that
            were named as this landmark.
    """

    id: str
    title: str
    images: int
    queries: int
    top1: float
    mAP: float  # noqa: N815 - as the other figures are named
    recognised: float
    mistaken: int
    claimed: int


@dataclass(frozen=True)
class Run:
    """An evaluation. ``about``: the data set, the protocol, the profile and the extractor, by name."""

    version: Literal[1]
    about: dict[str, str]
    figures: dict[str, Any]
    landmarks: list[PerLandmark]
    answers: list[Row]

    @property
    def titles(self) -> Mapping[str, str]:
        """Landmark id -> title."""
        return {landmark.id: landmark.title for landmark in self.landmarks}


def write_run(path: Path, run: Run) -> None:
    """Write ``run`` as JSON, one answer a line.

    Raises:
        OutputUnwritable: the file can't be written.
    """
    head = {"version": run.version, "about": run.about, "figures": run.figures}
    parts = [f'"{name}": {json.dumps(value, ensure_ascii=False)}' for name, value in head.items()]
    for name, rows in (("landmarks", run.landmarks), ("answers", run.answers)):
        lines = ",\n".join(json.dumps(asdict(row), ensure_ascii=False) for row in rows)
        parts.append(f'"{name}": [\n{lines}\n]')
    write_text(path, "{" + ",\n".join(parts) + "}\n")


def write_text(path: Path, text: str) -> None:
    """Write a file, and the folders above it.

    Raises:
        OutputUnwritable: that can't be done.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputUnwritable(f"can't write {path}: {error.strerror or error}") from None


def read_run(path: Path) -> Run:
    """What :func:`write_run` wrote.

    Raises:
        BadRun: the file can't be read, or is none of this release's.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Run).validate_json(path.read_bytes())
    except OSError as error:
        raise BadRun(f"can't read {path}: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "its text"
        raise BadRun(
            f"{path} is no run of this release ({where}: {first['msg']}): "
            "write it anew with `landmarq evaluate --output`"
        ) from None
