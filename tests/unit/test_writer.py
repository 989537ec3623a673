"""The writer: duplicates, removal, replacement, atomic commits, and the merging of small segments."""

from __future__ import annotations

from pathlib import Path

import pytest

from recognition.errors import (
    FeaturesError,
    FingerprintMismatch,
    IndexInputError,
    IndexMissing,
    SegmentCorrupt,
)
from recognition.index.store import Store
from recognition.index.writer import Writer
from tests.support.indexes import FINGERPRINT, THUMBNAIL, add, build, features, landmark, sha


def names(store: Store, generation: int | None = None) -> list[str]:
    return [image.name for image in store.open(generation).images()]


def files(path: Path) -> set[str]:
    return {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}


def test_duplicates_are_kept_once(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(2))
    with Writer(store, FINGERPRINT) as writer:
        assert sha(0) in writer
        assert not add(writer, 0)
        assert add(writer, 2)
        assert not add(writer, 2)
        assert len(writer) == 3
        writer.commit()
    assert names(store) == ["0.jpg", "1.jpg", "2.jpg"]


def test_a_removed_image_can_be_added_again(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(2))
    with Writer(store, FINGERPRINT) as writer:
        assert writer.remove(sha(0)) == 1
        writer.commit()
    assert names(store) == ["1.jpg"]
    with Writer(store, FINGERPRINT) as writer:
        assert add(writer, 0, title="Corrected")
        writer.commit()
    index = store.open()
    assert names(store) == ["1.jpg", "0.jpg"]
    assert index.landmark_count == 1
    assert index.landmark(0).title == "Corrected"
    assert names(store, 1) == ["0.jpg", "1.jpg"]


def test_removal_before_the_commit(tmp_path: Path) -> None:
    store = Store(tmp_path / "index")
    with Writer(store, FINGERPRINT, spill_images=2) as writer:
        for seed in range(3):  # two in a segment, one still in memory
            add(writer, seed)
        writer.remove("0.jpg")
        writer.remove("2.jpg")
        assert sha(2) not in writer
        add(writer, 0)
        writer.commit()
    assert names(store) == ["1.jpg", "0.jpg"]


def test_removing_by_name_takes_all_of_that_name(tmp_path: Path) -> None:
    store = Store(tmp_path / "index")
    with Writer(store, FINGERPRINT) as writer:
        for seed in range(3):
            writer.add(features(seed), name="same.jpg", sha256=sha(seed), landmark=landmark(0), thumbnail=THUMBNAIL)
        add(writer, 5)
        assert writer.remove("same.jpg") == 3
        with pytest.raises(IndexInputError, match=r"no image with the name or sha256 'same\.jpg'"):
            writer.remove("same.jpg")
        writer.commit()
    assert names(store) == ["5.jpg"]


def test_spilled_segments_appear_in_one_generation(tmp_path: Path) -> None:
    store = Store(tmp_path / "index")
    with Writer(store, FINGERPRINT, spill_descriptors=100) as writer:
        for seed in range(12):
            add(writer, seed, n=20)
        assert len(list(store.segments.glob("*.h5"))) == 2
        with pytest.raises(IndexMissing):
            store.current()
        assert writer.commit() == 1
    assert [entry.descriptors for entry in store.read(1).segments] == [100, 100, 40]
    assert len(store.open()) == 12
    assert store.check() == []


def test_replace_holds_only_what_was_added(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(3))
    with Writer(store, FINGERPRINT, replace=True) as writer:
        assert add(writer, 0)
        writer.commit()
    assert names(store) == ["0.jpg"]
    store.rollback(1)
    assert len(store.open()) == 3


def test_replace_works_on_a_damaged_index(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(3))
    for file in [*store.segments.iterdir(), store.path / "generations" / "1.json", store.path / "CURRENT"]:
        file.write_bytes(b"damaged")
    with pytest.raises(SegmentCorrupt), Writer(store, FINGERPRINT):
        pass
    with Writer(store, FINGERPRINT, replace=True) as writer:
        add(writer, 4)
        assert writer.commit() == 2
    assert names(store) == ["4.jpg"]


