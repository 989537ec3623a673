"""Where a TF-Hub module lies on disk: a folder, the cache of tensorflow_hub, or a download into that cache.

Only a download loads TensorFlow, and in a process of its own: the cache folder is handed over in that process's
environment, and a download that hangs can be stopped together with its lock file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from recognition.errors import ExtractorUnavailable

logger = logging.getLogger(__name__)

GRAPH = "saved_model.pb"
VARIABLES = "variables"

_EXTRACT_EXTRA = "pip install 'landmarq[extract]'"
_PACKAGES = {
    "tensorflow": _EXTRACT_EXTRA,
    "tensorflow_hub": _EXTRACT_EXTRA,
    # tensorflow_hub 0.16 imports it, setuptools 81 removed it, and TensorFlow asks for the newest setuptools
    "pkg_resources": "pip install 'setuptools<81'",
}

# sys.exit unwinds the resolver, which then removes its lock file; without it, others wait ten minutes for nobody.
_FETCH = """
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
socket.setdefaulttimeout(float(sys.argv[2]))
import tensorflow_hub
tensorflow_hub.resolve(sys.argv[1])
"""


def require_packages() -> None:
    """Look for TensorFlow and what TF-Hub needs without importing them.

    Raises:
        ExtractorUnavailable: one is missing; the message says how to install it.
    """
    for package, remedy in _PACKAGES.items():
        if importlib.util.find_spec(package) is None:
            raise ExtractorUnavailable(f"the delf extractor needs the Python package {package!r}: {remedy}")


def cached_folder(handle: str, cache_dir: Path | None = None) -> Path:
    """Where tensorflow_hub keeps the module of a URL: ``sha1(handle)`` in the cache folder.

    The cache folder is ``cache_dir``, else ``TFHUB_CACHE_DIR``, else ``tfhub_modules`` among the temporary files.
    """
    root = cache_dir or os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir(), "tfhub_modules")
    return Path(root).expanduser().absolute() / hashlib.sha1(handle.encode(), usedforsecurity=False).hexdigest()


def resolve(handle: str, *, cache_dir: Path | None = None, silence_s: float = 30.0, deadline_s: float = 900.0) -> Path:
    """The folder that holds a module, downloading it if need be.

    Args:
        handle: a URL, or the path of a folder that holds ``saved_model.pb`` and ``variables/``.
        cache_dir: where downloaded modules are kept; see :func:`cached_folder`.
        silence_s: > 0, seconds without a byte after which a download is given up.
        deadline_s: > 0, seconds after which it is given up in any case.

    Raises:
        ExtractorUnavailable: there is no such module and it can't be fetched; the message says how to bring it.
    """
    remote = "://" in handle
    folder = cached_folder(handle, cache_dir) if remote else Path(handle).expanduser()
    if remote and not (folder.is_dir() and any(folder.iterdir())):
        _download(handle, folder, silence_s, deadline_s)
    if not (folder / GRAPH).is_file():
        found = "is a file: unpack it first" if folder.is_file() else f"holds no {GRAPH}"
        found = found if folder.exists() else "does not exist"
        raise ExtractorUnavailable(f"{folder} {found}. {by_hand(handle, folder)}")
    return folder


def digest(folder: Path) -> bytes:
    """sha256 over names and contents of the graph and the variables: what makes a module give the answers it gives."""
    total = hashlib.sha256()
    files = [folder / GRAPH, *(file for file in (folder / VARIABLES).rglob("*") if file.is_file())]
    for file in sorted(files):
        with file.open("rb") as stream:
            total.update(f"{file.relative_to(folder).as_posix()}\0".encode())
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.digest()


def by_hand(handle: str, folder: Path) -> str:
    """How a person brings the module to a machine that can't fetch it."""
    if "://" not in handle:
        return (
            f"LANDMARQ_DELF__HANDLE must be a URL or a folder that holds {GRAPH} and {VARIABLES}/ "
            "(the unpacked module itself, not a folder around it)"
        )
    return (
        f"To bring the module by hand: where there is a network, download {handle}?tf-hub-format=compressed "
        f"(a .tar.gz); unpack it here into a folder, so that the folder holds {GRAPH} and {VARIABLES}/; then set "
        f"LANDMARQ_DELF__HANDLE to that folder, or name it {folder} (the cache of TF-Hub: "
        "LANDMARQ_DELF__CACHE_DIR or TFHUB_CACHE_DIR). LANDMARQ_EXTRACTOR=xfeat needs no download"
    )


def _download(handle: str, folder: Path, silence_s: float, deadline_s: float) -> None:
    require_packages()
    logger.info("fetching %s into %s", handle, folder)
    environment = os.environ | {"TFHUB_CACHE_DIR": str(folder.parent), "TFHUB_MODEL_LOAD_FORMAT": "COMPRESSED"}
    command = [sys.executable, "-c", _FETCH, handle, str(silence_s)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        try:
            said = process.communicate(timeout=deadline_s)[1].strip()
        except subprocess.TimeoutExpired:
            _stop(process)
            said = f"not done after {deadline_s:g} s"
    if process.returncode != 0:
        reason = said.splitlines()[-1] if said else f"exit status {process.returncode}"
        raise ExtractorUnavailable(f"the module {handle} could not be fetched: {reason}. {by_hand(handle, folder)}")


def _stop(process: subprocess.Popen[str], patience_s: float = 10.0) -> None:
    process.terminate()
    try:
        process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
