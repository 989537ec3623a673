"""``evaluate``: index a labelled set of photographs, ask about the others, and print how good the answers are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landmarq.commands.common import JsonFlag, ProfileName
from landmarq.environment import load_settings, quiet_tensorflow
from landmarq.output import Output, table

if TYPE_CHECKING:
    from config.settings import Settings
    from landmarq.dataset import Dataset, Question
    from landmarq.evaluation import Answer

# Of each answer, so that mAP sees the whole ranking; an ordinary answer carries the first few.
RANKED = 100
WAIT_S = 600.0


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(rich_help_panel="Quality")(evaluate)


def evaluate(
    dataset: Annotated[Path, typer.Argument(help="A CSV, or a folder (see docs/quality.md).", show_default=False)],
    queue: Annotated[
        bool, typer.Option("--queue/--in-process", help="Through `landmarq up` and its workers, or in this process.")
    ] = True,
    work_dir: Annotated[
        Path | None,
        typer.Option(
            "--work-dir", file_okay=False, help="Keep the index and the logs here; one that is there is used."
        ),
    ] = None,
    run_file: Annotated[
        Path | None, typer.Option("--output", metavar="RUN.json", dir_okay=False, help="Write every answer here.")
    ] = None,
    profile: ProfileName = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure quality on labelled photographs: the index split is indexed, the others are recognised."""
    from landmarq import evaluation
    from landmarq.dataset import read_dataset

    output = Output(as_json)
    data = read_dataset(dataset)
    quiet_tensorflow()
    os.environ["LANDMARQ_RANK__MAX_CANDIDATES"] = str(RANKED)  # for this process and the workers
    with ExitStack() as stack:
        folder = work_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="landmarq-evaluate-")))
        settings = load_settings(folder, profile=profile, discover=False)
        landmarks = _indexed(output, settings, data)
        ask = _through_the_queue if queue else _in_this_process
        answers = list(ask(output, settings, data.questions))
    judged = evaluation.judge(answers, landmarks)
    found = evaluation.figures(judged, answers)
    if run_file is not None:
        evaluation.write_run(run_file, found, answers, judged)
    output.emit({**found, "calibration": evaluation.recalibrated(answers, judged)}, lambda: _table(found))


def _indexed(output: Output, settings: Settings, data: Dataset) -> list[str]:
    """The landmark id of each index image, once the photographs are indexed (or were already)."""
    from landmarq.indexing import ingest_entries
    from recognition.errors import IndexMissing
    from recognition.index.store import Store

    store = Store(settings.index_path)
    try:
        index = store.open()
    except IndexMissing:
        with output.progress("indexing") as advance:
            report = ingest_entries(settings, data.index, replace=True, on_progress=advance)
        output.note(f"{report.added} indexed, {len(report.duplicates)} duplicates, {len(report.skipped)} skipped")
        index = store.open()
    return [image.landmark for image in index.images()]


def _in_this_process(output: Output, settings: Settings, questions: list[Question]) -> Iterator[Answer]:
    from landmarq.commands.recognize import open_engine
    from landmarq.evaluation import Answer
    from recognition.errors import LandmarqError

    engine = open_engine(output, settings)
    with output.progress("recognising") as advance:
        for done, question in enumerate(questions):
            advance(done, len(questions))
            try:
                yield Answer(question, engine.recognize(question.file))
            except LandmarqError as error:
                yield Answer(question, {"error": {"code": error.code, "message": error.message}})


def _through_the_queue(output: Output, settings: Settings, questions: list[Question]) -> Iterable[Answer]:
    from landmarq.background import running
    from landmarq.client import Client
    from landmarq.demo import final
    from landmarq.evaluation import Answer

    answers: list[Answer] = []
    with (
        running(output, settings, cpu_workers=2) as live,
        Client(settings=live) as client,
        output.progress("recognising through the queue") as advance,
    ):
        jobs = client.submit_many([question.file for question in questions])
        for done, (question, job) in enumerate(zip(questions, jobs, strict=True)):
            answers.append(Answer(question, final(job, WAIT_S)))
            advance(done + 1, len(questions))
    return answers


def _table(found: dict[str, Any]) -> Any:
    rows = table("figure", "value", right=("value",))
    for name, value in found.items():
        if name != "ms":
            rows.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    for stage, times in found["ms"].items():
        rows.add_row(f"{stage} ms, p50 / p95", f"{times['p50']:.0f} / {times['p95']:.0f}")
    return rows
