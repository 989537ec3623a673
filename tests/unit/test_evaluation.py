"""From answers to judged rows, figures, and a file of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from landmarq.errors import OutputUnwritable
from landmarq.evalrun import BadRun, Outcome, read_run, write_run
from landmarq.evaluation import evaluate, figures, judge, per_landmark, recalibrated
from recognition.index.store import Index
from tests.support.indexes import build
from tests.support.runs import TITLES, answer, candidate, question, row, run

IMAGES = [("a/1", "a"), ("a/2", "a"), ("b/1", "b"), ("c/1", "c")]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Six images of three landmarks: 0.jpg and 1.jpg of landmark-0, and so on."""
    return build(tmp_path / "index", range(6)).open()


def test_an_answer_judged() -> None:
    given = answer(
        question("q", "a"),
        candidate("a/1", "a", 30, 0.9),
        candidate("b/1", "b", 4, 0.1),
        candidate("a/2", "a", 0, refused="too few"),
        named=True,
        timings_ms={"extract": 1.5, "wait": None},
    )
    (judged,) = judge([given], IMAGES)
    assert (judged.truth, judged.best, judged.named, judged.confidence) == ("a", "a", "a", 0.9)
    assert (judged.ranking, judged.relevant, judged.candidates) == (["a", "b", "a"], 2, 3)
    assert (judged.scores, judged.outcome) == ((30, 4), Outcome.RIGHT)
    assert [(one.rank, one.role, one.refused) for one in judged.seen] == [
        (1, "right", None),
        (2, "wrong", None),
        (3, "right", "too few"),
    ]


def test_nothing_verified_is_no_answer() -> None:
    (judged,) = judge([answer(question("q", "a"), candidate("a/1", "a", 0))], IMAGES)
    assert (judged.best, judged.confidence, judged.ranking) == (None, 0, ["a"])
    assert judged.outcome == Outcome.MISSED


def test_a_failed_job() -> None:
    error = {"code": "bad_image", "message": "no image", "stage": None}
    (judged,) = judge([answer(question("q", "a"), error=error)], IMAGES)
    assert (judged.outcome, judged.relevant, judged.scores) == (Outcome.FAILED, 2, (0, 0))


def test_listed_right_images_and_junk() -> None:
    asked = question("q", "a", relevant=frozenset({"a/2", "gone"}), junk=frozenset({"b/1"}))
    given = answer(asked, candidate("b/1", "b", 9, 0.8), candidate("a/1", "a", 7, 0.6), candidate("a/2", "a", 5, 0.6))
    (judged,) = judge([given], IMAGES)
    assert judged.relevant == 1  # what the index does not hold can't be found
    assert judged.ranking == ["", "a"]  # the junk is gone; a/1 is of the landmark, and yet wrong
    assert (judged.best, judged.confidence, judged.judged.right) == ("", 0.6, False)


def test_a_photograph_of_two_landmarks() -> None:
    given = answer(question("q", "a", also=frozenset("b")), candidate("b/1", "b", 9, 0.8), named=True)
    (judged,) = judge([given], IMAGES)
    assert (judged.best, judged.relevant, judged.outcome) == ("a", 3, Outcome.RIGHT)


def test_of_several_named_landmarks_the_first_is_judged() -> None:
    """Its image need not have the highest score; what does was no rival of its confidence."""
    seen = [candidate("b/1", "b", 31, 0.9), candidate("a/1", "a", 30, 0.8), candidate("c/1", "c", 5, 0.1)]
    given = answer(question("q", "a"), *seen)
    named = [{"id": "a", "confidence": 0.8}, {"id": "b", "confidence": 0.9}]
    (judged,) = judge([replace(given, result={**given.result, "landmark": named[0], "landmarks": named})], IMAGES)
    assert (judged.best, judged.confidence, judged.outcome) == ("a", 0.8, Outcome.RIGHT)
    assert judged.scores == (30, 5)


