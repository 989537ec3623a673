"""One segment file: what goes in comes out, mapped and not loaded; damage is found, and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recognition.errors import FingerprintMismatch, LandmarqError, SchemaMismatch, SegmentCorrupt
from recognition.index.files import digest
from recognition.index.records import Landmark, Row, SegmentEntry
from recognition.index.segment import BULK, Segment, write_segment
from tests.support.indexes import FINGERPRINT, THUMBNAIL, embedded, features, landmark, sha


def rows(images: int = 4, n: int = 12) -> list[Row]:
    return [Row(features(i, n + i), f"{i}.jpg", sha(i), landmark(i // 2), THUMBNAIL + bytes(i)) for i in range(images)]


def reseal(folder: Path, entry: SegmentEntry) -> SegmentEntry:
    """The entry of a file that was changed on purpose, so that its checksums fit."""
    path = folder / entry.file
    return replace(entry, size=path.stat().st_size, sha256=digest(path), head_sha256=digest(path, entry.bulk))


def test_round_trip(tmp_path: Path) -> None:
    written = rows()
    segment = Segment(tmp_path, write_segment(tmp_path, written, FINGERPRINT), FINGERPRINT)
    for i, row in enumerate(written):
        place = segment.rows(i)
        np.testing.assert_array_equal(segment.descriptors[place], row.features.descriptors)
        np.testing.assert_array_equal(segment.locations[place], row.features.locations)
        np.testing.assert_array_equal(segment.scales[place], row.features.scales)
        assert segment.thumbnail(i) == row.thumbnail
        image = segment.image(i)
        assert (image.name, image.sha256, image.landmark, image.size) == (
            row.name,
            row.sha256,
            row.landmark.id,
            (480, 640),
        )
    assert segment.landmarks == [landmark(0), landmark(1)]
    assert segment.boundaries.tolist() == np.cumsum([12, 13, 14, 15]).tolist()
    assert segment.live.all()


def test_arrays_are_mapped_aligned_and_read_only(tmp_path: Path) -> None:
    segment = Segment(tmp_path, write_segment(tmp_path, rows(), FINGERPRINT), FINGERPRINT)
    for array in (segment.descriptors, segment.locations, segment.scales):
        assert isinstance(array, np.memmap)
        assert array.flags.aligned
        assert array.ctypes.data % 64 == 0
        assert not array.flags.writeable
        assert not array.flags.owndata


def test_the_file_is_plain_hdf5(tmp_path: Path) -> None:
    entry = write_segment(tmp_path, rows(), FINGERPRINT)
    with h5py.File(tmp_path / entry.file, "r") as file:
        assert dict(file.attrs)["schema_version"] == 1
        assert file.attrs["fingerprint"] == FINGERPRINT
        assert file.attrs["image_count"] == 4
        assert file["descriptors"].shape == (54, 40)
        assert file["descriptors"].chunks is None
        assert file["descriptors"].compression is None
        assert file["images/name"].asstr()[2] == "2.jpg"
    assert entry.file == f"{entry.sha256[:32]}.h5"
    assert [path.name for path in tmp_path.iterdir()] == [entry.file]  # no temporary file


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.builds(
        Landmark,
        id=texts,
        title=texts,
        latitude=st.none() | st.floats(-90, 90),
        longitude=st.none() | st.floats(-180, 180),
        metadata=st.dictionaries(texts, st.text(max_size=20), max_size=3),
    ),
    texts,
)
def test_any_text_survives(tmp_path: Path, place: Landmark, name: str) -> None:
    row = Row(features(0), name, sha(0), place, THUMBNAIL)
    segment = Segment(tmp_path, write_segment(tmp_path, [row], FINGERPRINT), FINGERPRINT)
    assert segment.landmarks == [place]
    assert segment.image(0).name == name


def test_names_that_are_no_text_are_made_text(tmp_path: Path) -> None:
    row = Row(features(0), "caf\udce9\0.jpg", sha(0), landmark(0), THUMBNAIL)
    assert Segment(tmp_path, write_segment(tmp_path, [row], FINGERPRINT), FINGERPRINT).image(0).name == "caf?.jpg"


def test_the_later_description_of_a_landmark_wins(tmp_path: Path) -> None:
    both = [Row(features(i), f"{i}", sha(i), landmark(7, title=f"title {i}"), THUMBNAIL) for i in range(2)]
    segment = Segment(tmp_path, write_segment(tmp_path, both, FINGERPRINT), FINGERPRINT)
    assert [place.title for place in segment.landmarks] == ["title 1"]


@pytest.mark.parametrize("keep", [0, 0.1, 0.5, 0.9999])
def test_truncated(tmp_path: Path, keep: float) -> None:
    entry = write_segment(tmp_path, rows(), FINGERPRINT)
    path = tmp_path / entry.file
    size = int(entry.size * keep)
    with path.open("r+b") as file:
        file.truncate(size)
    with pytest.raises(SegmentCorrupt, match=f"{entry.file} has {size:,} bytes instead of {entry.size:,}"):
        Segment(tmp_path, entry, FINGERPRINT)


def test_missing(tmp_path: Path) -> None:
    entry = write_segment(tmp_path, rows(), FINGERPRINT)
    (tmp_path / entry.file).unlink()
    with pytest.raises(SegmentCorrupt, match="is missing"):
        Segment(tmp_path, entry, FINGERPRINT)


@settings(max_examples=120)
@given(st.data())
def test_a_flipped_byte_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """In the tables when opening, in the large arrays by the checksum of the whole file."""
    folder = tmp_path_factory.mktemp("segment")
    entry = write_segment(folder, rows(2, 4), FINGERPRINT)
    path = folder / entry.file
    offset = data.draw(st.integers(0, entry.size - 1))
    content = bytearray(path.read_bytes())
    content[offset] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    assert digest(path) != entry.sha256
    if any(start <= offset < start + length for start, length in entry.bulk):
        assert len(Segment(folder, entry, FINGERPRINT).descriptors) == entry.descriptors
    else:
        with pytest.raises(SegmentCorrupt, match=entry.file):
            Segment(folder, entry, FINGERPRINT)
    path.unlink()


@settings(max_examples=80)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_wrong_contents_with_fitting_checksums_never_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, where: int, flip: int
) -> None:
    folder = tmp_path_factory.mktemp("segment")
    entry = write_segment(folder, rows(2, 4), FINGERPRINT)
    path = folder / entry.file
    tables = [i for i in range(800, entry.size) if not any(a <= i < a + n for a, n in entry.bulk)]
    content = bytearray(path.read_bytes())
    content[tables[where % len(tables)]] ^= flip
    path.write_bytes(content)
    try:
        Segment(folder, reseal(folder, entry), FINGERPRINT)
    except LandmarqError as error:
        assert entry.file in str(error)  # noqa: PT017 - either outcome is right
    path.unlink()


def with_embeddings() -> list[Row]:
    return [replace(row, features=embedded(row.features, i)) for i, row in enumerate(rows())]


@pytest.mark.parametrize("make", [rows, with_embeddings])
def test_bulk_is_what_the_format_says(make: Callable[[], list[Row]], tmp_path: Path) -> None:
    entry = write_segment(tmp_path, make(), FINGERPRINT)
    with h5py.File(tmp_path / entry.file, "r") as file:
        assert sum(length for _, length in entry.bulk) == sum(file[name].nbytes for name in BULK if name in file)


def test_other_schema_version(tmp_path: Path) -> None:
    entry = write_segment(tmp_path, rows(), FINGERPRINT)
    with h5py.File(tmp_path / entry.file, "r+") as file:
        file.attrs["schema_version"] = 2
    with pytest.raises(SchemaMismatch, match=r"schema version 2, this release reads 1: build the index anew"):
        Segment(tmp_path, reseal(tmp_path, entry), FINGERPRINT)


def test_other_fingerprint(tmp_path: Path) -> None:
    entry = write_segment(tmp_path, rows(), FINGERPRINT)
    with pytest.raises(FingerprintMismatch, match=f"{FINGERPRINT}, the index those of other@1"):
        Segment(tmp_path, entry, "other@1")


@pytest.mark.parametrize("name", ["descriptors", "locations", "scales", "boundaries", "images/landmark", "images/size"])
def test_other_shapes_and_types(tmp_path: Path, name: str) -> None:
    entry = write_segment(tmp_path, rows(), FINGERPRINT)
    with h5py.File(tmp_path / entry.file, "r+") as file:
        array = file[name][:]
        del file[name]
        file[name] = array.astype(np.float64)
    with pytest.raises(SegmentCorrupt, match=entry.file):
        Segment(tmp_path, reseal(tmp_path, entry), FINGERPRINT)


def test_missing_dataset_and_attribute(tmp_path: Path) -> None:
    entry = write_segment(tmp_path, rows(), FINGERPRINT)
    with h5py.File(tmp_path / entry.file, "r+") as file:
        del file["images"]
    with pytest.raises(SegmentCorrupt, match="can't be read"):
        Segment(tmp_path, reseal(tmp_path, entry), FINGERPRINT)


def test_the_documentation_lists_every_dataset_and_attribute(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "index-format.md").read_text()
    entry = write_segment(tmp_path, with_embeddings(), FINGERPRINT)
    found: dict[str, str] = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            dtype = "string" if h5py.check_string_dtype(item.dtype) and item.dtype.kind == "O" else item.dtype
            found[name] = item.dtype.str.lstrip("|") if item.dtype.kind == "S" else str(dtype)

    with h5py.File(tmp_path / entry.file, "r") as file:
        file.visititems(visit)
        attributes = list(file.attrs)
    assert all(f"| `{name}` | {dtype} | [" in text for name, dtype in found.items())
    assert all(f"| `{name}` |" in text for name in attributes)
