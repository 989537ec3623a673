"""The short version of every benchmark: ``make bench``."""

from __future__ import annotations

import subprocess
import sys

for name, *options in (
    ("search",),
    ("verify",),
    ("extract", "--quick"),
    ("pipeline",),
    ("batching", "--photos", "12"),
    ("startup", "--sizes", "10000"),
):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=True)
