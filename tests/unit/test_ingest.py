"""Photographs into the index: folders, CSV files, and everything that can be wrong with them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from recognition.errors import ExtractorError, ExtractorUnavailable, IndexInputError
from recognition.features import Features
from recognition.images import Image, ImageLimits
from recognition.index.ingest import IngestReport, ingest, read_source
from recognition.index.store import Landmark, Store
from tests.support.indexes import FINGERPRINT, features
from tests.support.photos import encode, jpeg, photo

SIZE = (60, 80)


def extract(image: Image) -> Features:
    """Features that depend on the picture only; a blank one has none."""
    return features(int(image.sum()), n=0 if image.std() == 0 else 12)


def run(store: Store, source: Path, **options: object) -> IngestReport:
    return ingest(store, read_source(source), extract, fingerprint=FINGERPRINT, **options)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two landmarks, three photographs."""
    root = tmp_path / "photos"
    for seed, name in enumerate(("eiffel-tower/1.jpg", "eiffel-tower/old/2.JPG", "st-paul's_cathedral/1.png")):
        write(root / name, jpeg(seed, SIZE))
    return root


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write_csv(path: Path, text: str) -> Path:
    return write(path, text.encode())


def test_folder(folder: Path, tmp_path: Path) -> None:
    write(folder / "README.md", b"about these")
    write(folder / ".hidden" / "1.jpg", jpeg(9, SIZE))
    write(folder / "eiffel-tower" / ".DS_Store", b"clutter")
    write(folder / "eiffel-tower" / "Thumbs.db", b"clutter")
    progress: list[tuple[int, int]] = []
    report = run(Store(tmp_path / "index"), folder, on_progress=lambda done, total: progress.append((done, total)))
    assert report == IngestReport(generation=1, added=3)
    assert progress == [(1, 3), (2, 3), (3, 3)]
    index = Store(tmp_path / "index").open()
    assert [(image.name, image.landmark) for image in index.images()] == [
        ("eiffel-tower/1.jpg", "eiffel-tower"),
        ("eiffel-tower/old/2.JPG", "eiffel-tower"),
        ("st-paul's_cathedral/1.png", "st-paul's_cathedral"),
    ]
    assert [index.landmark(j).title for j in range(2)] == ["Eiffel Tower", "St Paul's Cathedral"]
    assert index.thumbnail(0).shape == (*SIZE, 3)


def test_folder_problems(tmp_path: Path) -> None:
    with pytest.raises(IndexInputError, match=r"nowhere does not exist: give a folder"):
        read_source(tmp_path / "nowhere")
    with pytest.raises(IndexInputError, match="is empty"):
        read_source(tmp_path)
    (tmp_path / "eiffel").mkdir()
    with pytest.raises(IndexInputError, match="is empty"):
        read_source(tmp_path)
    for seed in range(5):
        write(tmp_path / f"{seed}.jpg", jpeg(seed, SIZE))
    with pytest.raises(IndexInputError, match=r"5 images .* \(0\.jpg, 1\.jpg, 2\.jpg, \.\.\.\): move each"):
        read_source(tmp_path)


