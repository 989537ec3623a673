"""Google Landmarks Dataset v2 (Weyand et al., CVPR 2020), as far as its photographs are there.

The CSVs lie in the folder itself or in its ``metadata/``; the photograph ``abcdef...`` is ``a/b/c/abcdef....jpg`` in
the folder ``train/``, ``index/`` or ``test/``. Two tasks, as the set's own scores have them:

* recognition: the train photographs are indexed; ``recognition_solution_v2.1.csv`` (id, landmarks, Usage) has the
  answers, none for a photograph that shows no landmark.
* retrieval: the index photographs are indexed; ``retrieval_solution_v2.1.csv`` (id, images, Usage) lists for each
  photograph the right index images, or "None" for one that is not to be asked.

The two number their landmarks differently, so that neither can be answered from the other's photographs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from landmarq.datasets.base import BadDataset, Dataset, Question, read_table
from recognition.index.source import Entry
from recognition.index.store import Landmark

_SOLUTIONS = {"recognition": "recognition_solution_v2.1.csv", "retrieval": "retrieval_solution_v2.1.csv"}
PROTOCOLS = tuple(_SOLUTIONS)


def is_one(path: Path) -> bool:
    """Whether ``path`` is a folder with one of the solutions."""
    return path.is_dir() and any(_find(path, name) for name in _SOLUTIONS.values())


def read(path: Path, protocol: str) -> Dataset:
    """Read the set; photographs that are not there are left out, and counted in the notes.

    Raises:
        BadDataset: a CSV is missing, or lacks a column.
    """
    solution = _table(path, _SOLUTIONS[protocol])
    split = "train" if protocol == "recognition" else "index"
    labelled = dict(_train(path) if split == "train" else _index(path))
    titles = _titles(path, split)
    index = [
        Entry(file, name, Landmark(landmark, titles.get(landmark, landmark)))
        for name, landmark in labelled.items()
        for file in [_photo(path, split, name)]
        if file.is_file()
    ]
    there = {entry.name: entry.landmark.id for entry in index}
    asked = list(_recognition(path, solution, there) if split == "train" else _retrieval(path, solution, there))
    questions = [question for question in asked if question.file.is_file()]
    missing = {f"{split} photographs": len(labelled) - len(index), "queries": len(asked) - len(questions)}
    notes = [f"{count:,} {what} are not there: left out" for what, count in missing.items() if count]
    return Dataset(index, questions, notes)


def _recognition(path: Path, solution: Path, there: dict[str, str]) -> Iterator[Question]:
    """A photograph of landmarks none of which is indexed counts as unknown, as in the set's own µAP."""
    indexed = set(there.values())
    for _, row in read_table(solution, "id", "landmarks"):
        known = [landmark for landmark in row["landmarks"].split() if landmark in indexed]
        file = _photo(path, "test", row["id"])
        yield Question(file, row["id"], known[0] if known else None, also=frozenset(known[1:]))


def _retrieval(path: Path, solution: Path, there: dict[str, str]) -> Iterator[Question]:
    """A photograph none of whose right images is there can't be answered, and is not asked."""
    for _, row in read_table(solution, "id", "images"):
        right = [image for image in row["images"].split() if image in there]
        if right:
            landmarks = [there[image] for image in right]
            file = _photo(path, "test", row["id"])
            yield Question(file, row["id"], landmarks[0], also=frozenset(landmarks), relevant=frozenset(right))


def _train(path: Path) -> Iterator[tuple[str, str]]:
    """(id, landmark) of the cleaned train photographs if their list is there, else of all."""
    if _find(path, "train_clean.csv"):
        for _, row in read_table(_table(path, "train_clean.csv"), "landmark_id", "images"):
            yield from ((name, row["landmark_id"]) for name in row["images"].split())
    else:
        for _, row in read_table(_table(path, "train.csv"), "id", "landmark_id"):
            yield row["id"], row["landmark_id"]


def _index(path: Path) -> Iterator[tuple[str, str]]:
    for _, row in read_table(_table(path, "index_image_to_landmark.csv"), "id", "landmark_id"):
        yield row["id"], row["landmark_id"]


def _titles(path: Path, split: str) -> dict[str, str]:
    """Landmark id -> its category on Wikimedia Commons; empty when the list is not there."""
    file = _find(path, f"{split}_label_to_category.csv")
    if file is None:
        return {}
    return {row["landmark_id"]: _category(row["category"]) for _, row in read_table(file, "landmark_id", "category")}


def _category(url: str) -> str:
    """``http://commons.wikimedia.org/wiki/Category:Taj_Mahal`` -> ``Taj Mahal``."""
    return unquote(url.rpartition("Category:")[2]).replace("_", " ")


def _photo(path: Path, split: str, name: str) -> Path:
    return path / split / Path(*name[:3]) / f"{name}.jpg"


def _find(path: Path, name: str) -> Path | None:
    return next((file for file in (path / name, path / "metadata" / name) if file.is_file()), None)


def _table(path: Path, name: str) -> Path:
    found = _find(path, name)
    if found is None:
        raise BadDataset(f"there is no {name} in {path} or its metadata/: it is needed beside the other files")
    return found
