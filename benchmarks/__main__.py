"""The short version of every benchmark: ``make bench``."""

from __future__ import annotations

import subprocess
import sys

for name in ("search", "verify", "pipeline"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
