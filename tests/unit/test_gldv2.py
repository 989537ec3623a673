"""Google Landmarks Dataset v2: a small folder of its layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from landmarq.datasets import BadDataset, read_dataset

FILES = {
    "train.csv": "id,url,landmark_id\n"
    "17660ef415d37059,http://example.org/1,1\n92b6290d571448f6,http://example.org/2,1\ncd41bf948edc0340,,7\n",
    "train_label_to_category.csv": "landmark_id,category\n"
    "1,http://commons.wikimedia.org/wiki/Category:Ch%C3%A2teau_de_Chambord\n",
    "recognition_solution_v2.1.csv": "id,landmarks,Usage\n"
    "00016575233bc956,7 1,Private\n000339cab2e09a5d,,Public\n0003a0755539c691,55,Public\nffffffffffffffff,1,Public\n",
    "index_image_to_landmark.csv": "id,landmark_id\n0a1b2c3d4e5f6071,1\n0a1b2c3d4e5f6072,1\n0a1b2c3d4e5f6073,2\n",
    "retrieval_solution_v2.1.csv": "id,images,Usage\n"
    "00016575233bc956,0a1b2c3d4e5f6071 0a1b2c3d4e5f6073 9999999999999999,Private\n000339cab2e09a5d,None,Ignored\n",
}
PHOTOS = {
    "train": ("17660ef415d37059", "92b6290d571448f6", "cd41bf948edc0340"),
    "index": ("0a1b2c3d4e5f6071", "0a1b2c3d4e5f6072", "0a1b2c3d4e5f6073"),
    "test": ("00016575233bc956", "000339cab2e09a5d", "0003a0755539c691"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for split, ids in PHOTOS.items():
        for id in ids:
            file = tmp_path / split / id[0] / id[1] / id[2] / f"{id}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    return tmp_path


def test_recognition_asks_the_train_photographs(folder: Path) -> None:
    found = read_dataset(folder)
    assert [(entry.name, entry.landmark.id, entry.landmark.title) for entry in found.index] == [
        ("17660ef415d37059", "1", "Château de Chambord"),
        ("92b6290d571448f6", "1", "Château de Chambord"),
        ("cd41bf948edc0340", "7", "7"),
    ]
    assert found.index[0].file == folder / "train/1/7/6/17660ef415d37059.jpg"
    # Two landmarks; none; one that no photograph here shows. The fourth query's photograph is not there.
    assert [(one.truth, one.also) for one in found.questions] == [
        ("7", frozenset("1")),
        (None, frozenset()),
        (None, frozenset()),
    ]
    assert found.questions[0].file == folder / "test/0/0/0/00016575233bc956.jpg"
    assert found.notes == ["1 queries are not there: left out"]


def test_the_cleaned_train_list_is_preferred_and_metadata_is_a_place_for_it(folder: Path) -> None:
    (folder / "metadata").mkdir()
    (folder / "metadata" / "train_clean.csv").write_text("landmark_id,images\n1,92b6290d571448f6 eeeeeeeeeeeeeeee\n")
    found = read_dataset(folder, "recognition")
    assert [entry.name for entry in found.index] == ["92b6290d571448f6"]
    assert "1 train photographs are not there: left out" in found.notes
    assert [one.truth for one in found.questions] == ["1", None, None]


def test_retrieval_asks_the_index_photographs(folder: Path) -> None:
    found = read_dataset(folder, "retrieval")
    assert [entry.name for entry in found.index] == list(PHOTOS["index"])
    (question,) = found.questions
    assert question.relevant == {"0a1b2c3d4e5f6071", "0a1b2c3d4e5f6073"}
    assert (question.truth, question.also) == ("1", frozenset(("1", "2")))
    assert question.role("0a1b2c3d4e5f6072", "1") == "wrong"


def test_what_is_missing_is_named(folder: Path) -> None:
    (folder / "train.csv").unlink()
    with pytest.raises(BadDataset, match=r"there is no train\.csv in"):
        read_dataset(folder)
    with pytest.raises(BadDataset, match="no protocol 'easy': it has recognition, retrieval"):
        read_dataset(folder, "easy")
    (folder / "retrieval_solution_v2.1.csv").write_text("id,Usage\n")
    with pytest.raises(BadDataset, match=r"lacks the column.* images"):
        read_dataset(folder, "retrieval")


def test_photographs_that_are_not_there_at_all(folder: Path) -> None:
    for file in (folder / "train").rglob("*.jpg"):
        file.unlink()
    with pytest.raises(BadDataset, match=r"0 photographs to index .*3 train photographs are not there"):
        read_dataset(folder)
