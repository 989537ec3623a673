"""Revisited Oxford and Paris: small ground truths of the public layout, and pickles that mean harm."""

from __future__ import annotations

import contextlib
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarq.datasets import BadDataset, Dataset, read_dataset
from landmarq.datasets.unpickle import RefusedPickle, load

NAMES = [f"oxford_{n:06}" for n in range(8)]
# The first two queries share image 1: one landmark. The third has no easy image.
GROUND_TRUTH: dict[str, Any] = {
    "imlist": NAMES,
    "qimlist": ["all_souls_000013", "all_souls_000026", "magdalen_000078"],
    "gnd": [
        {"bbx": [136.5, 34.1, 648.5, 955.7], "easy": [0, 1], "hard": [2], "junk": [3]},
        {"bbx": [10.0, 20.0, 30.0, 40.0], "easy": [1], "hard": [4], "junk": [5]},
        {"bbx": [0.0, 0.0, 9.0, 9.0], "easy": [], "hard": [6], "junk": [2]},
    ],
}


def arrays(value: Any) -> Any:
    """The same ground truth with arrays where it has lists of numbers."""
    return [{name: np.array(list_, float if name == "bbx" else int) for name, list_ in row.items()} for row in value]


def written(folder: Path, value: Any = GROUND_TRUTH, protocol: int = 4) -> Path:
    path = folder / "gnd_roxford5k.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def names(*numbers: int) -> frozenset[str]:
    return frozenset(NAMES[n] for n in numbers)


def asked(found: Dataset) -> list[tuple[frozenset[str] | None, frozenset[str]]]:
    return [(one.relevant, one.junk) for one in found.questions]


def test_medium_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "jpg").mkdir()
    found = read_dataset(written(tmp_path))
    assert asked(found) == [(names(0, 1, 2), names(3)), (names(1, 4), names(5)), (names(6), names(2))]
    assert found.questions[0].file == tmp_path / "jpg" / "all_souls_000013.jpg"
    assert found.questions[0].box == (34.1, 136.5, 955.7, 648.5)  # the file has left, top, right, bottom
    assert [entry.name for entry in found.index] == NAMES
    assert found.index[0].file == tmp_path / "jpg" / f"{NAMES[0]}.jpg"
    assert found.notes == []


def test_easy_and_hard(tmp_path: Path) -> None:
    path = written(tmp_path)
    easy, hard = read_dataset(path, "easy"), read_dataset(path, "hard")
    assert asked(easy) == [(names(0, 1), names(2, 3)), (names(1), names(4, 5))]
    assert easy.notes == ["1 queries have no right image under the protocol easy: left out"]
    assert asked(hard) == [(names(2), names(0, 1, 3)), (names(4), names(1, 5)), (names(6), names(2))]
    with pytest.raises(BadDataset, match="no protocol 'retrieval': it has medium, easy, hard"):
        read_dataset(path, "retrieval")


def test_queries_that_share_an_image_are_of_one_landmark(tmp_path: Path) -> None:
    written(tmp_path)
    found = read_dataset(tmp_path)  # the folder of the pickle is as good as the pickle
    assert [one.truth for one in found.questions] == ["all_souls_000013", "all_souls_000013", "magdalen_000078"]
    landmarks = [entry.landmark.id for entry in found.index]
    assert landmarks == [*["all_souls_000013"] * 6, "magdalen_000078", NAMES[7]]
    assert {entry.landmark.title for entry in found.index} == {"All souls", "Magdalen", NAMES[7]}


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_lists_and_arrays_of_every_pickle_protocol(tmp_path: Path, protocol: int) -> None:
    plain = read_dataset(written(tmp_path, GROUND_TRUTH, protocol))
    assert asked(plain) == asked(read_dataset(written(tmp_path, GROUND_TRUTH)))
    if protocol < 5:  # protocol 5 pickles arrays through numpy.core.numeric, which files of 2018 can't have
        with_arrays = {**GROUND_TRUTH, "gnd": arrays(GROUND_TRUTH["gnd"])}
        assert read_dataset(written(tmp_path, with_arrays, protocol)) == plain


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "no ground truth of Revisited"),
        ({"imlist": []}, "no ground truth of Revisited.*qimlist"),
        ({**GROUND_TRUTH, "qimlist": ["one"]}, "no ground truth of Revisited"),
        ({**GROUND_TRUTH, "gnd": [{**GROUND_TRUTH["gnd"][0], "easy": [99]}] * 3}, "position 99 in a list of 8"),
        ({**GROUND_TRUTH, "imlist": [Path("x")]}, "asks for pathlib.* plain data has no need of"),
        ({**GROUND_TRUTH, "imlist": print}, r"asks for (builtins|__builtin__)\.print"),
        ({**GROUND_TRUTH, "imlist": np.array([{}], object)}, "an array of O8: only arrays of numbers"),
    ],
)
def test_what_is_no_ground_truth_is_refused(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(BadDataset, match=message):
        read_dataset(written(tmp_path, value))


def test_no_code_runs(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    attack = f"cos\nmkdir\n(V{victim}\ntR.".encode()
    assert "mkdir" in "".join(str(argument) for _, argument, _ in pickletools.genops(attack))
    with pytest.raises(RefusedPickle, match=r"os\.mkdir"):
        load(attack)
    assert not victim.exists()


def test_numbers_keep_their_type_and_order() -> None:
    value = {
        "big": np.arange(6, dtype=">i4").reshape(2, 3),
        "columns": np.asfortranarray(np.eye(2, 3)),
        "one": np.int64(7),
    }
    found = load(pickle.dumps(value, 2))
    assert found["one"] == 7
    assert (found["big"] == value["big"]).all()
    assert (found["columns"] == value["columns"]).all()


@given(st.binary(max_size=60), st.integers(0, 400))
def test_damaged_pickles_are_refused_and_nothing_else(noise: bytes, cut: int) -> None:
    data = pickle.dumps({"gnd": arrays(GROUND_TRUTH["gnd"])}, 4)
    for damaged in (noise, data[:cut], data[:cut] + noise + data[cut + len(noise) :]):
        with contextlib.suppress(RefusedPickle):
            load(damaged)
