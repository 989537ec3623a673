"""Timing as every benchmark here does it: a warm-up, several runs, the median and the spread."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Timing:
    """Milliseconds of several runs."""

    median_ms: float
    least_ms: float
    most_ms: float

    def scaled(self, factor: float) -> Timing:
        """As if it had been ``factor`` times as much work."""
        return Timing(self.median_ms * factor, self.least_ms * factor, self.most_ms * factor)

    def __str__(self) -> str:
        return f"{_short(self.median_ms)} ({_short(self.least_ms)}–{_short(self.most_ms)})"


def measure(
    run: Callable[[], object], *, times: int = 5, warm_up: int = 1, clock: Callable[[], float] = time.perf_counter
) -> Timing:
    """Run it ``warm_up + times`` times; the first ones don't count. clock: seconds."""
    taken = []
    for _ in range(warm_up + times):
        start = clock()
        run()
        taken.append((clock() - start) * 1000)
    counted = taken[warm_up:]
    return Timing(float(np.median(counted)), min(counted), max(counted))


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def report(title: str, rows: Sequence[dict[str, Any]], json_file: Path | None) -> None:
    """Print the rows as a table, and write them as JSON where asked to."""
    table = Table(*rows[0], title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(_short(value) if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    if json_file:
        plain = [{k: asdict(v) if isinstance(v, Timing) else v for k, v in row.items()} for row in rows]
        json_file.write_text(json.dumps({"title": title, "rows": plain}, indent=1), encoding="utf-8")
