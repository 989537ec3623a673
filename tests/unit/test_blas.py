"""Small matrix products keep to one BLAS thread, so that no other one spins in the network's way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from recognition import blas
from recognition.embedding.global_descriptor import whiten
from recognition.embedding.orientation import Orientation, View
from recognition.extractors.xfeat import project


def _threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_one_thread_and_then_as_many_as_before() -> None:
    before = _threads()
    with blas.one_thread():
        assert set(_threads()) <= {1}
    assert _threads() == before


def _project() -> None:
    project(np.ones((5, 64), np.float32), np.ones((64, 40), np.float32), np.zeros(64, np.float32))


def _whiten() -> None:
    one = np.ones(3, np.float32)
    whiten(np.ones((2, 3), np.float32), {"mean": one, "directions": np.ones((3, 1), np.float32), "damping": one[:1]})


def _scores() -> None:
    Orientation().scores(View(np.ones(1280, np.float32), np.ones((12, 9, 1280), np.float32)))


@pytest.mark.parametrize("product", [_project, _whiten, _scores])
def test_the_products_of_extraction_use_one(product: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Libraries:
        def limit(self, *, limits: int, user_api: str) -> AbstractContextManager[None]:
            seen.append(limits)
            return nullcontext()

    monkeypatch.setattr(blas, "_libraries", Libraries)
    product()
    assert seen == [1]
