"""Named sets of parameters for the whole pipeline: ``default``; ``fast`` and ``accurate``, which ask the same index
with less or more work; and ``seed``, the settings of the origin."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class ExtractParams:
    """How features are extracted.

    ``max_features``: of a photograph to be recognised. ``index_features``: of one of the index.
    ``crop``: > 0 centre-crops and resizes every image to a square of that side first, as the origin did.
    ``turn``: photographs to be recognised that surely lie on a side are turned upright first, by an extractor that can
    tell; those of the index are taken as they are.
    """

    max_features: int = 1000
    index_features: int = 1000
    crop: int = 0
    turn: bool = True


@dataclass(frozen=True)
class MatchParams:
    """How descriptors become candidates.

    ``neighbours``: nearest index descriptors asked for per query descriptor (> 0).
    ``max_distance``: Euclidean distance between unit descriptors, in (0, 2], beyond which nothing is a match.
    ``one_to_one``: an index feature is matched by its nearest query feature only.
    ``max_candidates``: index images handed to verification, those with most putative matches first (0: all).
    ``similar``: index images handed to verification too because, of all, their embeddings are most similar (0: none).
    ``shortlist``: only this many index images, those whose embeddings are most similar, are searched, all of their
        descriptors exactly (0: all images, by ``method``). Without an embedding on both sides it changes nothing.
    """

    method: Literal["auto", "kdtree", "exact", "ann"] = "auto"
    neighbours: int = 5
    max_distance: float = 0.8
    one_to_one: bool = True
    max_candidates: int = 100
    similar: int = 50
    shortlist: int = 0


@dataclass(frozen=True)
class VerifyParams:
    """How a candidate is verified.

    ``frame``: both images are measured as if this side had this length, pixels, so that the residual means the
    same for every photograph: ("long", 640) scales the longer side to 640.
    ``residual``: > 0, pixels of that frame; ``cell``: side of the squares in which inliers count once (0: off).
    ``check_model``: refuse mirrored, collapsed, exploded or sheared transforms.
    """

    method: Literal["fast", "skimage"] = "fast"
    residual: float = 10.0
    max_trials: int = 1000
    min_matches: int = 4
    frame: tuple[Literal["long", "short"], int] = ("long", 640)
    cell: float = 8.0
    check_model: bool = True
    min_scale: float = 0.2
    max_scale: float = 5.0
    max_shear: float = 3.0


@dataclass(frozen=True)
class RankParams:
    """When an answer is given, and what counts for it.

    ``threshold``: least confidence, in [0, 1], at which a landmark is named.
    ``similarity``: >= 0, the effective inliers that embeddings with a cosine of 1 are worth.
    ``support``: >= 0, the share of the score of a landmark's best other image that an image gets on top of its own.
    ``overlap``: in [0, 1], share of a further landmark's inliers that may lie where those of a named one do.
    ``calibration``: a file of `landmarq calibrate`, instead of the shipped curve.
    """

    threshold: float = 0.5
    similarity: float = 22.0
    support: float = 0.1
    overlap: float = 0.2
    calibration: Path | None = None
    max_candidates: int = 5


@dataclass(frozen=True)
class Profile:
    """All parameters of one recognition."""

    name: str = "default"
    extract: ExtractParams = field(default_factory=ExtractParams)
    match: MatchParams = field(default_factory=MatchParams)
    verify: VerifyParams = field(default_factory=VerifyParams)
    rank: RankParams = field(default_factory=RankParams)


DEFAULT = Profile()

# Half the features are half the work of the search, inverted lists a third of it. More than a thousand features gained
# nothing (docs/quality.md, "Presets").
FAST = replace(DEFAULT, name="fast", extract=ExtractParams(max_features=500), match=MatchParams(method="ann"))
# Nothing is left out of a large index: every descriptor is compared, and three times as many images are verified.
ACCURATE = replace(DEFAULT, name="accurate", match=MatchParams(method="exact", max_candidates=300, similar=150))

# "Easy Landmark Image Recognition with TensorFlow Hub DELF Module": 256x256 crops, a cKDTree asked for ten
# neighbours within 0.8, one skimage RANSAC per candidate, and the inlier count alone as the score.
SEED = Profile(
    name="seed",
    extract=ExtractParams(max_features=1000, crop=256, turn=False),
    match=MatchParams(method="kdtree", neighbours=10, max_distance=0.8, one_to_one=False, max_candidates=0, similar=0),
    verify=VerifyParams(method="skimage", residual=20.0, frame=("short", 256), cell=0, check_model=False),
    rank=RankParams(threshold=0.0, support=0.0),
)

PROFILES = {profile.name: profile for profile in (FAST, DEFAULT, ACCURATE, SEED)}
