"""The CPU worker: holds the index, opened in the parent and shared with the pool's processes.

``celery -A workers.cpu worker`` consumes the queues cpu and cpu.bulk, with a process per core.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from config.celery import CPU_QUEUES, app
from config.settings import get_settings
from recognition.errors import IndexMissing, LandmarqError
from workers.engine import Role, assume, profile

if TYPE_CHECKING:
    from recognition.index.store import Index, Store
    from recognition.search import Searcher

__all__ = ["app", "index"]

logger = logging.getLogger(__name__)

# A job is verified against the generation that it was matched with, which may be the one before.
KEPT = 2

# Number and identity of a generation's file: an index that was deleted and built again counts from 1 again.
Stamp = tuple[int, int, int]

_lock = threading.Lock()
_opened: dict[Stamp, tuple[Index, Searcher]] = {}


def index(generation: int | None = None) -> tuple[Index, Searcher]:
    """A generation of the index (None: the current one) with its searcher, opened when it wasn't.

    Raises:
        IndexMissing: there is no index yet; the next call looks again.
        GenerationMissing, SegmentCorrupt, SchemaMismatch, FingerprintMismatch: it can't be opened.
    """
    from recognition.index.store import Store

    settings = get_settings()
    store = Store(settings.index_path)
    wanted = store.stamp(store.current() if generation is None else generation)
    with _lock:
        if wanted not in _opened:
            _open(store, wanted)
        opened = _opened[wanted] = _opened.pop(wanted)  # the last one is the latest used
        for old in list(_opened)[:-KEPT]:
            del _opened[old]
    return opened


def _open(store: Store, stamp: Stamp) -> None:
    from recognition.search import AnnSearcher, make_searcher

    generation = stamp[0]
    opened = store.open(generation)
    searcher = make_searcher(opened.parts, profile(get_settings()).match.method)
    _opened[stamp] = (opened, searcher)
    logger.info(
        "index generation %d opened: %d images, %d descriptors", generation, len(opened), opened.descriptor_count
    )
    if isinstance(searcher, AnnSearcher) and searcher.unlisted:
        logger.warning(
            "%d descriptors of the index were written by a release without inverted lists and are all compared, which "
            "is slower: build the index again",
            searcher.unlisted,
        )


def prepare(worker: Any) -> None:
    """Open the index before the pool forks, so that its processes share the memory. Without one the worker starts.

    One BLAS thread per process: processes are what scales here, and threads of several of them that wait for each
    other in a spin on the same cores made a photograph's search twenty times slower.
    """
    threadpool_limits(1)
    try:
        index()
    except IndexMissing as error:
        logger.warning("%s; jobs fail with index_missing until there is one", error)
    except LandmarqError as error:
        logger.error("the index can't be opened: %s", error)


def _loaded() -> dict[str, object]:
    return {"pid": os.getpid(), "generations": sorted(number for number, *_ in _opened)}


assume(Role("cpu", CPU_QUEUES, ["tasks.match", "tasks.verify", "tasks.rescue"], prepare, _loaded), app)
