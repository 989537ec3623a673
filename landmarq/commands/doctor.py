"""``doctor``: what is missing, and what to do about it."""

from __future__ import annotations

import typer
from rich.markup import escape

from landmarq.commands.common import DataDir, IndexDir, JsonFlag
from landmarq.environment import load_settings
from landmarq.errors import ExitCode
from landmarq.output import Output

MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "failed": "[red]✗[/]"}


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(rich_help_panel="Help")(doctor)


def doctor(data_dir: DataDir = None, index_dir: IndexDir = None, as_json: JsonFlag = False) -> None:
    """Check that everything is there and running; says what to do about what is not (then exit code 1)."""
    from landmarq.doctor import Check, healthy, run

    output = Output(as_json)

    def show(check: Check) -> None:
        if not as_json:
            fix = f"\n    [bold]→ {escape(check.fix)}[/]" if check.fix else ""
            output.out.print(f"{MARKS[check.status]} {check.name}: {escape(check.detail)}{fix}")

    with output.spinner("checking"):
        checks = run(load_settings(data_dir, index_dir=index_dir), show)
    well = healthy(checks)
    if as_json:
        output.emit({"healthy": well, "checks": [check.to_dict() for check in checks]}, str)
    raise typer.Exit(ExitCode.OK if well else ExitCode.ERROR)
