"""A weights file as PyTorch wrote it before 1.6, put together by hand: the tests of the converter need no PyTorch."""

from __future__ import annotations

import pickle
import struct
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def torch_legacy(state: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """What ``torch.save`` made of a state dictionary of float32 and int64 tensors, whatever their strides."""
    items = b"".join(_literal(name) + _tensor(i, array) for i, (name, array) in enumerate(state.items()))
    return wrapped(b"\x80\x02}(" + items + b"u.", [_storage(array) for array in state.values()])


def wrapped(state_pickle: bytes, storages: list[np.ndarray[Any, Any]] | None = None) -> bytes:
    """A weights file around any pickle; the storages are called "0", "1", ..."""
    storages = storages or []
    head = b"".join(pickle.dumps(value, 2) for value in (MAGIC, 1001, MACHINE))
    keys = pickle.dumps([str(i) for i in range(len(storages))], 2)
    return head + state_pickle + keys + b"".join(struct.pack("<q", s.size) + s.tobytes() for s in storages)


def _storage(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The numbers in the order in which they lie in memory."""
    return array.ravel(order="K")


def _literal(value: object) -> bytes:
    return pickle.dumps(value, 2)[2:-1]  # without the protocol and the stop


def _tensor(key: int, array: np.ndarray[Any, Any]) -> bytes:
    storage = b"ctorch\nFloatStorage\n" if array.dtype == np.float32 else b"ctorch\nLongStorage\n"
    persistent = b"(" + _literal("storage") + storage + _literal(str(key)) + _literal("cpu") + _literal(array.size)
    strides = tuple(step // array.itemsize for step in array.strides)
    layout = _literal(0) + _literal(array.shape) + _literal(strides)
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + persistent + b"NtQ" + layout + b"\x89ccollections\nOrderedDict\n)RtR"
    )
