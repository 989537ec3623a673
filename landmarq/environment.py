"""What a command finds around it: the settings, the broker of an ``up`` that runs, TensorFlow's temper."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from landmarq.errors import BadSettings

if TYPE_CHECKING:
    from config.settings import Settings
    from landmarq.client import Client
    from recognition.extractors.base import Extractor

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "GRPC_VERBOSITY": "ERROR"}


def load_settings(
    data_dir: Path | None = None,
    *,
    index_dir: Path | None = None,
    profile: str | None = None,
    discover: bool = True,
) -> Settings:
    """The environment's settings with the command's options on top.

    discover: when nobody names a broker, take that of the ``landmarq up`` that runs on the data folder.

    Raises:
        BadSettings: a variable can't be used.
    """
    from config.settings import SettingsError, load
    from landmarq.runfile import with_broker

    options = {"data_dir": data_dir, "index_dir": index_dir, "profile": profile}
    try:
        settings = load(**{name: value for name, value in options.items() if value is not None})
    except SettingsError as error:
        raise BadSettings(str(error)) from None
    return with_broker(settings) if discover else settings


def make_client(data_dir: Path | None) -> Client:
    """A client of the broker that the settings lead to."""
    from landmarq.client import Client

    return Client(settings=load_settings(data_dir))


def load_extractor(settings: Settings) -> Extractor:
    """The extractor that the settings name, loaded, without TensorFlow's chatter (LANDMARQ_DEBUG=1 lets it through).

    Raises:
        ExtractorUnavailable: it can't be loaded.
    """
    from workers.engine import make_extractor

    quiet_tensorflow()
    extractor = make_extractor(settings)
    with nullcontext() if os.environ.get("LANDMARQ_DEBUG") else _muted_stderr():
        extractor.load()
    return extractor


def quiet_tensorflow() -> None:
    """Tell TensorFlow, here and in the processes started from here, to log errors only; before it is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


@contextmanager
def _muted_stderr() -> Iterator[None]:
    """Drop what native code writes to file descriptor 2, but not what Python writes to ``sys.stderr``.

    TensorFlow 2.21 logs before it has read how much it should: no environment variable silences it.
    """
    python_stderr = sys.stderr
    terminal = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere, open(terminal, "w", buffering=1, closefd=False) as spared:
            if _is_descriptor_2(python_stderr):
                sys.stderr = spared
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        sys.stderr = python_stderr


def _is_descriptor_2(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (OSError, AttributeError):  # captured, as in a test
        return False
