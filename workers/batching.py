"""Dynamic micro-batching: photographs of one bucket that are there at the same time go through the network together.

As in Triton's dynamic batcher, a job waits a few milliseconds for companions, but only while somebody is known to come
(a job whose photograph is being fetched and decoded) or while the network is busy anyway. There is no thread besides
the pool's: the first one that finds its batch ready takes all of it through the network, the others wait for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from recognition.errors import ExtractorError, ExtractorOutOfMemory
from recognition.extractors.base import Image
from recognition.features import Features

logger = logging.getLogger(__name__)

Run = Callable[[Sequence[Image]], list[Features]]
Submit = Callable[[Image], Features]


@dataclass(eq=False)
class _Waiting:
    """A photograph (uint8 [h, w, 3]) on its way: at first nobody's, then taken by a thread, then with an outcome."""

    image: Image
    bucket: Hashable
    deadline: float
    taken: bool = False
    outcome: Features | Exception | None = None


def _size(image: Image) -> Hashable:
    return image.shape[:2]


class Batcher:
    """Lets threads share the calls of a network.

    Args:
        run: images of one bucket -> features of each, in their order; called from at most ``runs`` threads at a time.
        size: >= 1, most images per call; 1: every thread calls ``run`` by itself, at once, and ``runs`` limits nothing.
        wait_s: >= 0, seconds that an image waits for companions at most while the network is idle.
        runs: >= 1, calls at a time: while one is on the device, another one prepares its images or picks keypoints.
        bucket: what photographs have in common that share a call; by default (height, width).

    Raises:
        ValueError: a parameter is out of its range.
    """

    def __init__(
        self, run: Run, *, size: int, wait_s: float, runs: int = 2, bucket: Callable[[Image], Hashable] = _size
    ) -> None:
        if size < 1 or wait_s < 0 or runs < 1:
            raise ValueError(f"size and runs must be >= 1 and wait_s >= 0, not {size}, {runs} and {wait_s}")
        self._run = run
        self._alone = size == 1
        self._size = size
        self._wait_s = wait_s
        self._runs = runs
        self._bucket = bucket
        self._changed = threading.Condition()
        self._coming = 0
        self._waiting: list[_Waiting] = []
        self._running = 0

    @property
    def size(self) -> int:
        """Most images per call: less than was asked for once the device's memory did not suffice."""
        return self._size

    @contextmanager
    def job(self) -> Iterator[Submit]:
        """From here on others may wait for this job; call what it yields once, with the decoded photograph.

        That returns the photograph's features, or raises what went wrong with this one.
        """
        submitted = False

        def submit(image: Image) -> Features:
            nonlocal submitted
            submitted = True
            return self._submit(image)

        with self._changed:
            self._coming += 1
        try:
            yield submit
        finally:
            if not submitted:  # its photograph can't be used: whoever waited for it need not any longer
                with self._changed:
                    self._arrived()

    def _submit(self, image: Image) -> Features:
        mine = _Waiting(image, self._bucket(image), time.monotonic() + self._wait_s)
        with self._changed:
            self._arrived()
            if self._alone:
                mine.taken = True
            else:
                self._waiting.append(mine)
        if mine.taken:
            self._extract([mine])
        while mine.outcome is None:
            self._lead(self._wait_for(mine))
        if isinstance(mine.outcome, Exception):
            raise mine.outcome
        return mine.outcome

    def _arrived(self) -> None:
        self._coming -= 1
        self._changed.notify_all()

    def _wait_for(self, mine: _Waiting) -> list[_Waiting]:
        """The batch that this thread has to see to; empty when somebody else has seen to ``mine``."""
        with self._changed:
            while mine.outcome is None:
                batch = [] if mine.taken else self._next()
                if mine in batch:
                    return self._take(batch)
                left = mine.deadline - time.monotonic()
                # Past its deadline it waits for the network only, whose end wakes everybody.
                self._changed.wait(left if left > 0 and not mine.taken else None)
        return []

    def _next(self) -> list[_Waiting]:
        """The batch of the photograph that has waited longest among those that need wait no longer."""
        if self._running >= self._runs:
            return []
        now = time.monotonic()
        for first in self._waiting:
            batch = [other for other in self._waiting if other.bucket == first.bucket][: self._size]
            if not self._coming or len(batch) == self._size or first.deadline <= now:
                return batch
        return []

    def _take(self, batch: list[_Waiting]) -> list[_Waiting]:
        for each in batch:
            each.taken = True
        self._waiting = [other for other in self._waiting if not other.taken]
        self._running += 1
        self._changed.notify_all()  # what is left may be another batch for another thread
        return batch

    def _lead(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        try:
            self._extract(batch)
        finally:
            for each in batch:
                if each.outcome is None:  # nobody may wait for ever, whatever ended the call
                    each.outcome = ExtractorError("the call of the network ended without an answer")
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _extract(self, batch: list[_Waiting]) -> None:
        """Give every photograph of the batch its outcome.

        A batch that fails is halved until it is known whose fault it was, or until it fits into the memory.
        """
        try:
            found = list(zip(batch, self._run([each.image for each in batch]), strict=True))
        except Exception as error:
            if len(batch) == 1:
                batch[0].outcome = error
                return
            half = len(batch) // 2
            if isinstance(error, ExtractorOutOfMemory):
                self._shrink(half)
            for part in (batch[:half], batch[half:]):
                self._extract(part)
            return
        for each, features in found:
            each.outcome = features

    def _shrink(self, size: int) -> None:
        with self._changed:
            if size < self._size:
                logger.warning("the device's memory holds no batch of %d: %d from now on", self._size, size)
                self._size = size