def test_csv(tmp_path: Path) -> None:
    for seed in range(3):
        write(tmp_path / "pictures" / f"{seed}.jpg", jpeg(seed, SIZE))
    source = write_csv(
        tmp_path / "index.csv",
        "\ufeffFile, landmark ,title,latitude,longitude,city,note\n"
        'pictures/0.jpg,colosseum,"Colosseum, Rome",41.8902,12.4922,Rome,\n'
        "pictures/1.jpg,colosseum,Colosseum,41.8902,12.4922,Roma,later\n"
        "\n"
        "pictures/2.jpg,big-ben,,,,,\n",
    )
    report = run(Store(tmp_path / "index"), source)
    assert report.added == 3
    index = Store(tmp_path / "index").open()
    assert [index.landmark(j) for j in range(2)] == [
        Landmark("colosseum", "Colosseum", 41.8902, 12.4922, {"city": "Roma", "note": "later"}),
        Landmark("big-ben", "Big Ben", None, None, {}),
    ]
    assert index.image(2).name == "pictures/2.jpg"


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_with_other_delimiters(tmp_path: Path, delimiter: str) -> None:
    source = write_csv(tmp_path / "a.csv", "file,landmark\nx.jpg,eiffel\n".replace(",", delimiter))
    (entry,) = read_source(source)
    assert (entry.file, entry.landmark) == (tmp_path / "x.jpg", Landmark("eiffel", "Eiffel"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the columns file, landmark: .*found: nothing"),
        ("file,title\nx,y\n", r"lacks the column landmark: .*\(found: file, title\)"),
        ("name,place\nx,y\n", "lacks the columns file, landmark"),
        ("file,landmark\n", "is empty"),
        ("file,landmark\na.jpg,\n", "line 2: the cell in the column landmark is empty"),
        ("file,landmark\na.jpg,x\n,y\n", "line 3: the cell in the column file is empty"),
        ("file,landmark,latitude,longitude\na,b,91,0\n", r"line 2: the latitude '91' is no number between -90 and 90"),
        ("file,landmark,latitude,longitude\na,b,0,0\na,b,1,-181\n", "line 3: the longitude '-181'"),
        ("file,landmark,latitude,longitude\na,b,north,0\n", "the latitude 'north'"),
        ('file,landmark,latitude,longitude\na,b,"48,8",0\n', "the latitude '48,8' .*decimal point"),
        ("file,landmark,latitude,longitude\na,b,nan,0\n", "the latitude 'nan'"),
        ("file,landmark,latitude,longitude\na,b,12,\n", "line 2: latitude and longitude have to be given both"),
        ("file,landmark\na,b,c\n", "line 2: more cells than columns"),
        ('file,landmark\n"a"b,c\n', "line 2, is no CSV"),
    ],
)
def test_csv_problems(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(IndexInputError, match=message) as caught:
        read_source(write_csv(tmp_path / "bad.csv", text))
    assert "bad.csv" in str(caught.value)


def test_csv_that_is_no_text(tmp_path: Path) -> None:
    source = write(tmp_path / "bad.csv", "file,landmark\ncafé.jpg,x\n".encode("latin-1"))
    with pytest.raises(IndexInputError, match="is not UTF-8 text"):
        read_source(source)


def test_what_cannot_be_used_is_skipped_and_named(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    whole = jpeg(0, SIZE)
    write(photos / "good.jpg", whole)
    write(photos / "copy.jpg", whole)
    write(photos / "cut.jpg", whole[: len(whole) // 2])
    write(photos / "text.jpg", b"not a picture")
    write(photos / "nothing.jpg", b"")
    write(photos / "blank.png", encode(np.zeros((40, 40, 3), np.uint8), "PNG"))
    write(photos / "tiny.png", encode(photo(0, (4, 4)), "PNG"))
    write(photos / "long.bmp", bytes(50_000))
    (photos / "folder.jpg").mkdir()
    listed = ["good", "copy", "cut", "text", "nothing", "gone", "folder"]
    lines = [f"photos/{name}.jpg,x" for name in listed] + [
        f"photos/{n},x" for n in ("blank.png", "tiny.png", "long.bmp")
    ]
    source = write_csv(tmp_path / "a.csv", "file,landmark\n" + "\n".join(lines))
    report = run(Store(tmp_path / "index"), source, limits=ImageLimits(max_bytes=40_000))
    assert report.added == 1
    assert report.duplicates == ["photos/copy.jpg"]
    assert {skipped.name.removeprefix("photos/"): skipped.code for skipped in report.skipped} == {
        "cut.jpg": "truncated_image",
        "text.jpg": "not_an_image",
        "nothing.jpg": "empty_image",
        "gone.jpg": "missing_file",
        "folder.jpg": "unreadable_file",
        "blank.png": "no_features",
        "tiny.png": "image_too_small",
        "long.bmp": "too_many_bytes",
    }
    assert all(skipped.message for skipped in report.skipped)


def test_add_and_replace(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "index")
    run(store, folder)
    again = run(store, folder)
    assert (again.generation, again.added, len(again.duplicates)) == (1, 0, 3)  # no new generation for nothing
    more = write(tmp_path / "more" / "big-ben" / "1.jpg", jpeg(7, SIZE)).parents[1]
    assert run(store, more).generation == 2
    assert len(store.open()) == 4
    assert run(store, more, replace=True).generation == 3
    assert len(store.open()) == 1


def test_nothing_usable(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    write(bad / "x" / "1.jpg", b"no picture")
    write(bad / "x" / "2.jpg", b"")
    store = Store(tmp_path / "index")
    with pytest.raises(IndexInputError, match=r"none of the 2 photographs could be added; the first, x/1\.jpg: "):
        run(store, bad)
    assert not store.path.exists()

    run(store, folder)
    with pytest.raises(IndexInputError, match="none of the 2"):
        run(store, bad, replace=True)
    report = run(store, bad)
    assert (report.generation, report.added, len(report.skipped)) == (1, 0, 2)
    assert len(store.open()) == 3


def test_a_failing_extractor(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "index")
    calls = 0

    def fails_once(image: Image) -> Features:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ExtractorError("out of memory")
        return extract(image)

    report = ingest(store, read_source(folder), fails_once, fingerprint=FINGERPRINT)
    assert report.added == 2
    assert [(s.name, s.code) for s in report.skipped] == [("eiffel-tower/1.jpg", "extractor_failed")]

    def unavailable(image: Image) -> Features:
        raise ExtractorUnavailable("no weights")

    with pytest.raises(ExtractorUnavailable):
        ingest(store, read_source(folder), unavailable, fingerprint=FINGERPRINT, replace=True)
    assert store.generations() == [1]


def test_many_photographs_keep_their_order(tmp_path: Path) -> None:
    rows = []
    for seed in range(25):
        write(tmp_path / f"{seed}.jpg", jpeg(seed, (40, 40 + 10 * (seed % 5))))
        rows.append([f"{seed}.jpg", f"landmark {seed % 3}"])
    source = tmp_path / "a.csv"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([["file", "landmark"], *rows])
    assert run(Store(tmp_path / "index"), source).added == 25
    assert [image.name for image in Store(tmp_path / "index").open().images()] == [row[0] for row in rows]
