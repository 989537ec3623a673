"""Opening an index: segments merged, removals left out, arrays mapped, mismatches refused."""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.errors import (
    FingerprintMismatch,
    GenerationMissing,
    IndexMissing,
)
from recognition.index.store import Index, Store
from recognition.index.writer import Writer
from tests.support.indexes import FINGERPRINT, THUMBNAIL, add, build, features, landmark, sha


def names(index: Index) -> list[str]:
    return [image.name for image in index.images()]


def test_no_index(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        store = Store(path)
        for read in (store.current, store.open, store.check, store.prune):
            with pytest.raises(IndexMissing, match="landmarq index build"):
                read()
        assert store.generations() == []
    assert not (tmp_path / "nowhere").exists()


def test_round_trip_over_two_segments(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(3), range(3, 5))
    index = store.open()
    assert (index.generation, index.fingerprint, index.dimension) == (2, FINGERPRINT, 40)
    assert (len(index), index.descriptor_count, index.landmark_count) == (5, 100, 3)
    assert index.boundaries.tolist() == [20, 40, 60, 80, 100]
    assert index.boundaries.dtype == np.int64
    assert index.landmark_of.tolist() == [0, 0, 1, 1, 2]
    assert index.landmark_of.dtype == np.int32
    assert [len(block) for block in index.blocks] == [60, 40]
    stacked = np.concatenate(index.blocks)
    for i in range(5):
        expected = features(i)
        np.testing.assert_array_equal(index.descriptors(i), expected.descriptors)
        np.testing.assert_array_equal(stacked[i * 20 : i * 20 + 20], expected.descriptors)
        np.testing.assert_array_equal(index.locations(i), expected.locations)
        np.testing.assert_array_equal(index.scales(i), expected.scales)
        assert index.image(i).sha256 == sha(i)
        assert index.landmark(int(index.landmark_of[i])) == landmark(i // 2)
        assert index.thumbnail(i).shape == (60, 80, 3)
        assert index.thumbnail_jpeg(i) == THUMBNAIL
    for wrong in (-1, 5):
        with pytest.raises(IndexError, match="holds 5"):
            index.image(wrong)


def test_no_handle_stays_open_and_blocks_are_mapped(tmp_path: Path) -> None:
    index = build(tmp_path / "index", range(3)).open()
    assert all(isinstance(block, np.memmap) for block in index.blocks)
    opened = [file.path for file in psutil.Process().open_files()]
    assert sum(str(tmp_path) in path for path in opened) <= 1  # the mapping's own


def _read_in_child(index: Index, results: multiprocessing.SimpleQueue[float]) -> None:
    results.put(float(sum(block.sum() for block in index.blocks)))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12: BLAS has threads
def test_an_opened_index_survives_a_fork(tmp_path: Path) -> None:
    index = build(tmp_path / "index", range(3)).open()
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=_read_in_child, args=(index, results))
    child.start()
    assert results.get() == float(sum(block.sum() for block in index.blocks))
    child.join()
    assert child.exitcode == 0


def test_places_and_sizes_of_several_images_at_once(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(3), range(3, 6))
    with Writer(store, FINGERPRINT, 40) as writer:
        assert [writer.remove(f"{i}.jpg") for i in (1, 3)] == [1, 1]
        writer.commit()
    index = store.open()
    images, rows = np.array([3, 0, 2, 1, 3], np.int32), np.array([0, 19, 5, 7, 19], np.int32)
    expected = [index.locations(i)[row] for i, row in zip(images.tolist(), rows.tolist(), strict=True)]
    np.testing.assert_array_equal(index.locations_at(images, rows), expected)
    assert index.sizes(images).tolist() == [list(index.image(i).size) for i in images.tolist()]
    assert index.locations_at(images[:0], rows[:0]).shape == (0, 2)


def test_removed_images_are_in_no_block(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(6), range(6, 9))
    with Writer(store, FINGERPRINT) as writer:
        for i in (0, 3, 8):
            assert writer.remove(f"{i}.jpg") == 1
        writer.commit()
    index = store.open()
    assert names(index) == ["1.jpg", "2.jpg", "4.jpg", "5.jpg", "6.jpg", "7.jpg"]
    assert [len(block) for block in index.blocks] == [40, 40, 40]  # adjacent live images share one
    live = [1, 2, 4, 5, 6, 7]
    np.testing.assert_array_equal(np.concatenate(index.blocks), np.concatenate([features(i).descriptors for i in live]))
    assert index.boundaries.tolist() == [20, 40, 60, 80, 100, 120]
    assert [index.landmark(int(j)).id for j in index.landmark_of] == [f"landmark-{i // 2}" for i in live]
    assert index.landmark_count == 4  # landmark 4 was only on image 8


@settings(max_examples=25)
@given(st.lists(st.integers(0, 11), min_size=12, max_size=12), st.sets(st.integers(0, 11), max_size=11))
def test_any_removal_keeps_rows_and_images_together(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], removed: set[int]
) -> None:
    store = Store(tmp_path_factory.mktemp("index"))
    with Writer(store, FINGERPRINT, spill_images=5) as writer:
        for i, size in enumerate(sizes):
            add(writer, i, size + 1)
        writer.commit()
        for i in removed:
            writer.remove(sha(i))
        writer.commit()
    index = store.open()
    live = [i for i in range(12) if i not in removed]
    assert names(index) == [f"{i}.jpg" for i in live]
    stacked, start = np.concatenate(index.blocks), 0
    for position, i in enumerate(live):
        end = int(index.boundaries[position])
        np.testing.assert_array_equal(stacked[start:end], features(i, sizes[i] + 1).descriptors)
        np.testing.assert_array_equal(index.descriptors(position), stacked[start:end])
        start = end
    assert start == len(stacked) == index.descriptor_count


