"""Fixtures for every room: a server, a client, the extractor, a small index. Dear ones are made once a session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as hypothesis_settings

from config.settings import Settings, get_settings, load
from landmarq.client import Client
from tests.support.server import Server
from tests.support.workers import Crew

if TYPE_CHECKING:
    from recognition.extractors.base import Extractor
    from recognition.index.store import Store

# Machines are shared and noisy: how long an example takes says nothing about it.
hypothesis_settings.register_profile("landmarq", deadline=None)
hypothesis_settings.load_profile("landmarq")

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "samples"
INDEXED = ("brandenburg-gate", "colosseum", "eiffel-tower", "great-pyramid-of-giza", "mount-rushmore", "qutub-minar")
INDEXED += ("statue-of-liberty", "taj-mahal")

# What somebody has set in their shell must not decide what the tests see.
for _name in [name for name in os.environ if name.startswith("LANDMARQ_")]:
    del os.environ[_name]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(autouse=True, scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing of a test ends up in the user's data folder."""
    folder = tmp_path_factory.mktemp("data")
    os.environ["LANDMARQ_DATA_DIR"] = str(folder)
    get_settings.cache_clear()
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that tests share; one that is killed is a test's own."""
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def queue_settings(server: Server) -> Settings:
    """Settings that lead to the shared server."""
    return load(redis={"url": server.url})


@pytest.fixture
def client(queue_settings: Settings) -> Iterator[Client]:
    """A client of the shared server, where nothing of other tests is left."""
    with Client(settings=queue_settings) as client:
        client.jobs.client.flushdb()
        yield client


@pytest.fixture(scope="session")
def xfeat() -> Extractor:
    """The bundled extractor, loaded (tests that use it are marked ``tensorflow``)."""
    from recognition.extractors import create

    extractor = create("xfeat")
    extractor.load()
    return extractor


@pytest.fixture(scope="session")
def small_index(xfeat: Extractor, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """An index of eight sample photos. Shared: a test that changes an index copies the folder (``store.path``)."""
    from recognition.index.store import Store
    from tests.support.samples import add_sample

    store = Store(tmp_path_factory.mktemp("small") / "index")
    for name in INDEXED:
        add_sample(store, name, xfeat)
    return store


@dataclass(frozen=True)
class Line:
    """A production line of a test module's own: a server, a client, an index that may be changed, and workers."""

    server: Server
    client: Client
    store: Store
    crew: Crew


@pytest.fixture(scope="module")
def line(small_index: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Nobody is hired yet."""
    from recognition.index.store import Store

    folder = tmp_path_factory.mktemp("line")
    shutil.copytree(small_index.path, folder / "index")
    env = {"LANDMARQ_INDEX_DIR": str(folder / "index"), "TF_CPP_MIN_LOG_LEVEL": "2"}
    with (
        Server(folder / "server") as server,
        Client(server.url) as client,
        Crew(folder, {**env, "LANDMARQ_REDIS__URL": server.url}) as crew,
    ):
        yield Line(server, client, Store(folder / "index"), crew)


@pytest.fixture
def crew(line: Line, tmp_path: Path) -> Iterator[Crew]:
    """Workers of one test on its module's line, gone when the test is over."""
    with Crew(tmp_path, line.crew.env) as crew:
        yield crew
