"""Pictures of two landmarks: pairs of query photographs side by side, and whether both are named, each in its half.

python -m benchmarks.collages DATASET INDEX [--pairs 124] [--json FILE]

DATASET as for ``landmarq evaluate``, INDEX an index of it (``evaluate --work-dir`` leaves one). Photographs
that show one landmark are asked too: whatever is named beside it is one too many.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from benchmarks.measure import report
from config.settings import load
from landmarq.datasets import read_dataset
from landmarq.engine import Engine
from recognition.images import Image, decode

HEIGHT = 600


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("index", type=Path)
    parser.add_argument("--pairs", type=int, default=124)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    engine = Engine(load(index_dir=arguments.index, rank={"max_candidates": 100}))
    asked = [question for question in read_dataset(arguments.dataset, None).questions if question.truth]
    order = np.random.default_rng(0).permutation(len(asked))
    count = min(arguments.pairs, len(asked) // 2)
    left, right = (order[i : 2 * count : 2] for i in (0, 1))
    pairs = [(asked[a], asked[b]) for a, b in zip(left, right, strict=True) if asked[a].truth != asked[b].truth]
    answers = [engine.recognize(_beside(a.file, b.file)) for a, b in pairs]
    found = [{landmark["id"] for landmark in answer["landmarks"]} for answer in answers]
    best = [set(list(dict.fromkeys(one["landmark"] for one in answer["candidates"]))[:2]) for answer in answers]
    truths = [{a.truth, b.truth} for a, b in pairs]
    singles = [engine.recognize(one.file.read_bytes())["landmarks"] for pair in pairs for one in pair]
    alone = [[landmark["id"] for landmark in landmarks] for landmarks in singles]
    right = [names[:1] == [one.truth] for names, one in zip(alone, [o for p in pairs for o in p], strict=True)]
    both = [named >= truth for named, truth in zip(found, truths, strict=True)]
    figures = [
        ("collages", "both named", both),
        ("of two that are named alone", "both named", [b for i, b in enumerate(both) if all(right[2 * i : 2 * i + 2])]),
        ("collages", "both are the two best", [two == truth for two, truth in zip(best, truths, strict=True)]),
        ("collages", "one named", [len(named & truth) == 1 for named, truth in zip(found, truths, strict=True)]),
        ("collages", "another named", [bool(named - truth) for named, truth in zip(found, truths, strict=True)]),
        ("single", "first named rightly", right),
        ("single", "a second one named", [len(names) > 1 for names in alone]),
    ]
    rows = [
        {"pictures": pictures, "asked": len(values), "figure": figure, "share": float(np.mean(values))}
        for pictures, figure, values in figures
    ]
    report("two landmarks in one picture", rows, arguments.json)


def _beside(first: Path, second: Path) -> bytes:
    picture = np.hstack([_scaled(decode(file.read_bytes())) for file in (first, second)])
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def _scaled(image: Image) -> Image:
    width = round(image.shape[1] * HEIGHT / image.shape[0])
    return np.asarray(cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    main()
