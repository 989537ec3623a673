"""The batcher with real threads: who shares a call, who waits for whom, and whose error is whose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest

from config.settings import load
from recognition.errors import ExtractorError, ExtractorOutOfMemory, ImageError
from recognition.extractors.base import Image
from recognition.features import Features
from workers import gpu
from workers.batching import Batcher, Submit

PATIENCE_S = 60.0
LONG_S = 3600.0  # a wait that no test would survive


def picture(number: int, size: tuple[int, int] = (2, 3)) -> Image:
    return np.full((*size, 3), number, np.uint8)


def features_of(image: Image) -> Features:
    """No locations; the score tells which image it was."""
    one = np.array([image[0, 0, 0]], np.float32)
    return Features(np.zeros((1, 2), np.float32), np.ones((1, 1), np.float32), one, one, image.shape[:2], "fake@0")


def number_of(features: Features) -> int:
    return int(features.scores[0])


class Network:
    """Fake ``run``: notes its batches, fails where told, and waits at a gate while that is closed."""

    def __init__(self, fails: Callable[[list[int]], Exception | None] = lambda _: None) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self._fails = fails

    def __call__(self, images: Sequence[Image]) -> list[Features]:
        numbers = [int(image[0, 0, 0]) for image in images]
        self.batches.append(numbers)
        self.entered.release()
        assert self.gate.wait(PATIENCE_S)
        error = self._fails(numbers)
        if error:
            raise error
        return [features_of(image) for image in images]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def together(batcher: Batcher, pool: ThreadPoolExecutor, images: Sequence[Image]) -> list[Future[Features]]:
    """All jobs are known before the first one submits."""
    with ExitStack() as stack:
        submits: list[Submit] = [stack.enter_context(batcher.job()) for _ in images]
        futures = [pool.submit(submit, image) for submit, image in zip(submits, images, strict=True)]
        for future in futures:
            future.exception(PATIENCE_S)
    return futures


def alone(batcher: Batcher, image: Image) -> Features:
    with batcher.job() as submit:
        return submit(image)


def test_who_comes_together_shares_a_call_and_gets_its_own_answer(pool: ThreadPoolExecutor) -> None:
    network = Network()
    batcher = Batcher(network, size=8, wait_s=LONG_S)
    futures = together(batcher, pool, [picture(i) for i in range(8)])
    assert [number_of(future.result()) for future in futures] == list(range(8))
    assert [sorted(batch) for batch in network.batches] == [list(range(8))]


def test_alone_nobody_waits() -> None:
    network = Network()
    assert number_of(alone(Batcher(network, size=8, wait_s=LONG_S), picture(5))) == 5
    assert network.batches == [[5]]


def test_the_last_one_that_was_expected_starts_an_incomplete_batch(pool: ThreadPoolExecutor) -> None:
    network = Network()
    together(Batcher(network, size=8, wait_s=LONG_S), pool, [picture(i) for i in range(3)])
    assert [sorted(batch) for batch in network.batches] == [[0, 1, 2]]


def test_a_companion_that_never_comes_is_waited_for_only_so_long(pool: ThreadPoolExecutor) -> None:
    network = Network()
    batcher = Batcher(network, size=8, wait_s=0.02)
    with batcher.job():
        assert number_of(pool.submit(alone, batcher, picture(1)).result(PATIENCE_S)) == 1


def test_a_companion_whose_photograph_is_bad_is_not_waited_for(pool: ThreadPoolExecutor) -> None:
    network = Network()
    batcher = Batcher(network, size=8, wait_s=LONG_S)
    with ExitStack() as stack:
        bad = stack.enter_context(ExitStack())
        bad.enter_context(batcher.job())
        good = pool.submit(alone, batcher, picture(1))
        with pytest.raises(ImageError), bad:
            raise ImageError("no photograph")
        assert number_of(good.result(PATIENCE_S)) == 1


def test_sizes_are_not_mixed(pool: ThreadPoolExecutor) -> None:
    network = Network()
    images = [picture(i, (2, 3) if i % 2 else (3, 2)) for i in range(6)]
    together(Batcher(network, size=8, wait_s=LONG_S), pool, images)
    assert sorted(sorted(batch) for batch in network.batches) == [[0, 2, 4], [1, 3, 5]]


def test_what_shares_a_bucket_shares_a_call(pool: ThreadPoolExecutor) -> None:
    network = Network()
    images = [picture(i, (2 + i % 2, 3 + i)) for i in range(6)]
    batcher = Batcher(network, size=8, wait_s=LONG_S, bucket=lambda image: image.shape[0])
    futures = together(batcher, pool, images)
    assert [future.result().image_size for future in futures] == [image.shape[:2] for image in images]
    assert sorted(sorted(batch) for batch in network.batches) == [[0, 2, 4], [1, 3, 5]]


def test_while_the_network_is_busy_the_next_batch_gathers(pool: ThreadPoolExecutor) -> None:
    network = Network()
    batcher = Batcher(network, size=4, wait_s=0.0, runs=1)
    network.gate.clear()
    first = pool.submit(alone, batcher, picture(0))
    assert network.entered.acquire(timeout=PATIENCE_S)
    rest = [pool.submit(alone, batcher, picture(i)) for i in range(1, 7)]
    until_waiting(batcher, 6)
    network.gate.set()
    assert [number_of(future.result(PATIENCE_S)) for future in (first, *rest)] == list(range(7))
    assert [len(batch) for batch in network.batches] == [1, 4, 2]


def test_no_more_calls_at_a_time_than_asked_for(pool: ThreadPoolExecutor) -> None:
    network = Network()
    batcher = Batcher(network, size=2, wait_s=0.0, runs=2)
    network.gate.clear()
    futures = []
    for i in range(2):
        futures.append(pool.submit(alone, batcher, picture(i)))
        assert network.entered.acquire(timeout=PATIENCE_S)
    futures += [pool.submit(alone, batcher, picture(i)) for i in range(2, 6)]
    until_waiting(batcher, 4)
    assert len(network.batches) == 2
    network.gate.set()
    assert [number_of(future.result(PATIENCE_S)) for future in futures] == list(range(6))
    assert [len(batch) for batch in network.batches] == [1, 1, 2, 2]


def until_waiting(batcher: Batcher, count: int) -> None:
    with batcher._changed:
        assert batcher._changed.wait_for(lambda: len(batcher._waiting) == count, PATIENCE_S)


def test_a_photograph_that_fails_does_not_fail_its_companions(pool: ThreadPoolExecutor) -> None:
    network = Network(lambda numbers: ExtractorError("this one") if 5 in numbers else None)
    futures = together(Batcher(network, size=8, wait_s=LONG_S), pool, [picture(i) for i in range(8)])
    assert [number_of(future.result()) for i, future in enumerate(futures) if i != 5] == [0, 1, 2, 3, 4, 6, 7]
    with pytest.raises(ExtractorError, match="this one"):
        futures[5].result()


def test_out_of_memory_halves_the_batch_and_the_ones_after_it(pool: ThreadPoolExecutor) -> None:
    network = Network(lambda numbers: ExtractorOutOfMemory("too many") if len(numbers) > 2 else None)
    batcher = Batcher(network, size=8, wait_s=LONG_S)
    futures = together(batcher, pool, [picture(i) for i in range(8)])
    assert [number_of(future.result()) for future in futures] == list(range(8))
    assert [len(batch) for batch in network.batches] == [8, 4, 2, 2, 4, 2, 2]
    assert batcher.size == 2
    network.batches.clear()
    together(batcher, pool, [picture(i) for i in range(4)])
    assert [len(batch) for batch in network.batches] == [2, 2]


def test_one_that_is_too_large_alone_is_told(pool: ThreadPoolExecutor) -> None:
    network = Network(lambda _: ExtractorOutOfMemory("too large"))
    batcher = Batcher(network, size=2, wait_s=LONG_S)
    for future in together(batcher, pool, [picture(0), picture(1)]):
        with pytest.raises(ExtractorOutOfMemory, match="too large"):
            future.result()
    assert batcher.size == 1
    network._fails = lambda _: None
    assert number_of(alone(batcher, picture(3))) == 3


def test_a_call_that_ends_without_answers_leaves_nobody_waiting(pool: ThreadPoolExecutor) -> None:
    def ends(images: Sequence[Image]) -> list[Features]:
        raise SystemExit

    futures = together(Batcher(ends, size=2, wait_s=LONG_S), pool, [picture(0), picture(1)])
    assert {type(future.exception()) for future in futures} == {SystemExit, ExtractorError}


def test_too_few_answers_are_a_failed_batch(pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(lambda images: [features_of(images[0])], size=2, wait_s=LONG_S)
    futures = together(batcher, pool, [picture(0), picture(1)])
    assert [number_of(future.result()) for future in futures] == [0, 1]


def test_with_size_one_every_thread_calls_by_itself(pool: ThreadPoolExecutor) -> None:
    network = Network()
    batcher = Batcher(network, size=1, wait_s=LONG_S, runs=1)
    network.gate.clear()
    futures = [pool.submit(alone, batcher, picture(i)) for i in range(4)]
    for _ in futures:
        assert network.entered.acquire(timeout=PATIENCE_S)
    network.gate.set()
    assert [number_of(future.result(PATIENCE_S)) for future in futures] == list(range(4))
    assert [len(batch) for batch in network.batches] == [1, 1, 1, 1]


def test_nothing_is_lost_under_load(pool: ThreadPoolExecutor) -> None:
    network = Network(lambda numbers: ExtractorError("odd") if any(n % 10 == 7 for n in numbers) else None)
    batcher = Batcher(network, size=4, wait_s=0.001)
    futures = [pool.submit(alone, batcher, picture(i, (2, 2 + i % 3))) for i in range(200)]
    for i, future in enumerate(futures):
        error = future.exception(PATIENCE_S)
        assert (error is not None) == (i % 10 == 7)
        assert error is not None or number_of(future.result()) == i
    assert (batcher._coming, batcher._running, batcher._waiting) == (0, 0, [])


@pytest.mark.parametrize("options", [{"size": 0}, {"wait_s": -1.0}, {"runs": 0}])
def test_refuses_parameters(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be >="):
        Batcher(Network(), **{"size": 1, "wait_s": 0.0, "runs": 1, **options})  # type: ignore[arg-type]


class Sized:
    """An extractor of which only the batch size and the bucket are asked."""

    batch_size = 8

    def bucket(self, image: Image) -> int:
        """All of one height share calls."""
        return image.shape[0]


@pytest.mark.parametrize(("batch", "size"), [({}, 8), ({"size": 1}, 1), ({"size": 3}, 3)])
def test_the_device_decides_unless_the_settings_do(batch: dict[str, int], size: int) -> None:
    batcher = gpu.make_batcher(Sized(), load(batch=batch))  # type: ignore[arg-type]
    assert batcher.size == size
    assert batcher._bucket(picture(0, (5, 6))) == 5
