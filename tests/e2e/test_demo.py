"""The demo, as ``make demo`` runs it: nothing else is running, and nothing is left running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from landmarq.demo import Outcome, Sample, passed, read_samples
from landmarq.errors import StartFailed
from tests.support.up import environment, landmarq, left_behind
from tests.support.workers import ROOT


@pytest.mark.tensorflow
def test_the_demo_recognises_refuses_draws_and_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "output"
    command = [sys.executable, "-m", "landmarq.demo", "--json", "--output", str(folder)]
    # whatever broker and index the user has are left alone
    env = environment(LANDMARQ_REDIS__URL="redis://127.0.0.1:1/0", LANDMARQ_INDEX_DIR=str(tmp_path / "mine"))
    found = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=280)
    assert found.returncode == 0, found.stderr
    report = json.loads(found.stdout)
    assert (report["of"], report["unknown"], report["unknown_named"]) == (10, 7, 0)
    assert report["recognised"] >= 8
    named = {Path(answer["photo"]).stem for answer in report["answers"] if answer["landmark"]}
    pictures = {path.stem: path for path in folder.glob("*.jpg")}
    assert pictures.keys() == named
    for path in pictures.values():
        with Image.open(path) as picture:
            assert picture.width > picture.height
    assert not (tmp_path / "mine").exists()
    assert left_behind(folder) == []


def test_a_folder_that_is_not_the_demos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    found = landmarq("demo", "--output", tmp_path)
    assert found.returncode == 1
    assert str(tmp_path) in found.stderr
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_without_samples_it_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match=str(tmp_path)):
        read_samples(tmp_path)


@pytest.mark.parametrize(("recognised", "named", "good"), [(10, 0, True), (8, 0, True), (7, 0, False), (10, 1, False)])
def test_when_the_demo_has_passed(recognised: int, named: int, good: bool) -> None:
    def outcome(expected: str | None, found: str | None) -> Outcome:
        return Outcome(Sample(Path(), expected), {"state": "done", "landmark": found and {"title": found}})

    known = [outcome("A", "A" if number < recognised else None) for number in range(10)]
    unknown = [outcome(None, "A" if number < named else None) for number in range(7)]
    assert passed([*known, *unknown]) is good
