"""What the commands are made of: exit codes, headlines, the broker they find, the noise that they mute."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import load
from landmarq import runfile
from landmarq.commands.recognize import picture_paths
from landmarq.environment import _muted_stderr
from landmarq.errors import GRAVITY, ExitCode, worst
from landmarq.results import headline, percent, result_code, seed_lines


@given(st.lists(st.sampled_from(GRAVITY)))
def test_a_batch_ends_with_its_gravest_code(codes: list[ExitCode]) -> None:
    found = worst(codes)
    assert found in codes or (found is ExitCode.OK and not codes)
    assert all(GRAVITY.index(code) <= GRAVITY.index(found) for code in codes)


@given(st.floats(0, 1))
def test_a_confidence_is_never_rounded_up_to_a_certainty(confidence: float) -> None:
    shown = float(percent(confidence).removesuffix(" %"))
    assert 0 <= shown <= 99.9
    assert shown <= confidence * 100 + 1e-9


COLOSSEUM = {"id": "colosseum", "title": "The Colosseum, Rome, Italy", "confidence": 0.97, "inliers": 29}
FOUND = {
    "landmark": COLOSSEUM,
    "landmarks": [COLOSSEUM],
    "candidates": [
        {"image": "c.jpg", "landmark": "colosseum", "inliers": 29},
        {"image": "t.jpg", "landmark": "trevi", "inliers": 9},
    ],
    "reason": None,
}


def test_the_seed_profile_prints_as_the_blog_post_did() -> None:
    lines = str(seed_lines(None, FOUND, {"t.jpg": 2, "c.jpg": 17})).replace("\\[", "[").splitlines()
    assert lines[0] == "[{'index': 17, 'inliers': 29}, {'index': 2, 'inliers': 9}]"
    assert lines[1] == "Best guess for this image: 18. The Colosseum — Rome, Italy"
    beside = {**FOUND, "candidates": FOUND["candidates"][::-1]}
    assert str(seed_lines(None, beside, {"t.jpg": 2, "c.jpg": 17})).endswith("image: 18. The Colosseum — Rome, Italy")


def test_a_headline_for_every_kind_of_answer() -> None:
    unknown = {**FOUND, "landmark": None, "reason": {"code": "no_match", "message": "nothing fits"}}
    failed = {**unknown, "state": "failed", "error": {"message": "blank", "code": "x", "stage": "extract"}}
    assert "The Colosseum, Rome, Italy" in headline("[1].jpg", FOUND)
    trevi = {**COLOSSEUM, "title": "Trevi", "confidence": 0.9}
    assert headline("a.jpg", {**FOUND, "landmarks": [COLOSSEUM, trevi]}).endswith(
        "[bold green]Trevi[/]  90.0 %, 29 inliers"
    )
    assert "nothing fits" in headline("a.jpg", unknown)
    assert "blank" in headline("a.jpg", failed)
    codes = [result_code(found) for found in (FOUND, unknown, failed)]
    assert codes == [ExitCode.OK, ExitCode.UNKNOWN, ExitCode.ERROR]


def test_pictures_of_photos_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    paths = picture_paths([Path("a/x.jpg"), Path("b/x.png"), Path("y.jpg")], tmp_path)
    assert [path.name for path in paths if path] == ["x.jpg", "x-2.jpg", "y.jpg"]


def test_the_broker_of_a_running_up_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(data_dir=tmp_path)
    assert runfile.with_broker(settings) is settings
    runfile.RunFile("redis://127.0.0.1:7777/0", os.getpid(), 0.0).write(tmp_path)
    assert runfile.with_broker(settings).redis.url == "redis://127.0.0.1:7777/0"
    monkeypatch.setenv("LANDMARQ_REDIS__URL", "redis://127.0.0.1:8888/0")
    assert runfile.with_broker(load(data_dir=tmp_path)).redis.url == "redis://127.0.0.1:8888/0"


def test_what_a_dead_up_left_is_ignored(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    runfile.RunFile("redis://127.0.0.1:7777/0", dead.pid, 0.0).write(tmp_path)
    settings = load(data_dir=tmp_path)
    assert runfile.with_broker(settings) is settings
    runfile.run_path(tmp_path).write_text("{not json")
    assert runfile.read(tmp_path) is None


def test_only_what_native_code_writes_is_muted(capfd: pytest.CaptureFixture[str]) -> None:
    with _muted_stderr():
        os.write(2, b"oneDNN custom operations are on\n")
        sys.stderr.write("python speaks\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "python speaks\nafter\n"
