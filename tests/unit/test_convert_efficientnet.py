"""The converter of EfficientNet-Lite0's weights, on files put together by hand, and the fit of the whitening."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from recognition.embedding.global_descriptor import unit, whiten
from scripts import convert_efficientnet, fit_whitening
from scripts.convert_efficientnet import ConversionError, convert, read_state
from tests.support.torch_legacy import torch_legacy, wrapped


def state(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A stem, a depthwise convolution in a block, and what the converter drops; the kernels lie as TensorFlow's do."""

    def random(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    def norm(name: str, channels: int) -> dict[str, np.ndarray]:
        return {
            f"{name}.weight": random(channels),
            f"{name}.bias": random(channels),
            f"{name}.running_mean": random(channels),
            f"{name}.running_var": np.abs(random(channels)) + np.float32(0.1),
            f"{name}.num_batches_tracked": np.array(7, np.int64),
        }

    return {
        "_conv_stem.weight": random(3, 3, 2, 4).transpose(3, 2, 0, 1),
        **norm("_bn0", 4),
        "_blocks.0._depthwise_conv.weight": random(3, 3, 4, 1).transpose(2, 3, 0, 1),
        **norm("_blocks.0._bn1", 4),
        "_fc.weight": random(5, 6),
        "_fc.bias": random(5),
    }


def test_reads_tensors_without_torch() -> None:
    expected = state(np.random.default_rng(0))
    found = read_state(torch_legacy(expected))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_folds_the_normalisation_and_drops_the_classifier() -> None:
    tensors = state(np.random.default_rng(1))
    arrays = convert(tensors)
    assert sorted(arrays) == ["0.depthwise.bias", "0.depthwise.kernel", "stem.bias", "stem.kernel"]
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}
    assert arrays["stem.kernel"].shape == (3, 3, 2, 4)
    assert arrays["0.depthwise.kernel"].shape == (3, 3, 4, 1)
    patch = np.random.default_rng(2).normal(size=(2, 3, 3))  # channels first, as PyTorch has it
    raw = np.einsum("oihw,ihw->o", tensors["_conv_stem.weight"], patch)
    expected = (raw - tensors["_bn0.running_mean"]) / np.sqrt(tensors["_bn0.running_var"] + 1e-3)
    expected = expected * tensors["_bn0.weight"] + tensors["_bn0.bias"]
    folded = np.einsum("hwio,ihw->o", arrays["stem.kernel"].astype(float), patch) + arrays["stem.bias"]
    np.testing.assert_allclose(folded, expected, rtol=1e-2, atol=1e-2)


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_refuses_a_pickle_that_calls_anything_else(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    evil = pickle.dumps(Malicious(target), 2)
    for data in (wrapped(evil), evil):
        with pytest.raises(ConversionError, match="refused"):
            read_state(data)
    assert not target.exists()


@pytest.mark.parametrize("name", ["builtins\neval", "os\nsystem", "torch\nload", "collections\nCounter"])
def test_refuses_globals(name: str) -> None:
    with pytest.raises(ConversionError, match="refused"):
        read_state(wrapped(f"c{name}\n.".encode()))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no PyTorch weights"),
        (b"not a pickle at all", "no PyTorch weights"),
        (pickle.dumps(42, 2), "another magic number"),
        (wrapped(pickle.dumps([1, 2], 2)), "not a state dictionary"),
        (torch_legacy({"a": np.zeros(3, np.float32)})[:-4], "cut off"),
        (torch_legacy({"a": np.zeros(3, np.float32)})[:-15], "no PyTorch weights"),
    ],
)
def test_refuses_what_is_no_weights_file(data: bytes, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        read_state(data)


def test_refuses_a_tensor_beyond_its_storage() -> None:
    data = torch_legacy({"a": np.zeros((2, 3), np.float32)})
    larger = data.replace(pickle.dumps((2, 3), 2)[2:-1], pickle.dumps((9, 3), 2)[2:-1])
    assert larger != data
    with pytest.raises(ConversionError, match="exceeds its 6 numbers"):
        read_state(larger)


@pytest.mark.parametrize("name", ["other-1.0-py3-none-any.whl", "weights.pth"])
def test_refuses_another_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / name
    source.write_bytes(torch_legacy({}))
    output = tmp_path / "out.npz"
    monkeypatch.setattr(sys, "argv", ["convert_efficientnet", str(source), "--output", str(output)])
    assert convert_efficientnet.main() == 1
    assert "sha256" in capsys.readouterr().err
    assert not output.exists()


def test_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["convert_efficientnet", str(tmp_path / "none.whl")])
    assert convert_efficientnet.main() == 1
    assert "can't read" in capsys.readouterr().err


def test_the_same_arrays_give_the_same_bytes_and_a_whitening_survives(tmp_path: Path) -> None:
    arrays = convert(state(np.random.default_rng(3)))
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for file in files:
        convert_efficientnet.write(file, {"mean": np.zeros(8, np.float32)})
        convert_efficientnet.write(file, arrays)
    assert files[0].read_bytes() == files[1].read_bytes()
    with np.load(files[0]) as written:
        assert {"mean", "stem.kernel"} <= set(written.files)


def test_whitening_damps_what_is_common_and_keeps_the_rest() -> None:
    rng = np.random.default_rng(4)
    common = np.linalg.qr(rng.normal(size=(40, 40)))[0].astype(np.float32)
    strengths = np.r_[np.full(4, 5.0), np.full(36, 0.5)]
    data = ((rng.normal(size=(300, 40)) * strengths) @ common.T + 1).astype(np.float32)
    whitening = fit_whitening.fit(data, count=6, floor=0.0)
    np.testing.assert_allclose(whitening["directions"].T @ whitening["directions"], np.eye(6), atol=1e-5)
    damped = data - whitening["mean"]
    damped -= (damped @ whitening["directions"] * whitening["damping"]) @ whitening["directions"].T
    variances = np.linalg.eigvalsh(np.cov(damped, rowvar=False))
    assert variances.max() < 2 * np.median(variances)  # they were a hundred times the others
    expected = unit(damped)
    np.testing.assert_allclose(whiten(data, whitening), expected, atol=1e-5)
