"""`landmarq calibrate`: curve and threshold from judged answers, and the file that replaces the shipped curve."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from landmarq.cli import app
from landmarq.evalrun import Row, write_run
from landmarq.evaluation import threshold_at
from recognition import confidence
from recognition.confidence import Calibration
from recognition.errors import BadCalibration
from tests.support.runs import row, run

CURVE = Calibration(-6.0, 4.0, -1.5)


def rows(distractors: int = 200) -> list[Row]:
    """Answers whose rightness follows ``CURVE``."""
    rng = np.random.default_rng(0)
    known = rng.gamma(3, 4, (300, 2)) * (1, 0.2)
    unknown = rng.gamma(2, 1, (distractors, 2)) * (1, 0.8)
    answers = [
        row(f"q{i}", "a", "a" if rng.random() < CURVE.probability(*scores) else "b", 0.5, scores=tuple(scores))
        for i, scores in enumerate(known.tolist())
    ]
    return answers + [row(f"d{i}", None, "a", 0.5, scores=tuple(scores)) for i, scores in enumerate(unknown.tolist())]


def calibrate(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["calibrate", *map(str, arguments)], prog_name="landmarq")
    return result.exit_code, result.stdout


def test_the_curve_and_the_threshold_are_written_and_used(tmp_path: Path) -> None:
    write_run(tmp_path / "run.json", run(rows()))
    code, out = calibrate(tmp_path / "run.json", "--output", tmp_path / "own.json", "--false-accepts", "0.02", "--json")
    assert code == 0
    told = json.loads(out)
    own = confidence.load("xfeat", own=tmp_path / "own.json")
    assert (own.intercept, own.best, own.second) == (told["intercept"], told["best"], told["second"])
    assert own != confidence.load("xfeat")
    assert own.best > 0 > own.intercept
    named = [own.probability(*one.scores) >= told["threshold"] for one in rows() if one.truth is None]
    assert 0 < sum(named) <= 0.02 * len(named)


@pytest.mark.parametrize(("rate", "named"), [(0.0, 0), (0.1, 20), (1.0, 200)])
def test_the_threshold_names_as_many_distractors_as_it_may(rate: float, named: int) -> None:
    threshold = threshold_at(run(rows()), CURVE, rate)
    confident = [CURVE.probability(*one.scores) for one in rows() if one.truth is None]
    assert sum(one >= threshold for one in confident) == pytest.approx(named, abs=3)
    assert sum(one >= threshold for one in confident) <= named


def test_without_distractors_there_is_no_threshold(tmp_path: Path) -> None:
    write_run(tmp_path / "run.json", run(rows(distractors=0)))
    code, out = calibrate(tmp_path / "run.json", "--json")
    assert code == 1
    assert json.loads(out)["error"]["code"] == "bad_run"


@pytest.mark.parametrize("content", ["", "[1]", '{"intercept": 1}', '{"best": "x", "intercept": 1, "second": 1}'])
def test_a_file_that_is_no_calibration_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(content)
    with pytest.raises(BadCalibration, match=r"own\.json is no calibration .*landmarq calibrate"):
        confidence.load("xfeat", own=path)
    with pytest.raises(BadCalibration, match="No such file"):
        confidence.load("xfeat", own=tmp_path / "missing.json")
