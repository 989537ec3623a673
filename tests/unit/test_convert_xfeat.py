"""The converter of XFeat's weights, on files put together by hand, and the fit of the projection."""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scripts import convert_xfeat, fit_projection
from scripts.convert_xfeat import ConversionError, convert, read_state
from tests.support.torch_zip import archive, torch_zip


def state(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A convolution with batch normalisation, one with a bias, and what the converter drops."""

    def random(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return {
        "block1.0.layer.0.weight": random(4, 2, 3, 3),
        "block1.0.layer.1.running_mean": random(4),
        "block1.0.layer.1.running_var": np.abs(random(4)) + np.float32(0.1),
        "block1.0.layer.1.num_batches_tracked": np.array(7, np.int64),
        "block1.1.weight": random(3, 4, 1, 1),
        "block1.1.bias": random(3),
        "fine_matcher.0.weight": random(5, 6),
        "fine_matcher.0.bias": random(5),
    }


def test_reads_tensors_without_torch() -> None:
    expected = state(np.random.default_rng(0))
    found = read_state(torch_zip(expected))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_folds_the_normalisation_and_drops_the_refiner() -> None:
    tensors = state(np.random.default_rng(1))
    arrays = convert(tensors)
    assert sorted(arrays) == ["block1.0.bias", "block1.0.kernel", "block1.1.bias", "block1.1.kernel"]
    assert arrays["block1.0.kernel"].shape == (3, 3, 2, 4)
    patch = np.random.default_rng(2).normal(size=(2, 3, 3))  # channels first, as PyTorch has it
    raw = np.einsum("oihw,ihw->o", tensors["block1.0.layer.0.weight"], patch)
    variance = tensors["block1.0.layer.1.running_var"]
    expected = (raw - tensors["block1.0.layer.1.running_mean"]) / np.sqrt(variance + 1e-5)
    folded = np.einsum("hwio,ihw->o", arrays["block1.0.kernel"], patch) + arrays["block1.0.bias"]
    np.testing.assert_allclose(folded, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(arrays["block1.1.kernel"][0, 0].T, tensors["block1.1.weight"][:, :, 0, 0])
    np.testing.assert_array_equal(arrays["block1.1.bias"], tensors["block1.1.bias"])


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_refuses_a_pickle_that_calls_anything_else(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    with pytest.raises(ConversionError, match="refused"):
        read_state(archive(pickle.dumps({"weight": Malicious(target)}, 2)))
    assert not target.exists()


@pytest.mark.parametrize("name", ["builtins\neval", "os\nsystem", "torch\nload", "collections\nCounter"])
def test_refuses_globals(name: str) -> None:
    with pytest.raises(ConversionError, match="refused"):
        read_state(archive(f"c{name}\n.".encode()))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no PyTorch weights"),
        (b"not a zip at all", "no PyTorch weights"),
        (archive(b""), "no PyTorch weights"),
        (archive(b"garbage"), "no PyTorch weights"),
        (archive(pickle.dumps([1, 2], 2)), "not a state dictionary"),
        (torch_zip({"a": np.zeros(3, np.float32)})[:-30], "no PyTorch weights"),
    ],
)
def test_refuses_what_is_no_weights_file(data: bytes, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        read_state(data)


def test_refuses_a_tensor_that_is_too_short() -> None:
    whole = torch_zip({"a": np.zeros(3, np.float32)})
    with pytest.raises(ConversionError, match="holds 2 numbers, not 3"):
        read_state(archive(_pickle_of(whole), {"0": bytes(8)}))


def test_refuses_strides() -> None:
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    with pytest.raises(ConversionError, match="contiguous"):
        read_state(torch_zip({"a": turned}))


@pytest.mark.parametrize("name", ["other-1.0-py3-none-any.whl", "xfeat.pt"])
def test_refuses_another_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / name
    source.write_bytes(torch_zip({}))
    output = tmp_path / "out.npz"
    monkeypatch.setattr(sys, "argv", ["convert_xfeat", str(source), "--output", str(output)])
    assert convert_xfeat.main() == 1
    assert "sha256" in capsys.readouterr().err
    assert not output.exists()


def test_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["convert_xfeat", str(tmp_path / "none.whl")])
    assert convert_xfeat.main() == 1
    assert "can't read" in capsys.readouterr().err


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    arrays = convert(state(np.random.default_rng(3)))
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for file in files:
        convert_xfeat.write(file, arrays)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_projection_survives_a_new_conversion(tmp_path: Path) -> None:
    file = tmp_path / "xfeat.npz"
    convert_xfeat.write(file, {"projection": np.ones((64, 40), np.float32), "mean": np.zeros(64, np.float32)})
    convert_xfeat.write(file, convert(state(np.random.default_rng(3))))
    with np.load(file) as arrays:
        assert {"projection", "mean", "block1.0.kernel"} <= set(arrays.files)


def test_fit_half_whitens() -> None:
    rng = np.random.default_rng(4)
    data = (rng.normal(size=(5000, 64)) * np.linspace(3, 0.1, 64) + 1).astype(np.float32)
    projection, mean = fit_projection.fit(data)
    assert projection.shape == (64, 40)
    assert mean.shape == (64,)
    short = (data - mean) @ projection
    covariance = np.cov(short, rowvar=False)
    plain = np.sort(np.linalg.eigvalsh(np.cov(data, rowvar=False)))[::-1][:40]
    np.testing.assert_allclose(np.diag(covariance), np.sqrt(plain), rtol=1e-2)  # variance -> standard deviation
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-3)


def _pickle_of(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        return whole.read("archive/data.pkl")
