"""Blobs on a real server."""

from __future__ import annotations

import pytest

from landmarq.client import Client
from tasks.blobs import NAMES, BlobStore, key


@pytest.fixture
def blobs(client: Client) -> BlobStore:
    return BlobStore(client.jobs.client, ttl_s=60)


def test_reading_leaves_the_blob_there(blobs: BlobStore) -> None:
    data = bytes(range(256)) * 1000
    blobs.put("a", "features", data)
    assert blobs.get("a", "features") == data
    assert blobs.get("a", "features") == data


def test_every_blob_expires(blobs: BlobStore, client: Client) -> None:
    blobs.put("a", "photo", b"x")
    assert 0 < client.jobs.client.ttl(key("a", "photo")) <= 60


def test_what_was_never_put_is_none(blobs: BlobStore) -> None:
    assert blobs.get("nobody", "photo") is None


def test_delete_takes_all_of_a_job_and_nothing_of_another(blobs: BlobStore) -> None:
    for name in NAMES:
        blobs.put("a", name, b"x")
        blobs.put("b", name, b"y")
    assert blobs.delete("a") == 3
    assert [blobs.get("a", name) for name in NAMES] == [None] * 3
    assert [blobs.get("b", name) for name in NAMES] == [b"y"] * 3