def test_the_latest_description_of_a_landmark_wins(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(2))
    with Writer(store, FINGERPRINT) as writer:
        writer.add(
            features(9),
            name="new.jpg",
            sha256=sha(9),
            landmark=landmark(0, title="Better", latitude=None, longitude=None, metadata={"city": "Rome"}),
            thumbnail=THUMBNAIL,
        )
        writer.commit()
    index = store.open()
    assert index.landmark_count == 1
    assert index.landmark_of.tolist() == [0, 0, 0]
    assert (index.landmark(0).title, index.landmark(0).latitude, index.landmark(0).metadata) == (
        "Better",
        None,
        {"city": "Rome"},
    )
    assert store.open(1).landmark(0).title == "Landmark 0"


def test_an_emptied_index_says_so(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(2))
    with Writer(store, FINGERPRINT) as writer:
        writer.remove("0.jpg")
        writer.remove("1.jpg")
        assert writer.commit() == 2
    with pytest.raises(IndexMissing, match=r"holds no images: add some with `landmarq index add`"):
        store.open()
    with Writer(store, "other@1") as writer:  # nothing is left to be compared with
        writer.add(features(5, extractor="other@1"), name="5", sha256=sha(5), landmark=landmark(1), thumbnail=THUMBNAIL)
        writer.commit()
    assert store.open().fingerprint == "other@1"


def test_expected_fingerprint(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(2))
    assert len(store.open(expected_fingerprint=FINGERPRINT)) == 2
    with pytest.raises(
        FingerprintMismatch, match=f"{FINGERPRINT}, the extractor in use is delf@1.*build the index anew"
    ):
        store.open(expected_fingerprint="delf@1")


def test_two_fingerprints_in_one_generation(tmp_path: Path) -> None:
    first = build(tmp_path / "index", range(2))
    second = Store(tmp_path / "other")
    with Writer(second, "other@1") as writer:
        writer.add(features(5, extractor="other@1"), name="5", sha256=sha(5), landmark=landmark(1), thumbnail=THUMBNAIL)
        writer.commit()
    (entry,) = second.read(1).segments
    (second.segments / entry.file).rename(first.segments / entry.file)
    first.publish(FINGERPRINT, 40, (*first.read(1).segments, entry))
    with pytest.raises(FingerprintMismatch, match=f"other@1, the index those of {FINGERPRINT}"):
        first.open()
    assert any("other@1" in problem for problem in first.check())


def test_a_stamp_tells_an_index_from_one_built_anew_with_the_same_number(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(2))
    first = store.stamp(store.current())
    assert store.stamp(1) == first
    shutil.rmtree(store.path)
    build(tmp_path / "index", range(2))
    assert store.stamp(store.current()) != first
    with pytest.raises(GenerationMissing, match="no generation 7"):
        store.stamp(7)
