"""The GPU worker: holds the extractor, loaded once per process before the worker says that it is ready.

``celery -A workers.gpu worker`` consumes the queues gpu and gpu.bulk, with two threads. TensorFlow does not survive a
fork, so the pool is one of threads, and prefork is refused.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from celery.concurrency import get_implementation

from config.celery import GPU_QUEUES, app
from config.settings import get_settings
from recognition.errors import LandmarqError
from workers.engine import Role, assume, explicit, make_extractor, refuse

if TYPE_CHECKING:
    from recognition.extractors.base import Extractor

__all__ = ["app", "extractor"]

logger = logging.getLogger(__name__)

THREADS = 2

_lock = threading.Lock()
_extractor: Extractor | None = None
_loads = 0


def extractor() -> Extractor:
    """The extractor of this process, loaded (on the first call, unless the worker has done it).

    Raises:
        ExtractorUnavailable: a package, the weights or the module is missing.
    """
    global _extractor, _loads
    with _lock:
        if _extractor is None:
            loading = make_extractor(get_settings())
            started = time.perf_counter()
            loading.load()
            _loads += 1
            _extractor = loading
            logger.info("extractor %s loaded in %.1f s", loading.fingerprint, time.perf_counter() - started)
    return _extractor


def prepare(worker: Any) -> None:
    """Choose the pool and load the extractor, or end the process with one line that says why not."""
    if get_implementation(worker.pool_cls).__module__ == "celery.concurrency.prefork":
        if explicit("pool"):
            refuse("a GPU worker can't use the prefork pool (TensorFlow does not survive a fork): use -P threads")
        worker.pool_cls = "threads"
    if not explicit("concurrency"):
        worker.concurrency = THREADS
    try:
        extractor()
    except LandmarqError as error:
        refuse(str(error))
    except Exception as error:  # Celery would log it and go on: a worker that is ready without an extractor
        logger.exception("loading the extractor failed")
        refuse(f"the extractor can't be loaded: {type(error).__name__}: {error}")


def _loaded() -> dict[str, object]:
    fingerprint = _extractor.fingerprint if _extractor is not None else None
    return {"pid": os.getpid(), "extractor": fingerprint, "loads": _loads}


assume(Role("gpu", GPU_QUEUES, ["tasks.extract", "tasks.rescue"], prepare, _loaded), app)
