"""The GPU worker: holds the extractor, loaded once per process before the worker says that it is ready.

``celery -A workers.gpu worker`` consumes the queues gpu and gpu.bulk, with two threads, or on a GPU with twice as many
as go into a batch. TensorFlow does not survive a fork, so the pool is one of threads, and prefork is refused.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from celery.concurrency import get_implementation

from config.celery import GPU_QUEUES, app
from config.settings import Settings, get_settings
from recognition.errors import LandmarqError
from recognition.extractors.device import limit_memory
from recognition.recognize import extract_all
from workers.batching import Batcher
from workers.engine import Role, assume, explicit, make_extractor, profile, refuse

if TYPE_CHECKING:
    from recognition.extractors.base import Extractor

__all__ = ["app", "batcher"]

logger = logging.getLogger(__name__)

THREADS = 2

_lock = threading.Lock()
_extractor: Extractor | None = None
_batcher: Batcher | None = None
_loads = 0


def batcher() -> Batcher:
    """What takes photographs through this process's extractor, loaded (on the first call, unless the worker did it).

    Raises:
        ExtractorUnavailable: a package, the weights or the module is missing.
    """
    global _batcher, _extractor, _loads
    with _lock:
        if _batcher is None:
            settings = get_settings()
            loading = make_extractor(settings)
            started = time.perf_counter()
            limit_memory(settings.gpu.memory_mb)
            loading.load()
            _loads += 1
            _extractor = loading
            logger.info("extractor %s loaded in %.1f s", loading.fingerprint, time.perf_counter() - started)
            _batcher = make_batcher(loading, settings)
    return _batcher


def make_batcher(extractor: Extractor, settings: Settings) -> Batcher:
    """The batcher of a loaded extractor: batches where the device gains by them, or as large as the settings say."""
    params = profile(settings).extract
    return Batcher(
        lambda images: extract_all(images, extractor, params),
        size=settings.batch.size or extractor.batch_size,
        wait_s=settings.batch.wait_ms / 1000,
        runs=settings.batch.runs,
        bucket=extractor.bucket,
    )


def prepare(worker: Any) -> None:
    """Choose the pool and load the extractor, or end the process with one line that says why not."""
    if get_implementation(worker.pool_cls).__module__ == "celery.concurrency.prefork":
        if explicit("pool"):
            refuse("a GPU worker can't use the prefork pool (TensorFlow does not survive a fork): use -P threads")
        worker.pool_cls = "threads"
    try:
        size = batcher().size
    except LandmarqError as error:
        refuse(str(error))
    except Exception as error:  # Celery would log it and go on: a worker that is ready without an extractor
        logger.exception("loading the extractor failed")
        refuse(f"the extractor can't be loaded: {type(error).__name__}: {error}")
    if not explicit("concurrency"):  # one batch in the network, the next one being decoded
        worker.concurrency = max(THREADS, 2 * size if size > 1 else 0)


def _loaded() -> dict[str, object]:
    fingerprint = _extractor.fingerprint if _extractor is not None else None
    batch = _batcher.size if _batcher is not None else None
    return {"pid": os.getpid(), "extractor": fingerprint, "loads": _loads, "batch": batch}


assume(Role("gpu", GPU_QUEUES, ["tasks.extract", "tasks.rescue"], prepare, _loaded), app)
