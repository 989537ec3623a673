"""Loading the XFeat extractor: its fingerprint, threads, and what is said when something is missing."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from recognition.errors import ExtractorUnavailable
from recognition.extractors import xfeat as module
from recognition.extractors import xfeat_pyramid
from recognition.extractors.xfeat import SCALES, WEIGHTS, XFeatExtractor

ROOT = Path(__file__).resolve().parents[2]

tensorflow = pytest.mark.tensorflow


def test_fingerprint_follows_the_parameters_and_the_weights(tmp_path: Path) -> None:
    changed = tmp_path / "xfeat.npz"
    changed.write_bytes(WEIGHTS.read_bytes() + b"\0")
    extractors = [
        XFeatExtractor(),
        XFeatExtractor(image_side=512),
        XFeatExtractor(scales=(1.0,)),
        XFeatExtractor(weights=changed),
    ]
    assert len({extractor.fingerprint for extractor in extractors}) == 4
    assert XFeatExtractor().fingerprint == XFeatExtractor(640, list(SCALES), batch_size=3).fingerprint
    assert XFeatExtractor().fingerprint.startswith("xfeat@")


def test_fingerprint_loads_no_tensorflow() -> None:
    code = (
        "import sys; from recognition.extractors import create; create('xfeat').fingerprint; "
        "sys.exit(bool({'tensorflow', 'keras'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@tensorflow
def test_threads_load_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []

    class Counted(xfeat_pyramid.Network):
        def __init__(self, arrays: Mapping[str, xfeat_pyramid.Float32]) -> None:
            built.append(threading.get_ident())
            super().__init__(arrays)

    monkeypatch.setattr(module, "Network", Counted)
    extractor = XFeatExtractor()
    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(extractor.load) for _ in range(6)]:
            future.result()
    extractor.load()
    assert len(built) == 1


def _missing(path: Path) -> None:
    path.unlink()


def _damaged(path: Path) -> None:
    path.write_bytes(WEIGHTS.read_bytes()[:-1000])


def _unprojected(path: Path) -> None:
    np.savez(path, mean=np.zeros(64, np.float32))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(_missing, "pip install 'landmarq"), (_damaged, "damaged"), (_unprojected, "fit_projection")],
)
def test_unusable_weights(spoil: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    file = tmp_path / "xfeat.npz"
    file.write_bytes(WEIGHTS.read_bytes())
    spoil(file)
    with pytest.raises(ExtractorUnavailable, match=message):
        XFeatExtractor(weights=file).load()


def test_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ExtractorUnavailable, match=r"pip install 'landmarq\[extract\]'"):
        XFeatExtractor().load()


@tensorflow
def test_another_keras_backend_is_refused() -> None:
    code = (
        "from recognition.extractors import create; from recognition.errors import ExtractorUnavailable\n"
        "try: create('xfeat').load()\n"
        "except ExtractorUnavailable as error: print(error)"
    )
    environment = {"KERAS_BACKEND": "numpy", "PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, timeout=120, capture_output=True, text=True
    )
    assert "KERAS_BACKEND" in done.stdout


@pytest.mark.parametrize("options", [{"image_side": 16}, {"scales": ()}, {"scales": (1.0, 0.0)}, {"batch_size": 0}])
def test_refuses_parameters(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        XFeatExtractor(**options)  # type: ignore[arg-type]
