"""Generations: readers beside writers, rollback, pruning, damage and its discovery."""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

from recognition.errors import (
    GenerationMissing,
    IndexInputError,
    SchemaMismatch,
    SegmentCorrupt,
)
from recognition.index.store import Index, Store
from recognition.index.writer import Writer
from tests.support.indexes import FINGERPRINT, THUMBNAIL, add, build, features


def names(index: Index) -> list[str]:
    return [image.name for image in index.images()]


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0xFF
    path.write_bytes(content)


def test_readers_keep_their_generation(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(3))
    reader = store.open()
    build(tmp_path / "index", range(3, 5))
    with Writer(store, FINGERPRINT, replace=True) as writer:
        add(writer, 7)
        writer.commit()
    assert store.prune(keep=1) == [1, 2]
    assert len(list(store.segments.iterdir())) == 1
    assert names(reader) == ["0.jpg", "1.jpg", "2.jpg"]
    np.testing.assert_array_equal(reader.descriptors(2), features(2).descriptors)
    assert reader.thumbnail(1).shape == (60, 80, 3)
    assert names(store.open()) == ["7.jpg"]


def test_rollback_and_the_generation_after_it(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(2), range(2, 4))
    store.rollback(1)
    assert store.current() == 1
    assert len(store.open()) == 2
    assert store.generations() == [1, 2]
    build(tmp_path / "index", range(8, 9))
    assert store.current() == 3
    assert names(store.open()) == ["0.jpg", "1.jpg", "8.jpg"]
    store.rollback(2)  # forward again
    assert len(store.open()) == 4


def test_rollback_to_something_unusable_changes_nothing(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(2), range(2, 4))
    with pytest.raises(GenerationMissing, match=r"no generation 7 .*there are 1, 2"):
        store.rollback(7)
    (entry,) = store.read(1).segments
    (store.segments / entry.file).unlink()
    with pytest.raises(SegmentCorrupt, match="is missing"):
        store.rollback(1)
    assert store.current() == 2


def test_prune_keeps_the_current_one_and_shared_segments(tmp_path: Path) -> None:
    store = build(tmp_path / "index", *(range(i, i + 1) for i in range(5)))
    store.rollback(1)
    assert store.prune(keep=2) == [2, 3]
    assert store.generations() == [1, 4, 5]
    assert len(list(store.segments.iterdir())) == 5  # generation 5 lists them all
    assert store.check() == []
    with pytest.raises(IndexInputError, match="not 0"):
        store.prune(keep=0)
    with pytest.raises(GenerationMissing):
        store.open(2)


def test_current_is_garbage(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(2))
    (store.path / "CURRENT").write_bytes(b"\xff\x00what")
    for read in (store.current, store.open):
        with pytest.raises(SegmentCorrupt, match=r"CURRENT names no generation .*roll back"):
            read()
    assert len(store.check()) == 1
    store.rollback(1)
    assert len(store.open()) == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"schema_version": 1, "checksum": 3}'])
def test_generation_file_is_garbage(tmp_path: Path, content: bytes) -> None:
    store = build(tmp_path / "index", range(2))
    (store.path / "generations" / "1.json").write_bytes(content)
    with pytest.raises(SegmentCorrupt, match=r"1\.json can't be read"):
        store.open()


def test_generation_file_with_a_changed_value_or_another_schema(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(2))
    path = store.path / "generations" / "1.json"
    content = json.loads(path.read_bytes())
    path.write_text(json.dumps(content | {"dimension": 41}))
    with pytest.raises(SegmentCorrupt, match="checksum"):
        store.open()
    path.write_text(json.dumps(content | {"schema_version": 2}))
    with pytest.raises(SchemaMismatch, match="schema version 2"):
        store.open()
    path.write_text(json.dumps(content))
    assert len(store.open()) == 2


def test_check_finds_a_flipped_byte_in_each_region(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(3))
    assert store.check() == []
    (entry,) = store.read(1).segments
    path = store.segments / entry.file
    pristine = path.read_bytes()
    tables = next(i for i in range(len(pristine)) if not any(a <= i < a + n for a, n in entry.bulk))
    for offset in [tables, *(start + length // 2 for start, length in entry.bulk)]:
        flip(path, offset)
        problems = store.check()
        assert problems
        assert all(entry.file in problem for problem in problems)
        path.write_bytes(pristine)
    path.unlink()
    assert any("missing" in problem for problem in store.check())


def test_check_looks_at_every_generation(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(3))
    with Writer(store, FINGERPRINT, replace=True) as writer:
        add(writer, 5)
        writer.commit()
    (entry,) = store.read(1).segments
    flip(store.segments / entry.file, entry.bulk[0][0])
    assert len(store.check()) == 1
    assert len(store.open()) == 1
    flip(store.path / "generations" / "2.json", 40)
    assert len(store.check()) == 2


def test_a_damaged_thumbnail(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(1))
    (entry,) = store.read(1).segments
    path = store.segments / entry.file
    start = path.read_bytes().index(THUMBNAIL)
    flip(path, start)
    with pytest.raises(SegmentCorrupt, match="thumbnail"):
        store.open().thumbnail(0)


def _publish_for_ever(path: Path, stop: multiprocessing.synchronize.Event) -> None:
    store, generation = Store(path), 1
    while not stop.is_set():
        with Writer(store, FINGERPRINT, replace=True) as writer:
            for i in range(3):
                add(writer, generation * 10 + i, n=5)
            generation = writer.commit()
        store.prune(keep=1)


def test_reading_while_another_process_publishes_and_prunes(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(3), n=5)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    child = context.Process(target=_publish_for_ever, args=(store.path, stop))
    child.start()
    try:
        seen: set[int] = set()
        deadline = time.monotonic() + 60
        while len(seen) < 8 and time.monotonic() < deadline:
            index = store.open()
            seen.add(index.generation)
            assert len(index) == 3
            for i in range(3):
                number = int(index.image(i).name.removesuffix(".jpg"))
                np.testing.assert_array_equal(index.descriptors(i), features(number, 5).descriptors)
    finally:
        stop.set()
        child.join(30)
    assert child.exitcode == 0
    assert len(seen) == 8
