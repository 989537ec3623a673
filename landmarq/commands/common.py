"""What several commands share: their options, and how errors end them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from landmarq.errors import ExitCode, exit_code
from landmarq.output import Output
from recognition.errors import LandmarqError

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, one value per line, and nothing else.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", file_okay=False, help="The data folder, instead of LANDMARQ_DATA_DIR."),
]
IndexDir = Annotated[
    Path | None,
    typer.Option("--index-dir", file_okay=False, help="The index, instead of 'index' in the data folder."),
]
ProfileName = Annotated[
    Literal["fast", "default", "accurate", "seed"] | None,
    typer.Option("--profile", help="Parameters: quicker, usual, thorough; 'seed': those of the original blog post."),
]
Photos = Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Image files.", show_default=False)]

# Typer carries its own copy of click from 0.25 on: this is UsageError in both.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class Group(TyperGroup):
    """A group whose commands end with one line on stderr and an exit code, never with a traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As the base; remembers whether JSON was asked for, which an error in the command line itself must know."""
        ctx.meta.setdefault("landmarq.json", "--json" in args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """As the base, with errors told to the user. A nested group leaves that to the outermost one."""
        if ctx.parent is not None:
            return super().invoke(ctx)
        output = Output(ctx.meta["landmarq.json"])
        try:
            return super().invoke(ctx)
        except LandmarqError as error:
            output.error(error)
            raise typer.Exit(exit_code(error)) from None
        except KeyboardInterrupt:
            output.note("interrupted")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except UsageError as error:
            if output.as_json:
                output.failure("usage", error.format_message())  # type: ignore[attr-defined]
            raise
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("LANDMARQ_DEBUG"):
                raise
            output.failure(*describe(error), shown=True)
            raise typer.Exit(ExitCode.ERROR) from None


def describe(error: Exception) -> tuple[str, str]:
    """Code and message of an exception that is no LandmarqError."""
    if isinstance(error, OSError):
        return "system_error", str(error)
    return "internal", f"{type(error).__name__}: {error} (LANDMARQ_DEBUG=1 shows where; please report it)"
