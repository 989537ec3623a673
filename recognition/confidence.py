"""From scores to a calibrated probability that the named landmark is right (Platt, "Probabilistic outputs for
support vector machines", 1999: a logistic curve fitted on answers that were judged)."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.errors import BadCalibration


@dataclass(frozen=True)
class Calibration:
    """P(right) = logistic(intercept + best * ln(1 + score) + second * ln(1 + score of the second landmark)).

    ``rival``: >= 0, the least score that a second landmark is taken to have. Where scores hold similarities, the second
    of a large index always has one; without it, the only landmark of a small index would be right too easily.
    """

    intercept: float
    best: float
    second: float
    rival: float = 0.0

    def probability(self, best: float, second: float) -> float:
        """In [0, 1], for the scores (>= 0) of a landmark and of the best other one."""
        if best <= 0:
            return 0.0
        other = math.log1p(max(second, self.rival))
        return 1 / (1 + math.exp(-(self.intercept + self.best * math.log1p(best) + self.second * other)))

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


@lru_cache(maxsize=8)
def load(extractor: str, embedder: str = "", own: Path | None = None, profile: str = "default") -> Calibration:
    """The calibration in the file ``own``, or the shipped one of an extractor, with an embedder or without.

    Args:
        extractor, embedder: names, or fingerprints ``name@...``; those without a calibration of their own share one.
        profile: its name; one that asks with another number of features has a curve of its own.
        own: what :meth:`Calibration.to_json` gave; read once per process.

    Raises:
        BadCalibration: the file can't be read, or holds something else.
    """
    if own is not None:
        return _read(own)
    names = [name.partition("@")[0] for name in (extractor, embedder) if name]
    default = "default+embedding" if embedder else "default"
    fitted: dict[str, dict[str, float]] = json.loads(files("recognition").joinpath("data/calibration.json").read_text())
    kind = "+".join(names)
    return Calibration(**fitted.get(f"{kind}/{profile}", fitted.get(kind, fitted[default])))


def _read(path: Path) -> Calibration:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Calibration(**{name: float(value) for name, value in found.items()})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadCalibration(f"{path} is no calibration ({error}): make one with `landmarq calibrate`") from error


def fit(scores: npt.ArrayLike, right: npt.ArrayLike, *, rival: float = 0.0, ridge: float = 0.01) -> Calibration:
    """Fit by maximum likelihood with a small ridge, so that separable answers give a finite curve.

    With a rival, both scores weigh the same, and only their ratio counts: with a weight of its own, the second's hung
    on one photograph of five hundred (docs/quality.md).

    Args:
        scores: float [n, 2], scores of the named landmark and of the best other one.
        right: bool [n], whether the named landmark is right (False for every photograph of nothing known).
        rival: as in :class:`Calibration`.
    """
    from scipy.optimize import minimize

    reckoned = np.maximum(np.asarray(scores, float), [0.0, rival])
    logs = np.log1p(reckoned)
    design = np.column_stack((np.ones(len(logs)), logs @ [[1], [-1]] if rival else logs))
    truth = np.asarray(right, float)

    def loss(weights: npt.NDArray[np.float64]) -> float:
        logits = design @ weights
        return float(np.logaddexp(0, logits).sum() - truth @ logits + ridge * weights[1:] @ weights[1:])

    intercept, best, *second = (round(float(w), 4) for w in minimize(loss, np.zeros(design.shape[1])).x)
    return Calibration(intercept, best, second[0] if second else -best, rival)
