"""`landmarq evaluate` from end to end, in this process, on a few samples."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from landmarq.cli import app
from landmarq.errors import ExitCode
from landmarq.evalrun import Outcome, read_run
from tests.support.indexes import build
from tests.support.samples import SAMPLES

INDEX = ("colosseum", "eiffel-tower", "taj-mahal")
QUERIES = {"colosseum-copy": "colosseum", "taj-mahal-2": "taj-mahal"}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)], prog_name="landmarq")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three index photographs, two queries, one distractor, and a query whose file does not exist."""
    path = tmp_path_factory.mktemp("set") / "few.csv"
    rows = [(SAMPLES / "index" / f"{name}.jpg", "index", name) for name in INDEX]
    rows += [(SAMPLES / "query" / f"{name}.jpg", "query", landmark) for name, landmark in QUERIES.items()]
    rows += [(SAMPLES / "unknown" / "solar-panel.jpg", "distractor", ""), (Path("gone.jpg"), "query", "eiffel-tower")]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("file", "split", "landmark"), *rows])
    return path


@pytest.mark.tensorflow
def test_evaluate_report_and_compare(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARQ_RANK__MAX_CANDIDATES", "5")  # the command changes it: here it is put back afterwards
    stored, report = tmp_path / "run.json", tmp_path / "report"
    common = (dataset, "--in-process", "--work-dir", tmp_path / "work")
    first = run(*common, "--output", stored, "--report", report, "--per-landmark")
    assert first.exit_code == ExitCode.OK, first.stderr
    assert f"report: {report / 'report.html'}" in first.stderr
    assert "top1" in first.stdout
    lines = [line.split() for line in first.stdout.splitlines()]
    assert ["taj-mahal", "1", "1", "1.000", "1.000", "1.000", "0", "0"] in lines
    made = read_run(stored)
    assert (made.about["dataset"], made.about["transform"]) == ("few.csv", "none")
    outcomes = {Path(row.photo).stem: row.outcome.value for row in made.answers}
    assert outcomes["colosseum-copy"] == outcomes["taj-mahal-2"] == "named rightly"
    assert outcomes["gone"] == "failed"
    assert "gone.jpg" in (report / "report.html").read_text(encoding="utf-8")

    second = run(*common, "--against", stored, "--json")
    assert second.exit_code == ExitCode.OK, second.stderr
    (line,) = second.stdout.splitlines()
    found = json.loads(line)
    assert found["queries"] == 3
    assert {one["verdict"] for one in found["comparison"]["differences"]} == {"noise"}
    assert found["comparison"]["changes"] == found["comparison"]["notes"] == []
    assert {one["id"] for one in found["landmarks"]} >= set(QUERIES.values())


@pytest.mark.tensorflow
def test_turned_photographs(dataset: Path, tmp_path: Path) -> None:
    stored = tmp_path / "run.json"
    result = run(dataset, "--in-process", "--transform", "turn90", "--output", stored, "--json")
    assert result.exit_code == ExitCode.OK, result.stderr
    made = read_run(stored)
    assert made.about["transform"] == "turn90"
    outcomes = {Path(row.photo).stem: row.outcome for row in made.answers}
    assert outcomes["colosseum-copy"] == outcomes["taj-mahal-2"] == Outcome.RIGHT
    assert outcomes["gone"] == Outcome.FAILED  # told, not raised


def test_the_index_of_another_data_set_is_refused(dataset: Path, tmp_path: Path) -> None:
    build(tmp_path / "index", range(2))
    result = run(dataset, "--in-process", "--work-dir", tmp_path)
    assert result.exit_code == ExitCode.ERROR
    assert "is of another data set (it holds 0.jpg)" in result.stderr


@pytest.mark.tensorflow
def test_revisited_oxford(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARQ_RANK__MAX_CANDIDATES", "5")
    (tmp_path / "jpg").mkdir()
    for source in (*(SAMPLES / "index" / f"{name}.jpg" for name in INDEX), SAMPLES / "query" / "taj-mahal-2.jpg"):
        shutil.copy(source, tmp_path / "jpg")
    row = {"bbx": [20.0, 20.0, 300.0, 300.0], "easy": [2], "hard": [], "junk": [0]}
    truth = {"imlist": list(INDEX), "qimlist": ["taj-mahal-2"], "gnd": [row]}
    (tmp_path / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(truth))
    result = run(tmp_path, "--in-process", "--protocol", "easy", "--output", tmp_path / "run.json", "--json")
    assert result.exit_code == ExitCode.OK, result.stderr
    found = json.loads(result.stdout)
    assert (found["queries"], found["distractors"], found["mAP"]) == (1, 0, 1)
    (answer,) = read_run(tmp_path / "run.json").answers
    assert answer.outcome == Outcome.RIGHT
    assert "junk" in [seen.role for seen in answer.seen]
    assert len(answer.ranking) < answer.candidates


def test_what_can_not_be_compared_is_told_before_the_work(dataset: Path, tmp_path: Path) -> None:
    result = run(dataset, "--against", tmp_path / "none.json", "--work-dir", tmp_path / "work")
    assert (result.exit_code, result.stdout) == (ExitCode.ERROR, "")
    assert result.stderr.startswith("error [bad_run]: ")
    assert not (tmp_path / "work").exists()


def test_a_protocol_that_the_set_has_not(dataset: Path) -> None:
    result = run(dataset, "--protocol", "hard")
    assert result.exit_code == ExitCode.ERROR
    assert result.stderr.startswith("error [bad_dataset]: this data set has no protocol 'hard'")
