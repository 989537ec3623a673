"""What the command line prints: answers on stdout, progress and errors on stderr.

With ``--json`` stdout carries JSON only, one value per line (a batch of photographs is one line each).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from recognition.errors import LandmarqError

UNBOUNDED = 10_000
Advance = Callable[[int, int], None]


class Output:
    """One command's stdout and stderr."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        # Into a file or a pipe nothing is cut to the width of a terminal that isn't there.
        width = None if sys.stdout.isatty() else UNBOUNDED
        # highlight off: rich would colour numbers inside names and paths; soft_wrap: a copied path stays one line
        self.out = Console(highlight=False, soft_wrap=True, width=width)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live: Progress | None = None

    def emit(self, value: Any, render: Callable[[], RenderableType]) -> None:
        """The answer: ``value`` as one line of JSON, or what ``render`` makes of it for people."""
        with self._above_the_bar():
            if self.as_json:
                write_json(value)
            else:
                self.out.print(render())

    def note(self, text: str) -> None:
        """A line for people on stderr that is not the answer; rich markup is read."""
        self.err.print(text)

    def error(self, error: LandmarqError, **context: Any) -> None:
        """``error [code]: message`` on stderr; with ``--json`` also an object on stdout."""
        self.failure(error.code, error.message, shown=True, **context)

    def failure(self, code: str, message: str, *, shown: bool = False, **context: Any) -> None:
        """As :meth:`error`, of a code and a message; ``shown`` false: only the JSON."""
        if self.as_json:
            write_json({**context, "error": {"code": code, "message": message}})
        if shown:
            name = context.get("photo")
            text = f"error [{code}]: {message}" if not name or name in message else f"{name}: error [{code}]: {message}"
            self.err.print(text, style="red", markup=False)

    @contextmanager
    def progress(self, description: str) -> Iterator[Advance]:
        """A bar on stderr. Yields ``advance(done, total)``; a total of 0 shows a spinner only."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        # Left alone, rich would send what is printed meanwhile to the bar's console: the answers to stderr.
        bar = Progress(*columns, TimeElapsedColumn(), console=self.err, transient=True, redirect_stdout=False)
        bar.disable = not self.err.is_terminal
        with bar as self._live:
            task = bar.add_task(description, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total or None)
        self._live = None

    @contextmanager
    def _above_the_bar(self) -> Iterator[None]:
        """Take a progress bar off the terminal while an answer is printed."""
        bar = self._live if self.err.is_terminal and sys.stdout.isatty() else None
        if bar is None:
            yield
            return
        bar.stop()
        try:
            yield
        finally:
            bar.start()

    @contextmanager
    def spinner(self, description: str) -> Iterator[None]:
        """A spinner on stderr while something of unknown length runs; silent where stderr is no terminal."""
        if not self.err.is_terminal:
            yield
            return
        with self.err.status(description):
            yield


def write_json(value: Any) -> None:
    """``value`` as one line of JSON on stdout, written out at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def table(*columns: str, title: str | None = None, right: tuple[str, ...] = ()) -> Table:
    """An empty table; columns named in ``right`` are aligned to the right."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def pairs(values: Mapping[str, Any]) -> Table:
    """Names and values, one pair a line."""
    grid = Table.grid(padding=(0, 2))
    for name, value in values.items():
        grid.add_row(f"[bold]{name}[/]", escape(str(value)))
    return grid
