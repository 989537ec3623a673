"""A labelled set of photographs for ``landmarq evaluate``: what to index, what to ask, and the right answers."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recognition.errors import LandmarqError
from recognition.index.source import Entry
from recognition.index.store import Landmark

SPLITS = {"index": "index", "query": "query", "distractor": "distractor", "unknown": "distractor"}
IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


class BadDataset(LandmarqError):
    """The set of photographs can't be evaluated."""

    code = "bad_dataset"


@dataclass(frozen=True)
class Question:
    """A photograph to be recognised; ``truth`` is its landmark's id, None when the right answer is "unknown"."""

    file: Path
    name: str
    truth: str | None


@dataclass(frozen=True)
class Dataset:
    """What :func:`read_dataset` found."""

    index: list[Entry]
    questions: list[Question]


def read_dataset(path: Path) -> Dataset:
    """Read a CSV, a folder with a ``manifest.csv``, or a folder with ``index/``, ``query/`` and ``distractor/``.

    The CSV has the columns file (relative to it), split (index, query, distractor), landmark, and title or
    landmark_title. In folders, the photographs of index/ and query/ are in one subfolder per landmark.

    Raises:
        BadDataset: a column, a split or a file is missing, or there is nothing to index or to ask.
    """
    if path.is_dir() and not (path / "manifest.csv").is_file():
        rows = list(_folder_rows(path))
    else:
        rows = list(_csv_rows(path / "manifest.csv" if path.is_dir() else path))
    index = [
        Entry(file, name, Landmark(landmark, title or landmark))
        for file, name, split, landmark, title in rows
        if split == "index"
    ]
    questions = [
        Question(file, name, landmark if split == "query" else None)
        for file, name, split, landmark, _ in rows
        if split != "index"
    ]
    if not index or not questions:
        raise BadDataset(f"{path} has {len(index)} photographs to index and {len(questions)} to ask: it needs both")
    return Dataset(index, questions)


Row = tuple[Path, str, str, str, str]


def _csv_rows(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"file", "split", "landmark"} - set(reader.fieldnames or ())
            if missing:
                raise BadDataset(f"{path} lacks the column(s) {', '.join(sorted(missing))}")
            for number, row in enumerate(reader, start=2):
                if row["split"] not in SPLITS:
                    raise BadDataset(f"{path}, row {number}: split {row['split']!r} is none of {', '.join(SPLITS)}")
                title = row.get("title") or row.get("landmark_title") or ""
                yield path.parent / row["file"], row["file"], SPLITS[row["split"]], row["landmark"], title
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadDataset(f"can't read {path}: {error}") from None


def _folder_rows(path: Path) -> Iterator[Row]:
    if not (path / "index").is_dir():
        raise BadDataset(f"{path} is no data set: it holds neither a manifest.csv nor a folder index/")
    for folder, split in SPLITS.items():
        for file in sorted((path / folder).rglob("*")):
            if file.suffix.lower() in IMAGES:
                landmark = "" if split == "distractor" else file.parent.name
                yield file, str(file.relative_to(path)), split, landmark, ""
