"""Extraction: time, operations per second and memory, against the matrix product's peak on the same threads.

python -m benchmarks.extract [--quick] [--extractors ...] [--sides 320 640 1024] [--batches 1 8] [--threads 1 2]
    [--json FILE]

"xfeat": the network sees ``side`` pixels at scale 1, five scales. "heavy": a network like DELF's with random weights,
at its seven scales of a photograph of ``side`` pixels. "hub": the small module of the tests that has the layout of
DELF's on TF-Hub but neither its network nor its weights, one photograph at a time as the origin does it. Every row is
measured in a process of its own; "of peak" is that process's GFLOP/s against its best product of 2048 x 2048 matrices.
One thread: processor time, which other work on the machine changes least. All cores: wall time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measure import Timing, report
from tests.support.delf_module import build_delf_module

EXTRACTORS = ("xfeat", "xfeat + embedding", "heavy", "hub")
WAYS = ("eager", "tf.function", "tf.function, folded", "frozen", "frozen, folded", "XLA, folded", "bfloat16, folded")
SHIPPED = 640  # pixels at scale 1
# Above so many pixels a batch of the heavy network takes a minute and says what smaller ones said.
MOST_HEAVY = 1024 * 1024
TIMEOUT_S = 600.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="all cores, fewer sizes and ways")
    parser.add_argument("--extractors", nargs="*", default=EXTRACTORS, choices=EXTRACTORS)
    parser.add_argument("--sides", type=int, nargs="+", default=(320, 640, 1024))
    parser.add_argument("--batches", type=int, nargs="+", default=(1, 8))
    parser.add_argument("--threads", type=int, nargs="+", help="by default 1 and all cores; --quick: all cores")
    parser.add_argument("--json", type=Path, help="four files: NAME.rows.json, and so on")
    arguments = parser.parse_args()
    files = [
        arguments.json and arguments.json.with_suffix(f".{part}.json") for part in ("rows", "ways", "scales", "blocks")
    ]
    cores = os.cpu_count() or 1
    threads = arguments.threads or ([cores] if arguments.quick else list(dict.fromkeys((1, cores))))
    asked = _asked(arguments)
    with TemporaryDirectory() as folder:
        handle = str(build_delf_module(Path(folder) / "module")) if any(name == "hub" for name, *_ in asked) else ""
        rows = [_row(*one, count, handle) for one in asked for count in threads]
    report("extraction", rows, files[0])
    if "heavy" in arguments.extractors:
        names = WAYS[1:5] if arguments.quick else WAYS
        report(f"the heavy network, one scale, {SHIPPED} px", _ways(names, threads), files[1])
    if "xfeat" in arguments.extractors:
        report(f"the xfeat network by block, one scale, {SHIPPED} px, one thread", _blocks(), files[3])
        report(f"xfeat at five scales, {SHIPPED} px", [_scales(count) for count in threads], files[2])


def _asked(arguments: argparse.Namespace) -> list[tuple[str, int, int]]:
    """Extractor, side and batch of each row."""
    if arguments.quick:
        sides = {name: 320 if name == "heavy" else SHIPPED for name in arguments.extractors}
        batches = {name: (1, 8) if name.startswith("xfeat") else (1,) for name in arguments.extractors}
        return [(name, sides[name], batch) for name in arguments.extractors for batch in batches[name]]
    every = itertools.product(arguments.extractors, arguments.sides, arguments.batches)
    return [(name, side, batch) for name, side, batch in every if name != "heavy" or batch * side**2 <= MOST_HEAVY]


def _row(extractor: str, side: int, batch: int, threads: int, handle: str) -> dict[str, Any]:
    found = _measured("row", threads, extractor=extractor, side=side, batch=batch, handle=handle)
    per_image = Timing(**found["timing"]).scaled(1 / batch)
    operations = found["operations"] / batch
    return {
        "extractor": extractor,
        "px": side,
        "batch": batch,
        "threads": threads,
        "ms/image": per_image,
        "images/s": 1000 / per_image.median_ms,
        **_against_peak(operations, per_image, found["peak"]),
        "RSS MiB": round(found["rss_mib"]),
    }


def _ways(names: tuple[str, ...], threads: list[int]) -> list[dict[str, Any]]:
    rows = []
    for count in threads:
        found = _measured("ways", count, side=SHIPPED, names=names)
        timings = [Timing(**row["timing"]) for row in found["rows"]]
        for row, timing in zip(found["rows"], timings, strict=True):
            rows.append(
                {
                    "threads": count,
                    "compiled as": row["way"],
                    "ms": timing,
                    f"{names[0]} / this": timings[0].median_ms / timing.median_ms,
                    **_against_peak(found["operations"], timing, found["peak"]),
                    "relative difference": row["difference"],
                }
            )
    return rows


def _against_peak(operations: float, timing: Timing, peak: float) -> dict[str, Any]:
    """Operations of one run, and their rate against the peak, GFLOP/s; nothing where they were not counted."""
    rate = operations / timing.median_ms / 1e6
    values = {"GFLOP": operations / 1e9, "GFLOP/s": rate, "peak": peak, "of peak": rate / peak}
    return values if operations else dict.fromkeys(values, "")


def _blocks() -> list[dict[str, Any]]:
    found = _measured("blocks", 1, side=SHIPPED)
    timings = [Timing(**row["timing"]) for row in found["rows"]]
    return [
        {"block": row["block"], "ms": timing, **_against_peak(row["operations"], timing, found["peak"])}
        for row, timing in zip(found["rows"], timings, strict=True)
    ]


def _scales(threads: int) -> dict[str, Any]:
    found = _measured("scales", threads, side=SHIPPED)
    five, one, eager = (Timing(**found["timings"][name]) for name in ("five", "one", "eager"))
    return {
        "threads": threads,
        "one scale ms": one,
        "five scales ms": five,
        "pixels, five / one": found["pixels"],
        "time, five / one": five.median_ms / one.median_ms,
        "time / pixels": five.median_ms / one.median_ms / found["pixels"],
        "eager ms": eager,
        "eager / compiled": eager.median_ms / five.median_ms,
        "batch of 8 against 1, largest difference": found["difference"],
    }


def _measured(measurement: str, threads: int, **task: Any) -> dict[str, Any]:
    """What ``benchmarks.extract_child`` finds."""
    argument = json.dumps({"measurement": measurement, "threads": threads, **task})
    command = [sys.executable, "-m", "benchmarks.extract_child", argument]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise SystemExit(f"{argument} failed:\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
