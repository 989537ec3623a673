"""``evaluate``: index a labelled set of photographs, ask about the others, and print how good the answers are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.markup import escape

from landmarq.commands.common import JsonFlag, ProfileName
from landmarq.environment import load_settings, quiet_tensorflow
from landmarq.output import Output, table
from landmarq.transforms import Transform

if TYPE_CHECKING:
    from config.settings import Settings
    from landmarq.client import Client, Job
    from landmarq.datasets import Dataset, Question
    from landmarq.evalrun import PerLandmark, Run
    from landmarq.evaluation import Answer
    from recognition.errors import LandmarqError
    from recognition.index.store import Index

# Of each answer, so that mAP sees the whole ranking; an ordinary answer carries the first few.
RANKED = 100
WAIT_S = 600.0


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(rich_help_panel="Quality")(evaluate)


def evaluate(
    dataset: Annotated[
        Path, typer.Argument(help="A CSV, a folder or a gnd_*.pkl (see docs/quality.md).", show_default=False)
    ],
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
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="RUN.json", dir_okay=False, help="Compare with this earlier run."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="REPORT.html", help="Write a page with every failure here (file or folder)."),
    ] = None,
    per_landmark: Annotated[bool, typer.Option("--per-landmark", help="Print how each landmark fared, too.")] = False,
    protocol: Annotated[
        str | None,
        typer.Option(help="How a public data set counts: easy, medium or hard; recognition or retrieval."),
    ] = None,
    transform: Annotated[
        Transform | None,
        typer.Option(help="Change the photographs that are asked about first: turned clockwise, or at half size."),
    ] = None,
    profile: ProfileName = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure quality on labelled photographs: the index split is indexed, the others are recognised."""
    from landmarq import evaluation
    from landmarq.datasets import read_dataset
    from landmarq.evalrun import read_run, write_run

    output = Output(as_json)
    before = read_run(against) if against else None  # what can't be read is told before the work, not after it
    data = read_dataset(dataset, protocol)
    for note in data.notes:
        output.note(note)
    data = replace(data, questions=[replace(question, transform=transform) for question in data.questions])
    quiet_tensorflow()
    with ExitStack() as stack:
        folder = work_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="landmarq-evaluate-")))
        settings = load_settings(folder, profile=profile, discover=False)
        settings = settings.model_copy(update={"rank": settings.rank.model_copy(update={"max_candidates": RANKED})})
        index = _indexed(output, settings, data)
        ask = _through_the_queue if queue else _in_this_process
        about = {"dataset": dataset.absolute().name, "protocol": protocol or "", "profile": settings.profile}
        about["transform"] = transform or "none"
        run = evaluation.evaluate(list(ask(output, settings, data.questions)), index, about)
        if report is not None:
            _report(output, report, run, data, index)
    if run_file is not None:
        write_run(run_file, run)
    _emit(output, run, before, per_landmark)


def _report(output: Output, path: Path, run: Run, data: Dataset, index: Index) -> None:
    from landmarq.report import write_report

    with output.spinner("writing the report"):
        written = write_report(path, run, data.questions, index)
    output.note(f"report: {escape(str(written))}")


def _emit(output: Output, run: Run, before: Run | None, per_landmark: bool) -> None:
    from landmarq.commands.compare import render
    from landmarq.comparison import compare_runs
    from landmarq.evaluation import recalibrated

    compared = compare_runs(before, run) if before else None
    value = {**run.figures, "calibration": recalibrated(run), "landmarks": [asdict(one) for one in run.landmarks]}
    parts: list[RenderableType] = [_table(run.figures)]
    if per_landmark:
        parts += ["", _landmarks(run.landmarks)]
    if compared:
        value["comparison"] = compared.to_dict()
        parts += ["", render(compared)]
    output.emit(value, lambda: Group(*parts))


def _indexed(output: Output, settings: Settings, data: Dataset) -> Index:
    """The index, once the photographs are in it (or were already)."""
    from landmarq.datasets import BadDataset
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
        return store.open()
    foreign = {image.name for image in index.images()} - {entry.name for entry in data.index}
    if foreign:
        raise BadDataset(
            f"the index in {settings.index_path} is of another data set (it holds {min(foreign)}): "
            "name another --work-dir, or delete it"
        )
    return index


def _in_this_process(output: Output, settings: Settings, questions: list[Question]) -> Iterator[Answer]:
    from landmarq.commands.recognize import open_engine
    from landmarq.evaluation import Answer
    from recognition.errors import LandmarqError

    engine = open_engine(output, settings)
    with output.progress("recognising") as advance:
        for done, question in enumerate(questions):
            advance(done, len(questions))
            try:
                yield Answer(question, engine.recognize(question.photo()))
            except LandmarqError as error:
                yield _failed(question, error)


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
        asked = [_submit(client, question) for question in questions]
        for done, (question, job) in enumerate(zip(questions, asked, strict=True)):
            answers.append(job if isinstance(job, Answer) else Answer(question, final(job, WAIT_S)))
            advance(done + 1, len(questions))
    return answers


def _submit(client: Client, question: Question) -> Job | Answer:
    """The job of a question, or its answer when there is no sending the photograph."""
    from recognition.errors import ImageError

    try:
        return client.submit(question.photo(), bulk=True)
    except ImageError as error:
        return _failed(question, error)


def _failed(question: Question, error: LandmarqError) -> Answer:
    from landmarq.evaluation import Answer

    return Answer(question, {"error": {"code": error.code, "message": error.message}})


def _table(found: dict[str, Any]) -> Any:
    rows = table("figure", "value", right=("value",))
    for name, value in found.items():
        if name != "ms":
            rows.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    for stage, times in found["ms"].items():
        rows.add_row(f"{stage} ms, p50 / p95", f"{times['p50']:.0f} / {times['p95']:.0f}")
    return rows


def _landmarks(landmarks: list[PerLandmark]) -> Any:
    """Those that were asked about or named wrongly, the worst first."""
    columns = ("images", "queries", "top1", "mAP", "recognised", "mistaken", "claimed")
    rows = table("landmark", *columns, right=columns)
    for one in sorted(landmarks, key=lambda one: (one.recognised, one.top1, one.title)):
        if one.queries or one.claimed:
            shares = (one.top1, one.mAP, one.recognised) if one.queries else (None,) * 3
            cells = ("-" if share is None else f"{share:.3f}" for share in shares)
            rows.add_row(
                escape(one.title), str(one.images), str(one.queries), *cells, str(one.mistaken), str(one.claimed)
            )
    return rows
