"""What an approximate search, or one in a shortlist by embedding, costs in quality and gains in time.

python -m benchmarks.shortlist DATASET INDEX [--shortlists 50 100 300] [--json FILE]

DATASET as for ``landmarq evaluate``, INDEX an index of it (``evaluate --work-dir`` leaves one). Features are extracted
once and then matched, verified and ranked in each way; milliseconds are of processor time, on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.measure import report
from config.settings import load
from landmarq.commands.evaluate import RANKED
from landmarq.datasets import Question, read_dataset
from landmarq.engine import Engine
from landmarq.evaluation import Answer, evaluate
from recognition.features import Features
from recognition.images import decode
from recognition.index.store import Index
from recognition.match import match
from recognition.profiles import MatchParams, Profile
from recognition.recognize import extract, verify_and_rank
from recognition.search import make_searcher

FIGURES = ("top1", "recall@5", "mAP", "µAP", *(f"recognised at {rate}% false accepts" for rate in (0, 1, 5)))


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("index", type=Path)
    parser.add_argument("--shortlists", type=int, nargs="+", default=(50, 100, 300))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    engine = Engine(load(index_dir=arguments.index))
    questions = read_dataset(arguments.dataset, None).questions
    asked = [extract(decode(one.file.read_bytes()), engine.extractor, engine.profile.extract) for one in questions]
    threadpool_limits(1)
    profile = replace(engine.profile, rank=replace(engine.profile.rank, max_candidates=RANKED))
    ways = {
        "exact": replace(profile.match, method="exact"),
        "ann": replace(profile.match, method="ann"),
        **{f"shortlist {count}": replace(profile.match, shortlist=count) for count in arguments.shortlists},
    }
    rows = [
        {"search": name, **_row(questions, asked, engine.index, replace(profile, match=params))}
        for name, params in ways.items()
    ]
    title = f"{len(questions)} photographs, {engine.index.descriptor_count:,} descriptors of {len(engine.index)} images"
    report(title, rows, arguments.json)


def _row(questions: Sequence[Question], asked: Sequence[Features], index: Index, profile: Profile) -> dict[str, float]:
    answers, taken = [], []
    for question, features in zip(questions, asked, strict=True):
        result, ms = _answer(features, index, profile)
        answers.append(Answer(question, result))
        taken.append(ms)
    figures = evaluate(answers, index, {}).figures
    return {
        "match ms, p50": float(np.median(taken)),
        "p95": float(np.percentile(taken, 95)),
        **{name.replace(" false accepts", ""): _value(figures[name]) for name in FIGURES},
    }


def _answer(features: Features, index: Index, profile: Profile) -> tuple[dict[str, object], float]:
    params: MatchParams = profile.match
    searcher = make_searcher(index.parts, params.method)
    start = time.process_time()
    candidates = match(features, index, searcher, params)
    taken = (time.process_time() - start) * 1000
    return verify_and_rank(features, candidates, index, profile).to_dict(), taken


def _value(figure: object) -> float:
    return float(figure)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
