"""`landmarq evaluate` as a user runs it: an index, a server and workers of its own, questions through the queue."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from landmarq.cli import app
from tests.support.samples import SAMPLES

pytestmark = pytest.mark.tensorflow

ROWS = [
    ("index/taj-mahal.jpg", "index", "taj-mahal"),
    ("index/eiffel-tower.jpg", "index", "eiffel-tower"),
    ("index/colosseum.jpg", "index", "colosseum"),
    ("query/taj-mahal-2.jpg", "query", "taj-mahal"),
    ("query/eiffel-tower-2.jpg", "query", "eiffel-tower"),
    ("query/colosseum-copy.jpg", "query", "colosseum"),
    ("unknown/amagase-dam.jpg", "distractor", ""),
]


def test_evaluate_through_the_queue(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    rows = [(str(SAMPLES / file), split, landmark) for file, split, landmark in ROWS]
    with (tmp_path / "set.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "split", "landmark"), *rows, ("empty.jpg", "query", "colosseum")])
    arguments = [str(tmp_path / "set.csv"), "--work-dir", str(tmp_path / "work"), "--json"]
    result = CliRunner().invoke(app, ["evaluate", *arguments], prog_name="landmarq")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["queries"], found["distractors"], found["failed"]) == (4, 1, 1)
    assert found["top1"] == 0.75, "three of four: the empty file is one failed answer, not the end of the run"
    assert found["distractors named"] == 0
    assert not (tmp_path / "work" / "run.json").exists(), "what it started has ended"
