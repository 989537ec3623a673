"""The DELF extractor on a small module of the real one's layout and signature, and where modules come from."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recognition.errors import ExtractorError, ExtractorUnavailable
from recognition.extractors import hub
from recognition.extractors.base import Image
from recognition.extractors.delf import DelfExtractor
from recognition.features import Features
from recognition.images import resize_long_side
from recognition.index.ingest import ingest
from recognition.index.source import read_source
from recognition.index.store import Store
from recognition.recognize import recognize
from tests.support.delf_module import HANDLE, build_delf_module, preload_cache
from tests.support.photos import photo

SAMPLES = Path(__file__).resolve().parents[2] / "samples"

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_delf_module(tmp_path_factory.mktemp("delf") / "module")


@pytest.fixture(scope="module")
def delf(module: Path) -> DelfExtractor:
    extractor = DelfExtractor(str(module))
    extractor.load()
    return extractor


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every folder that TF-Hub loads from now on."""
    import tensorflow_hub

    load, seen = tensorflow_hub.load, []

    def counted(handle: str) -> Any:
        seen.append(handle)
        return load(handle)

    monkeypatch.setattr(tensorflow_hub, "load", counted)
    return seen


def same(one: Features, other: Features) -> bool:
    return one.to_bytes() == other.to_bytes()


def test_a_photo_becomes_features(delf: DelfExtractor) -> None:
    features = delf.extract([photo(1)], max_features=200)[0]
    n = len(features)
    assert 100 < n <= 200
    assert (features.locations.shape, features.descriptors.shape) == ((n, 2), (n, 40))
    np.testing.assert_allclose(np.linalg.norm(features.descriptors, axis=1), 1, atol=1e-5)
    assert (np.diff(features.scores) < 0).all()
    assert features.scores[0] == 1
    assert (features.scales == 1).all()
    assert features.image_size == (240, 320)
    assert (features.locations >= 0).all()
    assert (features.locations <= [239, 319]).all()
    assert features.extractor == delf.fingerprint


def test_each_image_of_a_list_is_extracted_for_itself(delf: DelfExtractor) -> None:
    images = [photo(1), photo(2, (150, 90)), photo(1)]
    features = delf.extract(images, max_features=50)
    assert [f.image_size for f in features] == [(240, 320), (150, 90), (240, 320)]
    assert same(features[0], features[2])
    assert same(features[1], delf.extract([images[1]], max_features=50)[0])
    assert delf.extract([]) == []


@pytest.mark.parametrize("count", [1, 7])
def test_max_features_are_the_best(delf: DelfExtractor, count: int) -> None:
    some, all_of_them = (delf.extract([photo(3)], max_features=n)[0] for n in (count, 10_000))
    assert len(some) == count < len(all_of_them)
    np.testing.assert_array_equal(some.descriptors, all_of_them.descriptors[:count])


@pytest.mark.parametrize("image", [np.full((120, 90, 3), 128, np.uint8), photo(1, (8, 8)), photo(1, (1, 300))])
def test_an_image_without_features(delf: DelfExtractor, image: Image) -> None:
    features = delf.extract([image])[0]
    assert len(features) == 0
    assert features.descriptors.shape == (0, 40)


def test_locations_are_pixels_of_the_original(module: Path) -> None:
    image = np.full((600, 900, 3), 90, np.uint8)
    image[150:420, 240:690] = 220
    features = DelfExtractor(str(module), image_side=300, image_scales=[1.0]).extract([image])[0]
    corners = np.array([[149.5, 239.5], [149.5, 689.5], [419.5, 239.5], [419.5, 689.5]])
    distance = np.linalg.norm(features.locations[:, None] - corners, axis=2)
    assert sorted(distance.argmin(axis=1)) == [0, 1, 2, 3]
    assert distance.min(axis=1).max() < 9  # three pixels of the image that the network saw
    # The detector is off by the same at each corner, so any error of the mapping would show in the centre.
    np.testing.assert_allclose(features.locations.mean(axis=0), corners.mean(axis=0), atol=1e-3)
    np.testing.assert_array_equal(features.scales, np.float32(3))
    assert features.image_size == (600, 900)


