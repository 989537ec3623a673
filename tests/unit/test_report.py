"""The report: a page that holds everything, says why, and runs nothing."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image as Pillow

from landmarq.datasets import Question
from landmarq.evalrun import Run
from landmarq.evaluation import Answer, evaluate
from landmarq.report import FILE, bars, write_report
from recognition.images import decode
from recognition.index.store import Index, Store
from recognition.index.writer import Writer
from tests.support.indexes import FINGERPRINT, THUMBNAIL, features, landmark
from tests.support.photos import photo
from tests.support.runs import answer, candidate, row

EVIL = "<script>alert('x')</script> & \"quotes\""
VOID = {"meta", "img", "br", "line", "rect"}


class Page(HTMLParser):
    """What a page holds: its elements with attributes, its text, and whether everything that opens closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Four images of two landmarks, one with a title that means harm."""
    store = Store(tmp_path / "index")
    with Writer(store, FINGERPRINT, 40) as writer:
        for n in range(4):
            title = EVIL if n < 2 else "Landmark 1"
            place = landmark(n // 2, title=title)
            writer.add(features(n), name=f"{n}.jpg", sha256=f"{n}" * 64, landmark=place, thumbnail=THUMBNAIL)
        writer.commit()
    return store.open()


def asked(folder: Path, name: str, truth: str | None) -> Question:
    path = folder / name
    Pillow.fromarray(photo(len(name))).save(path)
    return Question(path, name, truth)


@pytest.fixture
def answers(tmp_path: Path) -> list[Answer]:
    """One of each kind: named rightly, a distractor named, named wrongly, missed, below the threshold, failed."""
    low = {"reason": {"code": "low_confidence", "message": "the best candidate has confidence 0.30, below 0.5"}}
    right, wrong = candidate("0.jpg", "landmark-0", 20, 0.9), candidate("2.jpg", "landmark-1", 15, 0.8)
    unsure = candidate("1.jpg", "landmark-0", 3, 0.3)
    refused = candidate("0.jpg", "landmark-0", 0, inliers=4, refused="the model is mirrored")
    error = {"code": "not_an_image", "message": "these 3 bytes are no image", "stage": "extracting"}
    failed = Question(tmp_path / "none.png", "failed.png", "landmark-0")
    return [
        answer(asked(tmp_path, "right.png", "landmark-0"), right, named=True),
        answer(asked(tmp_path, "distractor.png", None), wrong, named=True),
        answer(asked(tmp_path, "wrong<i>.png", "landmark-0"), wrong, refused, named=True),
        answer(asked(tmp_path, "missed.png", "landmark-0"), {**wrong, "confidence": 0.3}, **low),
        answer(asked(tmp_path, "unsure.png", "landmark-0"), unsure, **low),
        answer(failed, error=error),
    ]


@pytest.fixture
def made(answers: list[Answer], index: Index) -> Run:
    return evaluate(answers, index, {"dataset": "set & co", "protocol": ""})


@pytest.fixture
def page(tmp_path: Path, made: Run, answers: list[Answer], index: Index) -> Page:
    path = write_report(tmp_path / "report.html", made, [one.question for one in answers], index)
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_is_whole_and_needs_nothing_else(page: Page) -> None:
    assert page.open == []
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/jpeg;base64,"))
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    style = "".join(page.text)
    assert "prefers-color-scheme: dark" in style
    assert "http" not in style


def test_titles_are_text(page: Page) -> None:
    assert f"Shows {EVIL}" in page.words
    assert "wrong<i>.png" in page.words
    assert "Evaluation of set & co" in page.words
    assert page.all("i") == []


def test_every_failure_says_why(page: Page) -> None:
    assert "5 failures in 6 answers" in page.words
    assert len(page.all("article")) == 5
    kinds = ["Distractor named.", "Named wrongly.", "Right landmark not first", "Right landmark first", "Failed."]
    places = [page.words.index(kind) for kind in kinds]
    assert places == sorted(places)
    assert "The answer was Landmark 1, confidence 0.80." in page.words
    assert "The best right image came at rank 2, with 4 inliers, refused: the model is mirrored." in page.words
    assert "None of the 2 right images was among the 1 candidates." in page.words
    assert "The answer was unknown: the best candidate has confidence 0.30, below 0.5." in page.words
    assert "not_an_image: these 3 bytes are no image" in page.words
    assert "rank 1 · 30 inliers · score 15.0" in page.words
    assert "not among the 1 candidates" in page.words


def test_pictures_are_small_jpegs(page: Page) -> None:
    # distractor: query, wrong; wrong, missed: and a right one; unsure: query, right; failed: a right one only
    pictures = page.all("img")
    assert len(pictures) == 2 + 3 + 3 + 2 + 1
    assert page.words.count("no picture") == 1
    for attributes in pictures:
        data = base64.b64decode((attributes["src"] or "").partition(",")[2])
        assert max(decode(data).shape) <= 240
        assert attributes["alt"]


def test_figures_landmarks_and_diagram(page: Page, made: Run) -> None:
    for name in made.figures:
        assert name == "ms" or name in page.words
    table = page.words.index("By landmark")
    assert page.words.index(EVIL, table) < page.words.index("Landmark 1", page.words.index(EVIL, table))
    assert len(page.all("rect")) == len(bars(made.answers)) == 4
    assert len(page.all("svg")) == 1


def test_bars_stand_in_their_bin() -> None:
    rows = [row("1", "a", "a", 1.0), row("2", "a", "b", 0.95), row("3", "a", "a", 0.31), row("4", None, None, 0.0)]
    assert [(bar.left, bar.right, bar.count) for bar in bars(rows)] == [(0, 0, 1), (0.3, 1, 1), (0.9, 0.5, 2)]


def test_a_folder_gets_a_file(tmp_path: Path, made: Run, answers: list[Answer], index: Index) -> None:
    questions = [one.question for one in answers]
    assert write_report(tmp_path / "new" / "folder", made, questions, index) == tmp_path / "new" / "folder" / FILE
    (tmp_path / "odd.html").mkdir()
    assert write_report(tmp_path / "odd.html", made, questions, index) == tmp_path / "odd.html" / FILE


def test_nothing_failed(tmp_path: Path, answers: list[Answer], index: Index) -> None:
    path = write_report(tmp_path, evaluate(answers[:1], index, {}), [answers[0].question], index)
    page = Page(path.read_text(encoding="utf-8"))
    assert "None: every query was named rightly" in page.words
    assert page.all("article") == []


def test_a_long_list_is_cut_and_says_so(
    tmp_path: Path, made: Run, answers: list[Answer], index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("landmarq.report.SHOWN", 2)
    path = write_report(tmp_path, made, [one.question for one in answers], index)
    page = Page(path.read_text(encoding="utf-8"))
    assert "The gravest 2 of 5 are shown" in page.words
    assert len(page.all("article")) == 2
