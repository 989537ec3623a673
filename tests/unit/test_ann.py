"""Inverted lists and the search in them: against the exact search, and through the life of an index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.errors import SegmentCorrupt
from recognition.index import segment
from recognition.index.store import Store
from recognition.index.writer import Writer
from recognition.search import AnnSearcher, ExactSearcher, KDTreeSearcher, Part, make_searcher
from recognition.search.lists import Lists, make_lists
from tests.support.indexes import FINGERPRINT, add, build, features, sha


def unit(rng: np.random.Generator, n: int, dimension: int = 8) -> np.ndarray:
    rows = rng.normal(size=(n, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def runs_of(live: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.diff(live, prepend=False, append=False)).reshape(-1, 2)


@st.composite
def parts(draw: st.DrawFn) -> list[Part]:
    """One to three parts with repeated descriptors and gaps, some with lists."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    made, first = [], 0
    for _ in range(draw(st.integers(1, 3))):
        n = draw(st.integers(1, 120))
        rows = unit(rng, draw(st.integers(1, 60)))
        rows = rows[rng.integers(len(rows), size=n)]
        live = rng.random(n) < draw(st.sampled_from([0.3, 0.8, 1]))
        live[rng.integers(n)] = True
        lists = make_lists(rows, length=draw(st.integers(1, 40))) if draw(st.booleans()) else None
        made.append(Part(rows, runs_of(live), first, lists))
        first += int(live.sum())
    return made


@settings(max_examples=80)
@given(parts=parts(), m=st.integers(1, 20), k=st.integers(1, 8), bound=st.floats(0.2, 2), seed=st.integers(0, 99))
def test_with_every_list_probed_it_is_the_exact_search_to_the_bit(
    parts: list[Part], m: int, k: int, bound: float, seed: int
) -> None:
    queries = unit(np.random.default_rng(seed), m)
    arrays = [array for part in parts for array in part.arrays]
    expected = ExactSearcher(arrays).search(queries, k=k, max_distance=bound)
    found = AnnSearcher(parts, probed=1.0).search(queries, k=k, max_distance=bound)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@given(parts=parts())
def test_rows_are_numbered_as_in_the_index(parts: list[Part]) -> None:
    count = 0
    for part in parts:
        numbers = part.numbers(np.arange(len(part.descriptors)))
        live = np.concatenate([np.arange(start, end) for start, end in part.runs])
        np.testing.assert_array_equal(numbers[live], np.arange(count, count + len(live)))
        assert (np.delete(numbers, live) == -1).all()
        count += len(live)


@given(seed=st.integers(0, 99), n=st.integers(1, 300), length=st.integers(1, 300))
def test_every_row_is_in_one_list_the_same_each_time(seed: int, n: int, length: int) -> None:
    rows = unit(np.random.default_rng(seed), n)
    lists, again = make_lists(rows, length=length), make_lists(rows, length=length)
    assert sorted(lists.order.tolist()) == list(range(n))
    assert lists.ends[-1] == n
    np.testing.assert_allclose(np.linalg.norm(lists.centroids, axis=1), 1, atol=1e-5)
    for name in Lists.__slots__:
        np.testing.assert_array_equal(getattr(lists, name), getattr(again, name))
    owner = (rows @ lists.centroids.T).argmax(axis=1)
    for i in range(len(lists.ends)):
        assert (owner[lists.rows(i)] == i).all()


def test_what_it_finds_is_near_and_most_of_it_is_the_nearest() -> None:
    rng = np.random.default_rng(7)
    centres = unit(rng, 300, 40)
    rows = centres[rng.integers(300, size=8000)] + rng.normal(0, 0.08, (8000, 40)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries = rows[::40] + rng.normal(0, 0.05, (200, 40)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    part = Part(rows, np.array([[0, 8000]]), 0, make_lists(rows, length=100))
    distances, found = AnnSearcher([part]).search(queries, k=1, max_distance=0.8)
    _, truth = ExactSearcher([rows]).search(queries, k=1, max_distance=0.8)
    assert (found == truth).mean() > 0.95
    measured = np.linalg.norm(queries - rows[found[:, 0]], axis=1)
    np.testing.assert_array_equal(distances[:, 0], measured)


def test_auto_compares_everything_until_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recognition.search.EXACT_MAX_DESCRIPTORS", 20)
    rows = unit(np.random.default_rng(5), 21)
    for count, kind in ((1, ExactSearcher), (20, ExactSearcher), (21, AnnSearcher)):
        assert isinstance(make_searcher([Part(rows, np.array([[0, count]]))]), kind)
    for method, kind in (("kdtree", KDTreeSearcher), ("exact", ExactSearcher), ("ann", AnnSearcher)):
        assert isinstance(make_searcher([Part(rows, np.array([[0, 15]]))], method), kind)  # type: ignore[arg-type]


@pytest.fixture
def listed() -> Iterator[None]:
    """Segments get lists from 100 descriptors on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "LEAST", 100)
        yield


@pytest.mark.usefixtures("listed")
def test_large_segments_have_lists_through_the_life_of_an_index(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(8), range(8, 10))
    index = store.open()
    assert [part.lists is not None for part in index.parts] == [True, False]
    with Writer(store, FINGERPRINT) as writer:
        writer.remove("3.jpg")
        for seed in range(20, 26):
            add(writer, seed)
        writer.commit()
    index = store.open()
    assert [part.lists is not None for part in index.parts] == [True, False, True]
    for i, image in enumerate(index.images()):
        mine = features(int(image.name.removesuffix(".jpg"))).descriptors
        _, found = AnnSearcher(index.parts, probed=1.0).search(mine, k=1, max_distance=0.8)
        np.testing.assert_array_equal(np.searchsorted(index.boundaries, found[:, 0], side="right"), i)
    gone = AnnSearcher(index.parts, probed=1.0).search(features(3).descriptors, k=1, max_distance=0.1)
    assert np.isinf(gone[0]).all()
    store.rollback(1)
    assert len(store.open()) == 8
    assert store.prune(keep=1) == [2]
    assert store.check() == []


@pytest.mark.usefixtures("listed")
def test_damaged_lists_are_found_when_the_index_is_opened(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(8))
    (entry,) = store.read(1).segments
    path = store.segments / entry.file
    with h5py.File(path, "r") as file:
        place = file["lists/order"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(SegmentCorrupt, match="damaged"):
        store.open()
    assert any(path.name in problem for problem in store.check())


def test_an_index_without_lists_is_compared_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = build(tmp_path / "index", range(4)).open()
    assert AnnSearcher(index.parts).unlisted == 0
    monkeypatch.setattr("recognition.search.ann.LEAST", 80)
    assert AnnSearcher(index.parts).unlisted == 80
    queries = features(2).descriptors
    exact = make_searcher(index.parts, "exact").search(queries, k=3, max_distance=2)
    ann = make_searcher(index.parts, "ann").search(queries, k=3, max_distance=2)
    np.testing.assert_array_equal(ann[1], exact[1])
    np.testing.assert_array_equal(ann[0], exact[0])


@pytest.mark.usefixtures("listed")
def test_small_segments_that_are_merged_get_lists(tmp_path: Path) -> None:
    store = Store(tmp_path / "index")
    for seed in range(6):
        with Writer(store, FINGERPRINT, max_segments=4) as writer:
            add(writer, seed, 40)
            writer.commit()
    index = store.open()
    assert index.parts[0].lists is not None
    assert {image.sha256 for image in index.images()} == {sha(seed) for seed in range(6)}
