"""A straight transcription of the origin's recognition steps: the reference that the `seed` profile is held to.

"Easy Landmark Image Recognition with TensorFlow Hub DELF Module" builds one cKDTree over all descriptors, asks it for
ten neighbours within 0.8, collects per database image the nearest of each query feature through the accumulated
boundaries, and runs one RANSAC per image. Written step by step as there, loops and all; only the seed is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np
from scipy.spatial import cKDTree
from skimage.measure import ransac
from skimage.transform import AffineTransform

from recognition.features import Features


def recognise(
    query: Features, database: Sequence[Features], seed: Callable[[np.ndarray, np.ndarray], int]
) -> dict[int, tuple[int, int]]:
    """Per database image that has any: (putative matches, inliers)."""
    locations_agg = np.concatenate([features.locations for features in database])
    descriptors_agg = np.concatenate([features.descriptors for features in database])
    accumulated_indexes_boundaries = list(accumulate(len(features) for features in database))

    d_tree = cKDTree(descriptors_agg)
    _, indices = d_tree.query(query.descriptors, distance_upper_bound=0.8, k=10)
    unique_indices = sorted(set(indices.flatten()))
    if unique_indices[-1] == descriptors_agg.shape[0]:
        unique_indices = unique_indices[:-1]
    unique_image_indexes = {int(np.argmax(np.array(accumulated_indexes_boundaries) > i)) for i in unique_indices}

    inliers_counts = {}
    for index in sorted(unique_image_indexes):
        start = accumulated_indexes_boundaries[index - 1] if index else 0
        mine = range(start, accumulated_indexes_boundaries[index])
        locations_2_use_query, locations_2_use_db = [], []
        for i, row in enumerate(indices.tolist()):
            for acc_index in row:
                if acc_index in mine:
                    locations_2_use_query.append(query.locations[i])
                    locations_2_use_db.append(locations_agg[acc_index])
                    break
        if len(locations_2_use_db) <= 3:  # as many points as an affine transform fits exactly say nothing
            continue
        source, destination = np.array(locations_2_use_db), np.array(locations_2_use_query)
        _, inliers = ransac(
            (source, destination),
            AffineTransform,
            min_samples=3,
            residual_threshold=20,
            max_trials=1000,
            rng=seed(source, destination),
        )
        if inliers is None or not inliers.any():
            continue
        inliers_counts[index] = (len(source), int(inliers.sum()))
    return inliers_counts