def test_two_photos_of_one_scene_match(delf: DelfExtractor) -> None:
    image = photo(4, (480, 640))
    one, other = delf.extract([image, resize_long_side(image, 400)])
    similarity = one.descriptors @ other.descriptors.T
    nearest = similarity.argmax(axis=1)
    mutual = similarity.argmax(axis=0)[nearest] == np.arange(len(one))
    errors = np.linalg.norm(one.locations - other.locations[nearest] * np.float32(1.6), axis=1)[mutual]
    assert mutual.sum() > 100
    assert (errors < 4).mean() > 0.8


def test_the_whole_pipeline_recognises_a_copy(delf: DelfExtractor, tmp_path: Path) -> None:
    names = ["brandenburg-gate", "colosseum", "taj-mahal"]
    source = tmp_path / "source.csv"
    source.write_text("\n".join(["file,landmark", *(f"{SAMPLES}/index/{name}.jpg,{name}" for name in names)]))
    store = Store(tmp_path / "index")
    ingest(store, read_source(source), lambda image: delf.extract([image])[0], fingerprint=delf.fingerprint)
    found = recognize((SAMPLES / "query" / "colosseum-copy.jpg").read_bytes(), extractor=delf, index=store.open())
    assert found.to_dict()["landmark"]["id"] == "colosseum"


def test_the_handle_is_found_in_a_preloaded_cache(
    module: Path, tmp_path: Path, delf: DelfExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = preload_cache(tmp_path / "mine", HANDLE, module)
    by_argument = DelfExtractor(cache_dir=tmp_path / "mine")
    assert by_argument.handle == HANDLE
    assert same(by_argument.extract([photo(1)])[0], delf.extract([photo(1)])[0])
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "mine"))
    assert hub.resolve(HANDLE) == folder
    import tensorflow_hub

    assert tensorflow_hub.resolve(HANDLE) == str(folder)  # the layout is TF-Hub's, not one of our own


def test_loaded_once_however_many_threads_call(module: Path, loads: list[str]) -> None:
    extractor = DelfExtractor(str(module))
    start = threading.Barrier(6)

    def call(number: int) -> Features:
        start.wait()
        if number % 2:
            extractor.load()
        return extractor.extract([photo(5)], max_features=100)[0]

    with ThreadPoolExecutor(6) as pool:
        features = list(pool.map(call, range(6)))
    assert loads == [str(module)]
    assert all(same(features[0], other) for other in features)