def test_several_commits_of_one_writer(tmp_path: Path) -> None:
    store = Store(tmp_path / "index")
    with Writer(store, FINGERPRINT) as writer:
        for seed in range(3):
            add(writer, seed)
            assert writer.commit() == seed + 1
    assert [len(store.open(generation)) for generation in (1, 2, 3)] == [1, 2, 3]


def test_many_small_segments_are_written_together(tmp_path: Path) -> None:
    store = build(tmp_path / "index", *(range(i, i + 1) for i in range(5)))
    with Writer(store, FINGERPRINT) as writer:
        writer.remove("1.jpg")
        writer.commit()
    with Writer(store, FINGERPRINT, max_segments=4) as writer:
        add(writer, 0, title="never used: a duplicate")
        add(writer, 6, title="Latest")
        writer.commit()
    assert len(store.read(store.current()).segments) == 1
    index = store.open()
    assert names(store) == ["0.jpg", "2.jpg", "3.jpg", "4.jpg", "6.jpg"]
    for position, seed in enumerate((0, 2, 3, 4, 6)):
        assert (index.descriptors(position) == features(seed).descriptors).all()
        assert (index.locations(position) == features(seed).locations).all()
        assert (index.scales(position) == features(seed).scales).all()
        assert index.landmark(int(index.landmark_of[position])).id == f"landmark-{seed // 2}"
    assert index.landmark(index.landmark_count - 1).title == "Latest"
    assert store.check() == []
    assert len(store.open(5)) == 5  # the old generations keep their segments


def test_large_segments_are_not_written_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "index")
    for batch in range(4):
        with Writer(store, FINGERPRINT, spill_descriptors=200, max_segments=2) as writer:
            add(writer, batch, n=300 if batch < 2 else 10)
            writer.commit()
    assert [entry.descriptors for entry in store.read(4).segments] == [300, 300, 20]


def test_leaving_without_commit_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "index")
    with Writer(store, FINGERPRINT, spill_images=2) as writer:
        for seed in range(5):
            add(writer, seed)
    assert not store.path.exists()

    build(tmp_path / "index", range(2))
    before = files(store.path)

    def interrupted() -> None:
        with Writer(store, FINGERPRINT, spill_images=2) as writer:
            for seed in range(2, 7):
                add(writer, seed)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert files(store.path) == before
    assert store.current() == 1


def test_nothing_to_commit(tmp_path: Path) -> None:
    store = Store(tmp_path / "index")
    with pytest.raises(IndexInputError, match="no image was added"), Writer(store, FINGERPRINT) as writer:
        writer.commit()
    assert not store.path.exists()


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with Writer(Store(tmp_path), FINGERPRINT) as writer:
        add(writer, 1)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_features_of_another_extractor(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(2))
    with pytest.raises(FingerprintMismatch, match=rf"{FINGERPRINT}, these are of delf@1.*build the index anew"):
        Writer(store, "delf@1").__enter__()
    with Writer(store, FINGERPRINT) as writer:
        with pytest.raises(FingerprintMismatch, match=r"x\.jpg are of delf@1"):
            writer.add(
                features(9, extractor="delf@1"), name="x.jpg", sha256=sha(9), landmark=landmark(0), thumbnail=THUMBNAIL
            )
        with pytest.raises(FeaturesError, match="length 8, the index's 40"):
            writer.add(features(9, dimension=8), name="x.jpg", sha256=sha(9), landmark=landmark(0), thumbnail=THUMBNAIL)
        with pytest.raises(FeaturesError, match="no features"):
            add(writer, 9, n=0)
        assert len(writer) == 2
    with Writer(store, FINGERPRINT, lock_timeout=0.1):  # the refused writer has let go of the lock
        pass
