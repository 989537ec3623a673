"""NumPy's matrix products, which BLAS shares among threads whether that helps or not."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """While it lasts, BLAS uses one thread, for products that are too small to be shared.

    A search's took eight times as long where the cores had other work, since threads waited for each other. And
    OpenBLAS's wait for the next product in a spin, for a tenth of a second: the network that follows had a core less.
    """
    limit: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limit


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all that is loaded, which takes milliseconds
