"""A CPU worker with two photos that it can't stand: ``celery -A tests.support.poison worker``.

They are known by their size: of one the process dies, the other takes long. Whatever else comes is matched as ever.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import tasks.match
from recognition.match import match
from workers.cpu import app

__all__ = ["SIZE", "SLOW", "app"]

SIZE = (123, 217)
SLOW = (121, 219)
SLOW_S = 8.0


def poisoned(features: Any, *args: Any) -> Any:
    if features.image_size == SIZE:
        os.kill(os.getpid(), signal.SIGKILL)
    if features.image_size == SLOW:
        time.sleep(SLOW_S)
    return match(features, *args)


# Only in a worker: the tests import this module for the sizes.
if sys.argv[0].endswith("celery/__main__.py"):
    tasks.match.match_features = poisoned
