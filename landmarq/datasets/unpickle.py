"""Pickles of plain data from strangers: dictionaries, lists, numbers, strings and arrays of numbers, and no code."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt

# Where NumPy 1 and 2 keep what their arrays are pickled with.
_NUMPY = frozenset(
    (module, name)
    for package in ("numpy.core", "numpy._core")
    for module, name in ((f"{package}.multiarray", "_reconstruct"), (f"{package}.multiarray", "scalar"))
)
_NUMBERS = "biuf"


class RefusedPickle(Exception):
    """The pickle is damaged, or asks for anything but plain data."""


def load(data: bytes) -> Any:
    """The value that ``data`` holds; arrays come as NumPy arrays of numbers, NumPy's own code is not called.

    Raises:
        RefusedPickle: it is no pickle, is cut off, or names a class or function that plain data has no need of.
    """
    try:
        return _plain(_Unpickler(io.BytesIO(data), encoding="latin1").load())
    except RefusedPickle:
        raise
    except Exception as error:  # a damaged pickle raises whatever its wrong bytes happen to mean
        raise RefusedPickle(f"this is no pickle, or a damaged one ({type(error).__name__}: {error})") from None


class _Dtype:
    """Stands in for ``numpy.dtype``: remembers the kind and width, and from its state the byte order."""

    def __init__(self, name: str, *_: Any) -> None:
        self.name, self.order = str(name), "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = str(state[1])

    def made(self) -> np.dtype[Any]:
        dtype = np.dtype(self.name)
        if dtype.kind not in _NUMBERS:
            raise RefusedPickle(f"an array of {self.name}: only arrays of numbers are read")
        return dtype.newbyteorder(">" if self.order == ">" else "<")


class _Array:
    """Stands in for ``numpy.ndarray`` while it is being built."""

    value: npt.NDArray[Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, raw = state
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        self.value = np.frombuffer(data, dtype.made()).reshape(shape, order="F" if fortran else "C")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NUMPY:
            return _reconstruct if name == "_reconstruct" else _scalar
        if (module, name) == ("numpy", "ndarray"):
            return _Array
        if (module, name) == ("numpy", "dtype"):
            return _Dtype
        if (module, name) == ("_codecs", "encode"):  # how protocol 2 writes bytes
            return _encode
        if name == "bytes" and module in ("__builtin__", "builtins"):  # and how it writes no bytes
            return _no_bytes
        raise RefusedPickle(f"the pickle asks for {module}.{name}, which plain data has no need of")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, raw: bytes | str) -> Any:
    return np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else raw, dtype.made())[0].item()


def _encode(text: str, *_: Any) -> bytes:
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
