"""``demo``: everything at once, on the sample photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landmarq.commands.common import JsonFlag
from landmarq.errors import ExitCode
from landmarq.output import Output


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(rich_help_panel="Help")(demo)


def demo(
    samples: Annotated[Path, typer.Option(help="Folder of sample photographs.", file_okay=False)] = Path("samples"),
    folder: Annotated[Path, typer.Option("--output", help="Made anew.", file_okay=False)] = Path("demo-output"),
    as_json: JsonFlag = False,
) -> None:
    """Start everything, index the samples, recognise ten photographs and refuse seven, stop everything."""
    from landmarq.demo import run_demo

    passed = run_demo(Output(as_json), samples, folder)
    raise typer.Exit(ExitCode.OK if passed else ExitCode.ERROR)
