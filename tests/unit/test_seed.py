"""The `seed` profile against the origin's steps (tests/support/origin.py), given the same features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recognition.features import Features
from recognition.match import match
from recognition.profiles import SEED
from recognition.search import make_searcher
from recognition.verify import ransac_seed, verify
from tests.support import origin
from tests.support.indexes import features
from tests.support.scenes import index_of, mixed, seen_from


def square(seed: int, n: int = 200) -> Features:
    """Features of a 256 x 256 crop, as the origin resized every picture, in few dimensions: many chance matches."""
    scene = features(seed, n, dimension=6)
    return replace(
        scene, locations=(scene.locations * (256 / 480, 256 / 640)).astype(np.float32), image_size=(256, 256)
    )


@pytest.mark.parametrize("seed", range(4))
def test_candidates_and_inlier_counts_equal_the_origins(seed: int, tmp_path: Path) -> None:
    database = [square(100 * seed + i) for i in range(8)]
    view = np.array([[0.9, -0.1, 12.0], [0.1, 0.9, 8.0]])
    query = mixed(seen_from(database[3], view, noise=0.05), square(100 * seed + 99))
    expected = origin.recognise(query, database, ransac_seed)
    index = index_of(tmp_path, database)
    found = match(query, index, make_searcher(index.parts, SEED.match.method), SEED.match)
    counted = {m.image: (m.matches, m.inliers) for m in verify(query, found, index, SEED.verify) if not m.refused}
    assert counted == expected
    assert max(counted, key=lambda image: counted[image][1]) == 3
    assert len(counted) > 3, "chance matches make other candidates too"
