"""The demo: a whole Landmarq on free ports, the samples through its queue, a table and pictures of what came out."""

from __future__ import annotations

import csv
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from landmarq.background import running
from landmarq.environment import load_settings
from landmarq.errors import StartFailed
from landmarq.indexing import ingest_source
from landmarq.output import Output, table
from landmarq.pictures import write_correspondences
from landmarq.results import percent
from workers.engine import limits

if TYPE_CHECKING:
    from config.settings import Settings
    from landmarq.client import Job

ENOUGH = 8  # of the ten query photographs; none of the unknown ones may be named
WAIT_S = 120.0
MARKER = ".landmarq-demo"


@dataclass(frozen=True)
class Sample:
    """One photograph and its right answer: a title, or None for unknown."""

    file: Path
    expected: str | None


@dataclass(frozen=True)
class Outcome:
    """What became of a sample; ``result`` is the Result JSON."""

    sample: Sample
    result: dict[str, Any]

    @property
    def title(self) -> str | None:
        """The landmark that was named."""
        landmark = self.result["landmark"]
        return str(landmark["title"]) if landmark else None

    @property
    def right(self) -> bool:
        """Whether the answer is the expected one; a failed job never is."""
        return self.result["state"] == "done" and self.title == self.sample.expected


def run_demo(output: Output, samples: Path, folder: Path) -> bool:
    """The demo; whether it went as it should.

    Raises:
        LandmarqError: something could not be started, indexed or recognised at all.
    """
    started = time.monotonic()
    todo = read_samples(samples)
    _fresh(folder)
    data = folder / "data"
    settings = load_settings(data, index_dir=data / "index", discover=False)
    with running(output, settings) as live:
        outcomes, generation = _index_and_recognise(output, live, samples, todo, folder)
    pictures = sum(1 for _ in folder.glob("*.jpg"))
    _report(output, outcomes, folder, time.monotonic() - started, generation, pictures)
    return passed(outcomes)


def read_samples(samples: Path) -> list[Sample]:
    """The query and unknown photographs that ``samples.csv`` lists.

    Raises:
        StartFailed: there are no samples there.
    """
    path = samples / "samples.csv"
    if not path.is_file():
        raise StartFailed(
            f"no samples in {samples.absolute()}: run this in the repository, or name them with --samples"
        )
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["file"].startswith("index/")]
    expected = [None if row["expected_title"] == "unknown" else row["expected_title"] for row in rows]
    return [Sample(samples / row["file"], title) for row, title in zip(rows, expected, strict=True)]


def _fresh(folder: Path) -> None:
    """Empty the demo's folder, but never one that it did not make."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise StartFailed(f"{folder} exists and is not the demo's: move it away, or name another with --output")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()


def _index_and_recognise(
    output: Output, settings: Settings, samples: Path, todo: Sequence[Sample], folder: Path
) -> tuple[list[Outcome], int]:
    from landmarq.client import Client
    from recognition.index.store import Store

    with output.progress("indexing") as advance:
        report = ingest_source(settings, samples / "index.csv", replace=True, on_progress=advance)
    output.note(f"{report.added} photographs indexed")
    with Client(settings=settings) as client, output.progress("recognising through the queue") as advance:
        jobs = client.submit_many([sample.file for sample in todo])
        outcomes = []
        for sample, job in zip(todo, jobs, strict=True):
            outcomes.append(Outcome(sample, final(job, WAIT_S)))
            advance(len(outcomes), len(todo))
    index = Store(settings.index_path).open(report.generation)
    for outcome in outcomes:
        if outcome.title is not None:
            picture = folder / f"{outcome.sample.file.stem}.jpg"
            write_correspondences(outcome.sample.file, outcome.result, index, picture, limits(settings))
    return outcomes, report.generation


def final(job: Job, timeout: float) -> dict[str, Any]:
    """The Result JSON of a job, of a failed one too. Raises JobTimeout, BrokerUnavailable."""
    from tasks.errors import JobFailed

    try:
        return job.wait(timeout)
    except JobFailed as error:
        return error.result


def passed(outcomes: Sequence[Outcome]) -> bool:
    """Enough photographs recognised, and nothing unknown named."""
    known = [one for one in outcomes if one.sample.expected is not None]
    named = [one for one in outcomes if one.sample.expected is None and not one.right]
    return sum(one.right for one in known) >= min(ENOUGH, len(known)) and not named


def _report(
    output: Output, outcomes: Sequence[Outcome], folder: Path, seconds: float, generation: int, pictures: int
) -> None:
    known = [one for one in outcomes if one.sample.expected is not None]
    unknown = [one for one in outcomes if one.sample.expected is None]
    right, named = sum(one.right for one in known), sum(one.title is not None for one in unknown)
    if output.as_json:
        facts = {"recognised": right, "of": len(known), "unknown_named": named, "unknown": len(unknown)}
        answers = [{"photo": str(one.sample.file), "right": one.right, **one.result} for one in outcomes]
        output.emit({**facts, "passed": passed(outcomes), "index_generation": generation, "answers": answers}, str)
        return
    output.out.print(_table(outcomes))
    verdict = "[green]✓[/]" if passed(outcomes) else "[red]✗[/]"
    output.out.print(
        f"\n{verdict} [bold]{right} of {len(known)} recognised, {named} of {len(unknown)} unknown named[/] "
        f"in {seconds:.0f} s; {pictures} pictures of correspondences in {escape(str(folder))}/"
    )


def _table(outcomes: Sequence[Outcome]) -> Any:
    numbers = ("confidence", "inliers", "extract ms", "match ms", "verify ms")
    rows = table("photo", "best guess", *numbers, "", right=numbers)
    for one in outcomes:
        times = one.result["timings_ms"]
        best = one.result["landmark"] or {}
        rows.add_row(
            escape(f"{one.sample.file.parent.name}/{one.sample.file.name}"),
            escape(one.title or _nothing(one.result)),
            percent(best["confidence"]) if best else "",
            str(best.get("inliers", "")),
            *("" if times[stage] is None else str(times[stage]) for stage in ("extract", "match", "verify")),
            "[green]✓[/]" if one.right else "[red]✗[/]",
        )
    return rows


def _nothing(result: dict[str, Any]) -> str:
    return "unknown" if result["state"] == "done" else f"{result['state']}: {(result['error'] or {}).get('message')}"


def main() -> None:
    """``python -m landmarq.demo``: the command ``landmarq demo`` with its defaults."""
    from landmarq.cli import app

    app(["demo", *sys.argv[1:]])


if __name__ == "__main__":
    main()
