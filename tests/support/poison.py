"""A CPU worker with three photos that it can't stand: ``celery -A tests.support.poison worker``.

They are known by their size: of one the process dies, one takes long, one raises. The rest is matched as ever.
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

__all__ = ["DEADLY", "RAISING", "SLOW", "app"]

DEADLY = (123, 217)
SLOW = (121, 219)
RAISING = (119, 221)
SLOW_S = 8.0


def poisoned(features: Any, *args: Any) -> Any:
    if features.image_size == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    if features.image_size == SLOW:
        time.sleep(SLOW_S)
    if features.image_size == RAISING:
        raise ZeroDivisionError("an unexpected fault")
    return match(features, *args)


# Only in a worker: the tests import this module for the sizes.
if sys.argv[0].endswith("celery/__main__.py"):
    tasks.match.match_features = poisoned
