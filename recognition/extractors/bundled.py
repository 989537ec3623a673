"""What the networks whose weights are part of Landmarq have in common: reading these, and asking for TensorFlow."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.errors import ExtractorUnavailable


def read_weights(path: Path, owner: str, script: str) -> bytes:
    """The bytes of a weights file. ``owner``: whose they are, for messages; ``script``: what makes the file.

    Raises:
        ExtractorUnavailable: it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ExtractorUnavailable(
            f"the weights of {owner} are missing: can't read {path} ({error.strerror}). They are part "
            f"of Landmarq: install it again, pip install 'landmarq[extract]', or make them with {script}"
        ) from error


def parse_weights(data: bytes, path: Path, owner: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays in the bytes of a weights file.

    Raises:
        ExtractorUnavailable: it is damaged.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ExtractorUnavailable(f"the weights of {owner} are damaged: {path}: {error}") from error


def require_tensorflow(owner: str) -> None:
    """Import TensorFlow and Keras.

    Raises:
        ExtractorUnavailable: one is missing, or Keras runs on another backend.
    """
    try:
        import keras
        import tensorflow  # noqa: F401 - keras may be there without it
    except ImportError as error:
        raise ExtractorUnavailable(
            f"{owner} needs TensorFlow, also as Keras' backend: pip install 'landmarq[extract]', "
            f"and leave KERAS_BACKEND unset ({error})"
        ) from error
    if keras.backend.backend() != "tensorflow":
        raise ExtractorUnavailable(
            f"{owner} runs on Keras' TensorFlow backend, not on {keras.backend.backend()!r}: "
            "unset KERAS_BACKEND or set it to tensorflow"
        )
