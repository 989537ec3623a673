"""A PyTorch weights file put together by hand: the tests of the converter need no PyTorch either."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import numpy as np


def torch_zip(state: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """What ``torch.save`` makes of a state dictionary of float32 and int64 tensors."""
    items = b"".join(_literal(name) + _tensor(i, array) for i, (name, array) in enumerate(state.items()))
    storages = {str(i): np.ascontiguousarray(array).tobytes() for i, array in enumerate(state.values())}
    return archive(b"\x80\x02}(" + items + b"u.", storages)


def archive(data_pkl: bytes, storages: dict[str, bytes] | None = None) -> bytes:
    """A weights file around any pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr("archive/data.pkl", data_pkl)
        for key, data in (storages or {}).items():
            target.writestr(f"archive/data/{key}", data)
    return buffer.getvalue()


def _literal(value: object) -> bytes:
    return pickle.dumps(value, 2)[2:-1]  # without the protocol and the stop


def _tensor(key: int, array: np.ndarray[Any, Any]) -> bytes:
    storage = b"ctorch\nFloatStorage\n" if array.dtype == np.float32 else b"ctorch\nLongStorage\n"
    persistent = b"(" + _literal("storage") + storage + _literal(str(key)) + _literal("cpu") + _literal(array.size)
    strides = tuple(step // array.itemsize for step in array.strides)
    layout = _literal(0) + _literal(array.shape) + _literal(strides)
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + persistent + b"tQ" + layout + b"\x89ccollections\nOrderedDict\n)RtR"
    )