def test_importing_and_the_fingerprint_load_no_tensorflow(module: Path, delf: DelfExtractor) -> None:
    code = f"""
import sys
from recognition.extractors.delf import DelfExtractor
print(DelfExtractor({str(module)!r}).fingerprint)
assert not {{"tensorflow", "tensorflow_hub", "keras"}} & sys.modules.keys()
"""
    root = Path(hub.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == delf.fingerprint


def test_the_fingerprint_is_of_the_module_and_the_parameters(module: Path, tmp_path: Path, delf: DelfExtractor) -> None:
    elsewhere = Path(shutil.copytree(module, tmp_path / "copy"))
    (elsewhere / "tfhub_module.pb").write_bytes(b"")  # no part of what the module computes
    assert DelfExtractor(str(elsewhere)).fingerprint == delf.fingerprint
    assert delf.fingerprint.startswith("delf@")
    (variables,) = (elsewhere / "variables").glob("*.data-*")
    variables.write_bytes(variables.read_bytes()[:-1] + b"?")
    others = [
        DelfExtractor(str(elsewhere)),
        DelfExtractor(str(module), score_threshold=50),
        DelfExtractor(str(module), image_scales=[1.0]),
        DelfExtractor(str(module), image_side=None),
    ]
    assert len({delf.fingerprint, *(other.fingerprint for other in others)}) == 5


@pytest.mark.parametrize("options", [{"image_scales": []}, {"image_scales": [1.0, 0.0]}, {"image_side": 0}])
def test_parameters_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be > 0"):
        DelfExtractor("anywhere", **options)


def nothing(path: Path) -> str:
    return "does not exist"


def a_file(path: Path) -> str:
    path.write_bytes(b"\x1f\x8b")
    return "is a file: unpack it first"


def a_folder_too_deep(path: Path) -> str:
    (path / "delf_1").mkdir(parents=True)
    return "holds no saved_model.pb"


@pytest.mark.parametrize("make", [nothing, a_file, a_folder_too_deep])
def test_a_path_without_a_module(tmp_path: Path, make: Callable[[Path], str]) -> None:
    path = tmp_path / "delf"
    reason = make(path)
    with pytest.raises(ExtractorUnavailable) as caught:
        DelfExtractor(str(path)).load()
    assert caught.value.message.startswith(f"{path} {reason}. LANDMARQ_DELF__HANDLE must be")


def test_a_cache_entry_unpacked_too_deep(tmp_path: Path) -> None:
    (hub.cached_folder(HANDLE, tmp_path) / "delf_1").mkdir(parents=True)
    with pytest.raises(ExtractorUnavailable, match=r"holds no saved_model.pb. To bring the module by hand"):
        DelfExtractor(cache_dir=tmp_path).load()


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def refusing() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(("network", "reason"), [("refusing", "refused"), ("silent", "timed out")])
def test_a_module_that_cannot_be_fetched(
    tmp_path: Path, request: pytest.FixtureRequest, network: str, reason: str
) -> None:
    handle = f"{request.getfixturevalue(network)}/google/delf/1"
    with pytest.raises(ExtractorUnavailable, match=f"could not be fetched: .*{reason}") as caught:
        hub.resolve(handle, cache_dir=tmp_path, silence_s=0.5)
    folder = hub.cached_folder(handle, tmp_path)
    for told in (f"{handle}?tf-hub-format=compressed", "LANDMARQ_DELF__HANDLE", str(folder), "saved_model.pb", "xfeat"):
        assert told in caught.value.message
    assert "Traceback" not in caught.value.message
    assert list(tmp_path.iterdir()) == []  # no lock that the next attempt would wait for


def test_a_download_has_a_deadline(tmp_path: Path, silent: str) -> None:
    extractor = DelfExtractor(f"{silent}/delf", cache_dir=tmp_path, download_timeout_s=0.2)
    with pytest.raises(ExtractorUnavailable, match=r"could not be fetched: not done after 0.2 s"):
        _ = extractor.fingerprint


@pytest.mark.parametrize(
    ("package", "remedy"),
    [("tensorflow", "landmarq[extract]"), ("tensorflow_hub", "landmarq[extract]"), ("pkg_resources", "setuptools<81")],
)
def test_a_missing_package_is_named(
    module: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, remedy: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for extractor in (DelfExtractor(str(module)), DelfExtractor(cache_dir=tmp_path)):
        with pytest.raises(ExtractorUnavailable) as caught:
            extractor.load()
        assert package in caught.value.message
        assert remedy in caught.value.message


def edit(module: Path, change: Callable[[Any], None]) -> str:
    """Change the signatures (a map) in the module's graph file; the module's path."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    file = module / "saved_model.pb"
    graph = SavedModel.FromString(file.read_bytes())
    change(graph.meta_graphs[0].signature_def)
    file.write_bytes(graph.SerializeToString())
    return str(module)


def rename(signatures: Any) -> None:
    signatures["serving"].CopyFrom(signatures.pop("default"))


def without_outputs(signatures: Any) -> None:
    outputs = signatures["default"].outputs
    outputs["boxes"].CopyFrom(outputs.pop("locations"))


def without_inputs(signatures: Any) -> None:
    inputs = signatures["default"].inputs
    inputs["scales"].CopyFrom(inputs.pop("image_scales"))


def swap_outputs(signatures: Any) -> None:
    outputs = signatures["default"].outputs
    locations = outputs.pop("locations")
    outputs["locations"].CopyFrom(outputs["descriptors"])
    outputs["descriptors"].CopyFrom(locations)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (rename, r"no signature 'default' \(it has: serving\)"),
        (without_outputs, "'default' has no output 'locations'"),
        (without_inputs, "'default' has no input 'image_scales'"),
        (swap_outputs, r"does not work: DELF gave locations \[\d+, 40\] and descriptors \[\d+, 2\], not"),
    ],
)
def test_a_module_with_another_signature(
    module: Path, tmp_path: Path, change: Callable[[Any], None], missing: str
) -> None:
    other = edit(Path(shutil.copytree(module, tmp_path / "other")), change)
    with pytest.raises(ExtractorUnavailable, match=missing):
        DelfExtractor(other).load()


def test_a_damaged_module(module: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(module, tmp_path / "other"))
    (other / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(ExtractorUnavailable, match="can't load the module") as caught:
        DelfExtractor(str(other)).load()
    assert "\n" not in caught.value.message


def test_a_failure_on_one_image_is_an_extractor_error(delf: DelfExtractor) -> None:
    with pytest.raises(ExtractorError, match=r"DELF failed on an image of \[40, 40, 2\]"):
        delf.extract([np.zeros((40, 40, 2), np.uint8)])
