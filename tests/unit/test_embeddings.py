"""Embeddings through the index: stored, mapped, compared, mixed with images that have none, and never with others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recognition.errors import FingerprintMismatch
from recognition.features import Features
from recognition.index.segment import Segment
from recognition.index.store import Index, Store
from recognition.index.writer import Writer
from recognition.match import Candidates, match
from recognition.profiles import DEFAULT, MatchParams, RankParams
from recognition.recognize import verify_and_rank
from recognition.search import make_searcher
from tests.support.indexes import EMBEDDING, FINGERPRINT, THUMBNAIL, embedded, landmark, sha
from tests.support.scenes import index_of, mixed, scenes, seen_from


def scene(seed: int) -> Features:
    return embedded(scenes(seed + 1)[seed], seed)


def add(writer: Writer, seed: int, features: Features) -> None:
    writer.add(features, name=f"{seed}.jpg", sha256=sha(seed), landmark=landmark(seed), thumbnail=THUMBNAIL)


def store_of(path: Path, *batches: dict[int, Features], **options: int) -> Store:
    """One generation, and one more segment, per batch."""
    store = Store(path)
    for batch in batches:
        with Writer(store, FINGERPRINT, 40, **options) as writer:
            for seed, features in batch.items():
                add(writer, seed, features)
            writer.commit()
    return store


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return index_of(tmp_path, [scene(seed) for seed in range(6)])


def run(features: Features, index: Index, **changes: int) -> Candidates:
    return match(features, index, make_searcher(index.parts), replace(MatchParams(), **changes))


# Stored


def test_the_index_compares_a_photograph_with_every_image(index: Index) -> None:
    assert index.embedder == scene(0).embedder
    expected = [scene(seed).embedding @ scene(2).embedding for seed in range(6)]
    np.testing.assert_allclose(index.similarities(scene(2).embedding), expected, atol=1e-6)
    assert expected[2] == pytest.approx(1)


def test_embeddings_are_mapped_not_copied(tmp_path: Path) -> None:
    store = store_of(tmp_path, {0: scene(0)})
    (segment,) = store.open_segments(store.read(1))
    assert isinstance(segment.embeddings, np.memmap)
    assert segment.embeddings.ctypes.data % 64 == 0
    assert not segment.embeddings.flags.writeable


def test_images_with_and_without_embeddings_share_an_index(tmp_path: Path) -> None:
    bare = scenes(5)
    store = store_of(tmp_path, {0: scene(0), 1: bare[1]}, {2: bare[2]}, {3: scene(3), 4: scene(4)})
    with Writer(store, FINGERPRINT) as writer:
        writer.remove("3.jpg")
        writer.commit()
    index = store.open()
    found = index.similarities(scene(4).embedding)
    np.testing.assert_allclose(found, [scene(0).embedding @ scene(4).embedding, 0, 0, 1], atol=1e-6)


def test_an_index_without_embeddings_names_no_embedder(tmp_path: Path) -> None:
    index = index_of(tmp_path, scenes(3))
    assert index.embedder == ""
    assert index.similarities(np.ones(EMBEDDING, np.float32)).tolist() == [0, 0, 0]


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    store = store_of(tmp_path, {0: scene(0), 1: scenes(2)[1]})
    (segment,) = store.open_segments(store.read(1))
    first, second = segment.live_rows()
    np.testing.assert_array_equal(first.features.embedding, scene(0).embedding)
    assert first.features.embedder == scene(0).embedder
    assert (second.features.embedding, second.features.embedder) == (None, "")


def test_merged_segments_keep_their_embeddings(tmp_path: Path) -> None:
    batches = [{seed: scene(seed)} for seed in range(4)]
    store = store_of(tmp_path, *batches, max_segments=2, spill_descriptors=100_000)
    segments = store.read(store.current()).segments
    assert len(segments) <= 2
    assert isinstance(store.open_segments(store.read(store.current()))[0], Segment)
    assert store.open().similarities(scene(1).embedding)[1] == pytest.approx(1)


def test_embeddings_of_another_network_are_refused(tmp_path: Path) -> None:
    store = store_of(tmp_path, {0: scene(0)})
    with Writer(store, FINGERPRINT) as writer, pytest.raises(FingerprintMismatch, match="other@1"):
        add(writer, 1, embedded(scenes(2)[1], 1, embedder="other@1"))


# Matched


def test_what_is_similar_as_a_whole_is_a_candidate_without_any_match(index: Index) -> None:
    stranger = scenes(9)[8]
    query = replace(stranger, embedding=scene(4).embedding, embedder=scene(4).embedder)
    found = run(query, index, similar=1)
    assert found.images.tolist() == [4]
    assert found.boundaries.tolist() == [0]
    np.testing.assert_allclose(found.similarities, [1], atol=1e-6)
    assert run(query, index, similar=0).images.tolist() == []


def test_a_wide_query_is_as_similar_as_its_more_similar_half(index: Index) -> None:
    query = replace(scenes(9)[8], embedding=scene(4).embedding, embedder=scene(4).embedder)
    halves = np.stack((scene(1).embedding, scene(2).embedding))
    found = run(replace(query, halves=halves), index, similar=6)
    expected = np.max([[scene(int(i)).embedding @ scene(j).embedding for i in found.images] for j in (1, 2, 4)], axis=0)
    np.testing.assert_allclose(found.similarities, expected, atol=1e-6)
    assert sorted(found.images[:3].tolist()) == [1, 2, 4]


def test_candidates_with_votes_come_first_and_once(index: Index) -> None:
    query = replace(seen_from(scene(3)), embedding=scene(4).embedding, embedder=scene(4).embedder)
    found = run(query, index, similar=6)
    assert found.images[0] == 3
    assert sorted(found.images.tolist()) == list(range(6))
    np.testing.assert_allclose(
        found.similarities, [scene(int(i)).embedding @ scene(4).embedding for i in found.images], atol=1e-6
    )
    back = Candidates.from_bytes(found.to_bytes())
    np.testing.assert_array_equal(back.similarities, found.similarities)


def test_one_side_without_embeddings_is_as_before(index: Index, tmp_path: Path) -> None:
    bare = seen_from(scenes(4)[3])
    found = run(bare, index)
    assert found.similarities is None
    assert Candidates.from_bytes(found.to_bytes()).similarities is None
    other = index_of(tmp_path / "bare", scenes(6))
    whole = run(seen_from(scene(3)), other)
    assert whole.similarities is None
    np.testing.assert_array_equal(whole.images, found.images)
    answers = [
        verify_and_rank(bare, found, index, DEFAULT),
        verify_and_rank(seen_from(scene(3)), whole, other, DEFAULT),
    ]
    scores = [answer.candidates[0].score for answer in answers]
    assert scores[0] == scores[1]
    assert answers[0].candidates[0].similarity is None


def test_a_photograph_without_features_has_no_candidates(index: Index) -> None:
    query = embedded(scenes(1, 0)[0], 4)
    assert run(query, index).images.tolist() == []


def test_embeddings_of_another_network_are_never_compared(index: Index) -> None:
    with pytest.raises(FingerprintMismatch, match="other@1"):
        run(replace(scene(0), embedder="other@1"), index)


# Ranked


def test_similarity_decides_between_equals(index: Index) -> None:
    both = mixed(seen_from(scenes(3)[1]), seen_from(scenes(3)[2]))
    for wanted in (1, 2):
        query = replace(both, embedding=scene(wanted).embedding, embedder=scene(wanted).embedder)
        answer = verify_and_rank(query, run(query, index), index, DEFAULT)
        assert answer.candidates[0].image == f"{wanted}.jpg"
        assert answer.candidates[0].similarity == pytest.approx(1, abs=1e-3)
        assert answer.candidates[0].score == pytest.approx(answer.candidates[0].inliers + 22, rel=0.5)


def test_what_looks_different_as_a_whole_needs_more_inliers(index: Index) -> None:
    query = replace(seen_from(scene(1)), embedding=-scene(1).embedding, embedder=scene(1).embedder)
    alike = verify_and_rank(seen_from(scene(1)), run(seen_from(scene(1)), index), index, DEFAULT)
    apart = verify_and_rank(query, run(query, index), index, DEFAULT)
    assert alike.candidates[0].image == apart.candidates[0].image == "1.jpg"
    assert alike.candidates[0].score > apart.candidates[0].score > 0
    assert all(candidate.score >= 0 for candidate in apart.candidates)


def test_the_weight_of_similarity_is_a_parameter(index: Index) -> None:
    query = seen_from(scene(1))
    found = run(query, index)
    profile = replace(DEFAULT, rank=RankParams(similarity=0.0))
    answer = verify_and_rank(query, found, index, profile)
    bare = verify_and_rank(query, replace(found, similarities=None), index, profile)
    assert answer.candidates[0].score == bare.candidates[0].score


def test_similarity_alone_says_little(index: Index) -> None:
    """Two photographs of different places have cosines up to 0.5: without geometry that is no recognition."""
    stranger = scenes(9)[8]
    rest = embedded(stranger, 77).embedding
    rest = rest - (rest @ scene(4).embedding) * scene(4).embedding
    blend = 0.5 * scene(4).embedding + np.sqrt(0.75) * rest / np.linalg.norm(rest)
    query = replace(stranger, embedding=blend.astype(np.float32), embedder=scene(4).embedder)
    answer = verify_and_rank(query, run(query, index), index, DEFAULT)
    assert answer.candidates[0].image == "4.jpg"
    assert answer.candidates[0].similarity == pytest.approx(0.5, abs=1e-3)
    assert answer.landmark is None
    assert answer.reason is not None
    assert answer.reason["code"] == "no_match"


def test_the_most_similar_photograph_alone_names_nothing(index: Index) -> None:
    query = replace(scenes(9)[8], embedding=scene(4).embedding, embedder=scene(4).embedder)
    answer = verify_and_rank(query, run(query, index), index, replace(DEFAULT, rank=RankParams(threshold=0.1)))
    assert answer.candidates[0].image == "4.jpg"
    assert answer.candidates[0].confidence > 0.1
    assert answer.landmark is None
    assert answer.reason is not None
    assert answer.reason["code"] == "no_match"


# Searched


def test_a_shortlist_is_all_that_is_searched(index: Index) -> None:
    query = replace(seen_from(scene(3)), embedding=scene(4).embedding, embedder=scene(4).embedder)
    found = run(query, index, shortlist=1, max_distance=2.0)
    assert found.images[0] == 4
    assert set(found.images[np.diff(found.boundaries, prepend=0) > 0].tolist()) == {4}


def test_a_shortlist_of_all_images_finds_what_no_shortlist_finds(index: Index) -> None:
    query = replace(seen_from(scene(3), noise=0.1), embedding=scene(3).embedding, embedder=scene(3).embedder)
    whole, listed = (run(query, index, shortlist=count, max_distance=1.2) for count in (0, 6))
    for name in Candidates.__slots__:
        np.testing.assert_array_equal(getattr(listed, name), getattr(whole, name))


def test_a_shortlist_changes_nothing_without_an_embedding(index: Index) -> None:
    whole, listed = (run(seen_from(scenes(4)[3]), index, shortlist=count) for count in (0, 1))
    assert listed.images.tolist() == whole.images.tolist() == [3]
    np.testing.assert_array_equal(listed.distances, whole.distances)
