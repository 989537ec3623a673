"""Own data sets: a CSV with a column ``split``, or a folder per split with a folder per landmark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from landmarq.datasets.base import BadDataset, Dataset, Question, read_table
from recognition.index.source import Entry
from recognition.index.store import Landmark

SPLITS = {"index": "index", "query": "query", "distractor": "distractor", "unknown": "distractor"}
IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
Row = tuple[Path, str, str, str, str]


def read(path: Path) -> Dataset:
    """Read a CSV, a folder with a ``manifest.csv``, or a folder with ``index/``, ``query/`` and ``distractor/``.

    The CSV has the columns file (relative to it), split (index, query, distractor), landmark, and title or
    landmark_title. In folders, the photographs of index/ and query/ are in one subfolder per landmark.

    Raises:
        BadDataset: a column, a split or a landmark is missing.
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
    return Dataset(index, questions)


def _csv_rows(path: Path) -> Iterator[Row]:
    for number, row in read_table(path, "file", "split", "landmark"):
        if row["split"] not in SPLITS:
            raise BadDataset(f"{path}, row {number}: split {row['split']!r} is none of {', '.join(SPLITS)}")
        split = SPLITS[row["split"]]
        if split != "distractor" and not row["landmark"]:
            raise BadDataset(f"{path}, row {number}: a photograph of the split {split} needs a landmark")
        title = row.get("title") or row.get("landmark_title") or ""
        yield path.parent / row["file"], row["file"], split, row["landmark"], title


def _folder_rows(path: Path) -> Iterator[Row]:
    if not (path / "index").is_dir():
        raise BadDataset(f"{path} is no data set: it holds neither a manifest.csv nor a folder index/")
    for folder, split in SPLITS.items():
        for file in sorted((path / folder).rglob("*")):
            if file.suffix.lower() in IMAGES:
                landmark = "" if split == "distractor" else file.parent.name
                yield file, file.relative_to(path).as_posix(), split, landmark, ""
