"""``calibrate``: fit the confidence to judged answers, and choose the threshold for a wanted false-accept rate."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from landmarq.commands.common import JsonFlag
from landmarq.errors import OutputUnwritable
from landmarq.output import Output, pairs


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(rich_help_panel="Quality")(calibrate)


def calibrate(
    run: Annotated[Path, typer.Argument(metavar="RUN.json", help="From `evaluate --output`.", show_default=False)],
    file: Annotated[
        Path | None,
        typer.Option("--output", metavar="CALIBRATION.json", dir_okay=False, help="Write the curve here."),
    ] = None,
    false_accepts: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the photographs of nothing known that may be named.")
    ] = 0.01,
    as_json: JsonFlag = False,
) -> None:
    """Fit the confidence on your own photographs: a curve, and the threshold for a wanted false-accept rate."""
    from landmarq.evalrun import read_run
    from landmarq.evaluation import recalibrated, threshold_at

    output = Output(as_json)
    found = read_run(run)
    curve = recalibrated(found)
    threshold = threshold_at(found, curve, false_accepts)
    facts = {**asdict(curve), "threshold": threshold, "answers": len(found.answers)}
    if file is not None:
        try:
            file.write_text(curve.to_json() + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputUnwritable(f"can't write {file}: {error.strerror}") from None
        output.note(f"use it with LANDMARQ_RANK__CALIBRATION={file.absolute()} LANDMARQ_RANK__THRESHOLD={threshold}")
    output.emit(facts, lambda: pairs(facts))
