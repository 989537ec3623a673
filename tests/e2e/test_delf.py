"""DELF through the queue: a module of its layout and signature in a GPU worker, loaded once, kept apart from xfeat."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recognition.extractors.delf import DelfExtractor
from recognition.index.store import Store
from tasks.errors import JobFailed
from tests.support.delf_module import HANDLE, build_delf_module, preload_cache
from tests.support.samples import add_sample, query
from tests.support.workers import Crew, until
from workers.health import ask

if TYPE_CHECKING:
    from tests.conftest import Line

pytestmark = pytest.mark.tensorflow

JOBS = 6


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_delf_module(tmp_path_factory.mktemp("delf") / "module")


@pytest.mark.parametrize("how", ["handle", "path"])
def test_photos_go_through_a_worker_that_loads_the_module_once(
    how: str, line: Line, crew: Crew, module: Path, tmp_path: Path
) -> None:
    where = {"LANDMARQ_DELF__HANDLE": str(module)}
    if how == "handle":
        preload_cache(tmp_path / "cache", HANDLE, module)
        where = {"LANDMARQ_DELF__HANDLE": HANDLE, "LANDMARQ_DELF__CACHE_DIR": str(tmp_path / "cache")}
    delf = DelfExtractor(handle=str(module))
    store = Store(tmp_path / "index")
    for name in ("colosseum", "brandenburg-gate"):
        add_sample(store, name, delf)
    gpu = crew.hire("gpu", concurrency=2, env={"LANDMARQ_EXTRACTOR": "delf", **where})
    cpu = crew.hire("cpu", env={"LANDMARQ_INDEX_DIR": str(store.path)})
    gpu.ready()
    cpu.ready()
    jobs = [line.client.submit(query("colosseum-copy")) for _ in range(JOBS)]
    results = [job.wait(120) for job in jobs]
    assert {result["landmark"]["id"] for result in results} == {"colosseum"}
    assert {result["extractor"] for result in results} == {delf.fingerprint}
    told = until(lambda: ask(line.client.settings, gpu.node), "the worker tells what it has loaded")
    assert told["loads"] == 1
    assert gpu.output.count("loaded in") == 1


def test_features_of_delf_are_refused_by_an_index_of_xfeat(line: Line, crew: Crew, module: Path) -> None:
    gpu = crew.hire("gpu", env={"LANDMARQ_EXTRACTOR": "delf", "LANDMARQ_DELF__HANDLE": str(module)})
    crew.hire("cpu").ready()
    gpu.ready()
    with pytest.raises(JobFailed, match="run the same extractor") as caught:
        line.client.submit(query("colosseum-copy")).wait(120)
    assert (caught.value.error["code"], caught.value.error["stage"]) == ("fingerprint_mismatch", "match")
