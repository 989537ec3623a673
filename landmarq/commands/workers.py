"""``up`` and ``worker``: the processes."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

import typer

from landmarq.commands.common import DataDir, JsonFlag
from landmarq.environment import QUIET, load_settings
from landmarq.output import Output


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    panel = "Processes"
    app.command(rich_help_panel=panel)(up)
    # everything after the role is Celery's
    rest = {"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False}
    app.command(rich_help_panel=panel, context_settings=rest, add_help_option=True)(worker)


def up(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the embedded server.", show_default="a free one")
    ] = None,
    cpu_workers: Annotated[
        int | None,
        typer.Option("--cpu-workers", min=1, max=64, help="Matching workers.", show_default="cores - 1, at most 4"),
    ] = None,
    drain: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long running stages may take at the end.")
    ] = 30.0,
    data_dir: DataDir = None,
    as_json: JsonFlag = False,
) -> None:
    """Run everything on this machine: embedded server, GPU worker, CPU workers. Ctrl-C stops it all.

    With LANDMARQ_REDIS__URL set, that broker is used and no server started.
    """
    from landmarq.runfile import url_is_set
    from landmarq.up import Up, default_cpu_workers

    settings = load_settings(data_dir, discover=False)
    if port is not None and url_is_set(settings):
        raise typer.BadParameter("LANDMARQ_REDIS__URL names a broker, so no server is started: unset it or drop --port")
    Up(settings, Output(as_json), port=port, cpu_workers=cpu_workers or default_cpu_workers(), drain_s=drain).run()


def worker(
    context: typer.Context,
    role: Annotated[Literal["gpu", "cpu"], typer.Argument(help="What it holds: the extractor, or the index.")],
    data_dir: DataDir = None,
) -> None:
    """Become a Celery worker; what follows the role goes to `celery worker`, as in: worker cpu --concurrency 8."""
    settings = load_settings(data_dir)
    found = {"LANDMARQ_REDIS__URL": settings.redis.url, "LANDMARQ_DATA_DIR": str(settings.data_dir)}
    command = [sys.executable, "-m", "celery", "-A", f"workers.{role}", "worker", *context.args]
    sys.stdout.flush()
    os.execve(sys.executable, command, {**QUIET, **os.environ, **found})
