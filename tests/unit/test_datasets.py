"""Own data sets: CSVs and folders, and what makes an answer to a question right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from landmarq.datasets import BadDataset, Question, read_dataset
from landmarq.transforms import Transform
from recognition.errors import ImageError
from recognition.images import ImageLimits, decode
from tests.support.photos import photo
from tests.support.runs import question


def write(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()


def test_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text(
        "file,split,landmark,landmark_title,licence\n"
        'a/1.jpg,index,a,"Arc, Paris",CC0\na/2.jpg,query,a,,\nx.jpg,distractor,,,\ny.jpg,unknown,whatever,,\n'
    )
    found = read_dataset(path)
    (entry,) = found.index
    assert (entry.file, entry.name, entry.landmark.id, entry.landmark.title) == (
        tmp_path / "a/1.jpg",
        "a/1.jpg",
        "a",
        "Arc, Paris",
    )
    assert [(one.name, one.truth) for one in found.questions] == [("a/2.jpg", "a"), ("x.jpg", None), ("y.jpg", None)]


def test_a_folder_with_a_manifest_is_its_csv(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("file,split,landmark\n1.jpg,index,a\n2.jpg,query,a\n")
    assert len(read_dataset(tmp_path).index) == 1


def test_folders(tmp_path: Path) -> None:
    write(tmp_path, "index/a/1.jpg", "index/b/deep/1.PNG", "query/a/2.jpg", "query/a/notes.txt", "distractor/x.webp")
    found = read_dataset(tmp_path)
    assert [(entry.name, entry.landmark.id) for entry in found.index] == [
        ("index/a/1.jpg", "a"),
        ("index/b/deep/1.PNG", "deep"),
    ]
    assert [(one.name, one.truth) for one in found.questions] == [("query/a/2.jpg", "a"), ("distractor/x.webp", None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,landmark\n1.jpg,a\n", "lacks the column.* split"),
        ("", "lacks the column"),
        ("file,split,landmark\n1.jpg,train,a\n", "row 2: split 'train' is none of index, query"),
        ("file,split,landmark\n1.jpg,query,\n", "row 2: .* needs a landmark"),
        ("file,split,landmark\n1.jpg,index,a\n", "1 photographs to index and 0 to ask"),
    ],
)
def test_a_csv_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "set.csv"
    path.write_text(text)
    with pytest.raises(BadDataset, match=message):
        read_dataset(path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="can't read"):
        read_dataset(tmp_path / "none.csv")
    with pytest.raises(BadDataset, match=r"neither a manifest\.csv nor a folder index/"):
        read_dataset(tmp_path)


def test_own_sets_have_no_protocol(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("file,split,landmark\n1.jpg,index,a\n2.jpg,query,a\n")
    with pytest.raises(BadDataset, match="no protocol 'hard': it has none"):
        read_dataset(tmp_path, "hard")


def test_the_role_of_an_index_image() -> None:
    plain = question("q", "a", also=frozenset("b"))
    assert [plain.role("1.jpg", landmark) for landmark in "abc"] == ["right", "right", "wrong"]
    assert question("x", None).role("1.jpg", "a") == "wrong"
    listed = question("q", "a", relevant=frozenset({"1.jpg"}), junk=frozenset({"2.jpg"}))
    assert [listed.role(f"{n}.jpg", "a") for n in (1, 2, 3)] == ["right", "junk", "wrong"]


def test_a_question_about_a_part_of_the_photograph(tmp_path: Path) -> None:
    picture = photo(1, (60, 80))
    file = tmp_path / "photo.png"
    Pillow.fromarray(picture).save(file)
    assert Question(file, "photo", "a").photo() == file
    part = Question(file, "photo", "a", box=(10.4, -3.0, 40.0, 500.0)).photo()
    assert isinstance(part, bytes)
    assert (decode(part) == picture[10:40, :]).all()
    with pytest.raises(ImageError, match="holds nothing of its 80 x 60 pixels"):
        Question(file, "photo", "a", box=(70, 0, 90, 20)).photo()


# Questions with a changed photograph


@pytest.mark.parametrize(
    ("transform", "made"),
    [
        (Transform.TURN90, [[4, 1], [5, 2], [6, 3]]),
        (Transform.TURN180, [[6, 5, 4], [3, 2, 1]]),
        (Transform.TURN270, [[3, 6], [2, 5], [1, 4]]),
    ],
)
def test_turns_are_clockwise(transform: Transform, made: list[list[int]]) -> None:
    image = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)[..., None].repeat(3, axis=2)
    turned = transform.apply(image)
    assert turned[..., 0].tolist() == made
    assert turned.flags.c_contiguous


@given(height=st.integers(1, 60), width=st.integers(1, 60), transform=st.sampled_from(Transform))
def test_transforms_keep_what_they_should(height: int, width: int, transform: Transform) -> None:
    image = np.full((height, width, 3), 7, np.uint8)
    made = transform.apply(image)
    expected = {
        Transform.TURN180: (height, width),
        Transform.HALF: tuple(max(1, side / 2) for side in (height, width)),
    }.get(transform, (width, height))
    assert made.shape[:2] == pytest.approx(expected, abs=1)
    assert (made == 7).all()


def test_a_transformed_question_keeps_its_file(tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    image = photo(1, (60, 80))
    Pillow.fromarray(image).save(file)
    asked = Question(file, "photo", "a", transform=Transform.TURN90).photo()
    assert isinstance(asked, bytes)
    assert np.array_equal(decode(asked), np.rot90(image, -1))
    assert np.array_equal(decode(file.read_bytes()), image)
    part = Question(file, "photo", "a", box=(0, 10, 20, 50), transform=Transform.HALF).photo()
    assert isinstance(part, bytes)
    assert decode(part, ImageLimits(min_side=1)).shape == (10, 20, 3)  # first the box, then the transform


def test_a_transformed_question_whose_file_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="can't read"):
        Question(tmp_path / "gone.jpg", "photo", "a", transform=Transform.HALF).photo()
