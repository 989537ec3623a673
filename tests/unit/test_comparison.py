"""Two runs compared: what changed, and `landmarq compare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from landmarq.cli import app
from landmarq.comparison import compare_runs
from landmarq.errors import ExitCode
from landmarq.evalrun import BadRun, write_run
from tests.support.runs import row, run

BEFORE = [row(f"{n}", "a", "b", 0.2) for n in range(30)] + [row(f"x{n}", None, "b", 0.1) for n in range(10)]
AFTER = [row(f"{n}", "a", "a", 0.9) for n in range(30)] + [row(f"x{n}", None, "b", 0.1) for n in range(10)]


def compared(before: Path, after: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["compare", str(before), str(after), *options], prog_name="landmarq")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    for name, rows in (("a", BEFORE), ("b", AFTER)):
        write_run(tmp_path / f"{name}.json", run(rows, profile=name))
    return tmp_path / "a.json", tmp_path / "b.json"


def test_gains_and_losses_are_told(files: tuple[Path, Path]) -> None:
    result = compared(*files)
    assert result.exit_code == ExitCode.OK
    assert "profile: a, then b" in result.stdout
    top1 = next(line for line in result.stdout.splitlines() if line.startswith("top1"))
    assert top1.split() == ["top1", "0.000", "1.000", "+1.000", "+1.000", "to", "+1.000", "gain"]
    assert "30 of 40 answers changed: 30 for the better, 0 for the worse" in result.stdout
    assert "right landmark not first, not named: Big Ben" not in result.stdout  # it was not named
    assert "+  0" in result.stdout
    back = compared(files[1], files[0])
    assert "0 for the better, 30 for the worse" in back.stdout
    assert " loss" in back.stdout


def test_json(files: tuple[Path, Path]) -> None:
    (line,) = compared(*files, "--json").stdout.splitlines()
    found = json.loads(line)
    assert found["photographs"] == 40
    by_name = {one["figure"]: one for one in found["differences"]}
    assert set(by_name) == {"top1", "mAP", "µAP", *(f"recognised at {n}% false accepts" for n in (0, 1, 5))}
    assert (by_name["top1"]["difference"], by_name["top1"]["verdict"]) == (1, "gain")
    first = found["changes"][0]
    assert (first["photo"], first["truth"], first["better"]) == ("0", "a", True)
    assert (first["before"], first["after"]) == ("right landmark not first, not named (0.20)", "named rightly (0.90)")


def test_a_run_against_itself(files: tuple[Path, Path]) -> None:
    result = compared(files[0], files[0])
    assert "0 of 40 answers changed" in result.stdout
    assert "gain" not in result.stdout


def test_another_wrong_answer_is_a_change_and_no_progress() -> None:
    found = compare_runs(run([row("1", "a", "b", 0.9)]), run([row("1", "a", "c", 0.9)]))
    (change,) = found.changes
    assert (change.before, change.after, change.better) == (
        "named wrongly: Big Ben (0.90)",
        "named wrongly: Colosseum (0.90)",
        None,
    )


def test_only_common_photographs_count() -> None:
    found = compare_runs(run([*BEFORE, row("other", "a", "a", 0.9)]), run(AFTER[:30]))
    assert found.photographs == 30
    assert found.notes == ["30 photographs are compared; 11 are in the first run only, 0 in the second"]
    assert {one.figure for one in found.differences} == {"top1", "mAP", "µAP"}


def test_another_index_is_told() -> None:
    found = compare_runs(run([row("1", "a", "a", 0.9)]), run([row("1", "a", "a", 0.9, relevant=2)]))
    assert any("numbers of right index images differ" in note for note in found.notes)


def test_runs_of_different_sets_are_refused() -> None:
    one = run([row("1", "a", "a", 0.9)])
    with pytest.raises(BadRun, match=r"what 1 shows \(a, then unknown\): they are of different data sets"):
        compare_runs(one, run([row("1", None, "a", 0.9)]))
    with pytest.raises(BadRun, match="no query in common"):
        compare_runs(one, run([row("2", "a", "a", 0.9)]))
    with pytest.raises(BadRun, match="two answers to one photograph"):
        compare_runs(run([row("1", "a", "a", 0.9)] * 2), one)


def test_a_file_that_is_no_run_is_one_line(tmp_path: Path, files: tuple[Path, Path]) -> None:
    result = compared(files[0], tmp_path / "none.json")
    assert (result.exit_code, result.stdout) == (ExitCode.ERROR, "")
    assert result.stderr.startswith("error [bad_run]: can't read")
