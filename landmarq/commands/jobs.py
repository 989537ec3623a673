"""``submit``, ``status``, ``result``, ``cancel``: the queue from the terminal. Nothing of the engine is loaded."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType

from landmarq.commands.common import DataDir, JsonFlag, Photos
from landmarq.environment import make_client
from landmarq.errors import ExitCode, exit_code, worst
from landmarq.output import Output, pairs
from landmarq.results import details, headline, result_code
from recognition.errors import LandmarqError

if TYPE_CHECKING:
    from landmarq.client import Client, Job
    from tasks.jobs import JobRecord

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The id that submit printed.", show_default=False)]
Timeout = Annotated[float, typer.Option(min=0, help="Seconds to wait for all of them; 0: without end.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    for command in (submit, status, result, cancel):
        app.command(rich_help_panel="Queue")(command)


def submit(
    photos: Photos,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answers and print them.")] = False,
    timeout: Timeout = 120.0,
    bulk: Annotated[bool, typer.Option("--bulk", help="Queue behind everything that is not bulk.")] = False,
    data_dir: DataDir = None,
    as_json: JsonFlag = False,
) -> None:
    """Enqueue photographs; prints a job id for each."""
    output = Output(as_json)
    with make_client(data_dir) as client:
        jobs, codes = _submit_all(output, client, photos, bulk=bulk, announce=not wait)
        if wait:
            codes += _wait_all(output, jobs, timeout)
    raise typer.Exit(worst(codes))


def _submit_all(
    output: Output, client: Client, photos: list[Path], *, bulk: bool, announce: bool
) -> tuple[list[tuple[Path, Job]], list[ExitCode]]:
    """A photograph that can't be used costs nothing but itself; without a broker all is over at once."""
    from tasks.errors import BrokerUnavailable

    jobs, codes = [], []
    for photo in photos:
        try:
            job = client.submit(photo, bulk=bulk)
        except BrokerUnavailable:
            raise
        except LandmarqError as error:
            output.error(error, photo=str(photo))
            codes.append(exit_code(error))
            continue
        jobs.append((photo, job))
        if announce:
            # one photograph: the bare id, so that JOB=$(landmarq submit photo.jpg) works
            text = job.id if len(photos) == 1 else f"{job.id}  {photo}"
            output.emit({"photo": str(photo), "job_id": job.id}, lambda text=text: text)  # type: ignore[misc]
    return jobs, codes


def _wait_all(output: Output, jobs: list[tuple[Path, Job]], timeout: float) -> list[ExitCode]:
    deadline = time.monotonic() + timeout if timeout else None
    codes = []
    with output.progress("recognising") as advance:
        advance(0, len(jobs))
        for done, (photo, job) in enumerate(jobs, start=1):
            remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
            codes.append(_answer(output, str(photo), job, remaining, many=len(jobs) > 1))
            advance(done, len(jobs))
    return codes


def _answer(output: Output, name: str, job: Job, timeout: float | None, *, many: bool = False) -> ExitCode:
    """Wait for a job, print its answer under ``name``; returns what it means for the exit code."""
    from tasks.errors import BrokerUnavailable, JobFailed

    try:
        found = job.wait(timeout)
    except JobFailed as error:
        found = error.result
    except BrokerUnavailable:
        raise
    except LandmarqError as error:
        output.error(error, photo=name, job_id=job.id)
        return exit_code(error)
    output.emit({"photo": name, **found}, lambda: _render(name, found, many))
    return result_code(found)


def _render(name: str, found: dict[str, Any], many: bool) -> RenderableType:
    more = None if many else details(found)
    return Group(headline(name, found), more) if more else headline(name, found)


def status(job_id: JobId, data_dir: DataDir = None, as_json: JsonFlag = False) -> None:
    """Say where a job is: its state, each stage's attempts and time, its error."""
    output = Output(as_json)
    with make_client(data_dir) as client:
        record = client.job(job_id).status()
    output.emit(_status_json(record), lambda: pairs(_status_rows(record)))


def _status_json(record: JobRecord) -> dict[str, Any]:
    return {
        "job_id": record.id,
        "state": record.state.value,
        "bulk": record.bulk,
        "created_ms": record.created_ms,
        "finished_ms": record.finished_ms,
        "attempts": record.attempts,
        "timings_ms": record.timings_ms,
        "error": dict(record.error) if record.error else None,
    }


def _status_rows(record: JobRecord) -> dict[str, str]:
    rows = {"job": record.id, "state": record.state.value}
    if record.finished_ms is None:
        rows["waiting for"] = f"{max(0.0, time.time() - record.created_ms / 1000):.1f} s"
    else:
        rows["took"] = f"{(record.finished_ms - record.created_ms) / 1000:.1f} s"
    for stage, attempts in record.attempts.items():
        duration = record.timings_ms[stage]
        took = "not begun" if not attempts else "running" if duration is None else f"{duration} ms"
        rows[stage] = took + (f" (attempt {attempts})" if attempts > 1 else "")
    if record.error:
        rows["error"] = f"[{record.error['code']}] in {record.error['stage']}: {record.error['message']}"
    return rows


def result(
    job_id: JobId,
    wait: Annotated[float | None, typer.Option(min=0, metavar="SECONDS", help="Wait for it so long.")] = None,
    data_dir: DataDir = None,
    as_json: JsonFlag = False,
) -> None:
    """Print a job's answer; without --wait it must be there already."""
    output = Output(as_json)
    with make_client(data_dir) as client:
        job = client.job(job_id)
        if wait is None:
            found = job.result()
            output.emit(found, lambda: _render(job_id, found, many=False))
            raise typer.Exit(result_code(found))
        with output.spinner(f"waiting for {job_id}"):
            code = _answer(output, job_id, job, wait)
    raise typer.Exit(code)


def cancel(job_id: JobId, data_dir: DataDir = None, as_json: JsonFlag = False) -> None:
    """Cancel a job; one that is final stays what it is (exit code 1)."""
    output = Output(as_json)
    with make_client(data_dir) as client:
        job = client.job(job_id)
        cancelled = job.cancel()
        state = "cancelled" if cancelled else job.status().state.value
    text = f"{job_id} is cancelled" if cancelled else f"{job_id} is {state}: too late to cancel"
    output.emit({"job_id": job_id, "cancelled": cancelled, "state": state}, lambda: text)
    raise typer.Exit(ExitCode.OK if cancelled else ExitCode.ERROR)
