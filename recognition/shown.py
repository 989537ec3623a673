"""Which of the verified landmarks a picture shows: none, one, or several beside each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from recognition.confidence import Calibration
from recognition.profiles import RankParams
from recognition.score import Scored
from recognition.verify import VerifiedMatch

SAMPLE = 3  # matches that fit an affine transform whatever they are: as evidence, they are none


def shown(best: Mapping[int, Scored], calibration: Calibration, params: RankParams) -> dict[int, float]:
    """The landmarks to name with their confidence, the main one first; none if the best one is not sure.

    Each has to show elsewhere in the picture than those before it, and to stand out from all that are not named yet:
    what is named is no rival, it is another building.

    Args:
        best: of each landmark (its ordinal) its best image, highest score first.
    """

    def sure(landmark: int, named: Collection[int]) -> float:
        return standing(landmark, best, calibration, named)

    able = [each for each in best if calibration.probability(best[each].score, 0) >= params.threshold]
    # The best one alone, then with the second, the third ...: equal scores are rivals for one place, but beside each
    # other both may be right.
    group: list[int] = []
    while able and _elsewhere(able[0], group, best, params):
        group.append(able.pop(0))
        if all(sure(each, group) >= params.threshold for each in group):
            break
    else:
        return {}
    group.sort(key=lambda each: -_extent(best[each].match))  # none of them alone: what fills more of the picture
    named = {each: sure(each, group) for each in group}
    for landmark in able:
        if sure(landmark, named) >= params.threshold and _elsewhere(landmark, named, best, params):
            named[landmark] = sure(landmark, named)
    return named


def standing(landmark: int, best: Mapping[int, Scored], calibration: Calibration, named: Collection[int] = ()) -> float:
    """The confidence of a landmark, in [0, 1], against the best other one that is not named."""
    rivals = (scored.score for other, scored in best.items() if other != landmark and other not in named)
    return calibration.probability(best[landmark].score, next(rivals, 0.0))


def _elsewhere(landmark: int, others: Collection[int], best: Mapping[int, Scored], params: RankParams) -> bool:
    """Whether a landmark has inliers enough to be named, and few of them where the others' are."""
    match = best[landmark].match
    if match.inliers <= SAMPLE:
        return False
    return all(_share_inside(match, best[other].match) <= params.overlap for other in others)


def _share_inside(match: VerifiedMatch, other: VerifiedMatch) -> float:
    """Share of a match's inliers, in [0, 1], that lie where another's do."""
    low, high = _place(other)
    inside = (match.pairs[:, :2] >= low) & (match.pairs[:, :2] <= high)
    return float(inside.all(axis=1).mean())


def _extent(match: VerifiedMatch) -> float:
    """Of the picture, square pixels."""
    low, high = _place(match)
    return float(np.prod(high - low))


def _place(match: VerifiedMatch) -> npt.NDArray[np.float64]:
    """Least and greatest (y, x) of the inliers in the query, float64 [2, 2]; a twentieth of them on each side aside,
    for one stray inlier would stretch the box over the whole picture."""
    place: npt.NDArray[np.float64] = np.quantile(match.pairs[:, :2], (0.05, 0.95), axis=0)
    return place
