"""``compare``: two stored runs of ``evaluate``, without evaluating anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.markup import escape

from landmarq.commands.common import JsonFlag
from landmarq.output import Output, table

if TYPE_CHECKING:
    from landmarq.comparison import Change, Comparison

STYLES = {"gain": "green", "loss": "red", "noise": "dim"}


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(rich_help_panel="Quality")(compare)


def compare(
    before: Annotated[Path, typer.Argument(metavar="RUN_A.json", help="The run before.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="RUN_B.json", help="The run after.", show_default=False)],
    as_json: JsonFlag = False,
) -> None:
    """Compare two runs of `evaluate --output`: what RUN_B gained and lost, with 95 % intervals, and what is noise."""
    from landmarq.comparison import compare_runs
    from landmarq.evalrun import read_run

    found = compare_runs(read_run(before), read_run(after))
    Output(as_json).emit(found.to_dict(), lambda: render(found))


def render(found: Comparison) -> RenderableType:
    """The comparison for people."""
    numbers = ("before", "after", "difference")
    figures = table("figure", *numbers, "95 % interval", "", right=numbers)
    for one in found.differences:
        figures.add_row(
            one.figure,
            f"{one.before:.3f}",
            f"{one.after:.3f}",
            f"{one.difference:+.3f}",
            f"{one.low:+.3f} to {one.high:+.3f}",
            f"[{STYLES[one.verdict]}]{one.verdict}[/]",
        )
    notes = [f"[yellow]{escape(note)}[/]" for note in found.notes]
    return Group(*notes, figures, "", *_changes(found.changes, found.photographs))


def _changes(changes: list[Change], photographs: int) -> list[RenderableType]:
    better, worse = (sum(change.better is wanted for change in changes) for wanted in (True, False))
    told = f"{len(changes)} of {photographs} answers changed: {better} for the better, {worse} for the worse"
    rows = table("", "photo", "before", "after")
    for change in sorted(changes, key=lambda change: {False: 0, True: 1, None: 2}[change.better]):
        mark = {True: "[green]+[/]", False: "[red]-[/]", None: "="}[change.better]
        rows.add_row(mark, escape(change.photo), escape(change.before), escape(change.after))
    return [told, rows] if changes else [told]