def test_the_best_right_and_wrong_image_are_kept_wherever_they_are() -> None:
    many = [candidate(f"c/{n}", "c", 30 - n, 0.1) for n in range(20)]
    (judged,) = judge([answer(question("q", "a"), *many, candidate("a/1", "a", 1))], IMAGES)
    assert [one.rank for one in judged.seen] == [*range(1, 11), 21]
    assert judged.seen[-1].role == "right"


@pytest.mark.parametrize(
    ("truth", "best", "confidence", "outcome", "grade"),
    [
        ("a", "a", 0.9, Outcome.RIGHT, 3),
        ("a", "a", 0.1, Outcome.UNSURE, 2),
        ("a", "b", 0.1, Outcome.MISSED, 1),
        ("a", "b", 0.9, Outcome.WRONG, 0),
        (None, "b", 0.1, Outcome.SILENT, 3),
        (None, "b", 0.9, Outcome.ACCEPTED, 0),
    ],
)
def test_outcomes(truth: str | None, best: str, confidence: float, outcome: Outcome, grade: int) -> None:
    found = row("q", truth, best, confidence).outcome
    assert (found, found.grade) == (outcome, grade)


ROWS = [
    row("1", "a", "a", 0.9),
    row("2", "a", "b", 0.7),
    row("3", "a", "a", 0.2, timings_ms={"extract": 300.0}),
    row("4", "b", "a", 0.6),
    row("x", None, "a", 0.8),
    row("y", None, None, 0.0),
    row("z", None, None, 0.0, error={"code": "bad_image", "message": "no"}),
]


def test_figures() -> None:
    found = figures(ROWS)
    assert (found["queries"], found["distractors"], found["failed"]) == (4, 3, 1)
    assert found["top1"] == found["recall@1"] == 0.5
    assert (found["named rightly"], found["named wrongly"]) == (0.25, 0.5)
    assert found["distractors named"] == pytest.approx(1 / 3)
    assert found["ms"] == {"extract": {"p50": 100, "p95": pytest.approx(240)}}
    alone = figures(ROWS[:4])
    assert not [name for name in alone if "false accepts" in name or "distractors named" in name]


def test_each_landmark() -> None:
    found = {one.id: one for one in per_landmark(ROWS, {"a": 5, "b": 1}, TITLES)}
    assert list(found) == ["a", "b"]
    a, b = found["a"], found["b"]
    assert (a.title, a.images, a.queries, a.mistaken, a.claimed) == (TITLES["a"], 5, 3, 1, 2)
    assert (a.top1, a.recognised) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert (b.queries, b.recognised, b.mistaken, b.claimed) == (1, 0, 1, 1)


def test_a_whole_run_is_read_as_it_was_written(tmp_path: Path, index: Index) -> None:
    asked = question("q", "landmark-0")
    answers = [
        answer(asked, candidate("0.jpg", "landmark-0", 20, 0.9), named=True),
        answer(question("ü <x>", None), candidate("2.jpg", "landmark-1", 2, 0.1), reason={"code": "c", "message": "m"}),
    ]
    made = evaluate(answers, index, {"dataset": "handmade"})
    assert made.about["index"] == "6 images of 3 landmarks"
    assert made.titles == {"landmark-0": "Landmark 0", "landmark-1": "Landmark 1"}
    path = tmp_path / "deep" / "run.json"
    write_run(path, made)
    assert read_run(path) == made
    assert recalibrated(made).probability(20, 0) > 0.5
    with pytest.raises(OutputUnwritable, match="can't write"):
        write_run(path / "below" / "a file", made)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no run of this release .*Invalid JSON"),
        ('{"figures": {}, "answers": []}', r"\(version: Field required\): write it anew"),
        (
            '{"version": 2, "about": {}, "figures": {}, "landmarks": [], "answers": []}',
            r"\(version: Input should be 1\)",
        ),
        ('{"version": 1, "about": {}, "figures": {}, "landmarks": [], "answers": [{}]}', r"answers\.0\.photo"),
    ],
)
def test_a_file_that_is_no_run(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(BadRun, match=message):
        read_run(path)
    with pytest.raises(BadRun, match="can't read"):
        read_run(tmp_path / "none.json")


def test_a_handmade_run_is_whole() -> None:
    assert run(ROWS).figures["queries"] == 4
