"""Who loads what: a CPU worker's processes never load TensorFlow, and a worker module loads nothing when imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.samples import query
from tests.support.workers import ROOT, Crew, until

if TYPE_CHECKING:
    from tests.conftest import Line


@pytest.mark.tensorflow
def test_no_process_of_a_cpu_worker_ever_loads_tensorflow(line: Line, crew: Crew) -> None:
    gpu, cpu = crew.hire("gpu"), crew.hire("cpu", concurrency=2)
    gpu.ready()
    cpu.ready()
    for job in line.client.submit_many([query("eiffel-tower-2"), query("taj-mahal-2")] * 3):
        assert job.wait(120)["state"] == "done"
    children = until(lambda: len(cpu.children) == 2 and cpu.children, "the pool has both processes")
    for pid in (cpu.process.pid, *(child.pid for child in children)):
        mapped = libraries(pid)
        assert "tensorflow" not in mapped, pid
        assert "cv2" in mapped
    assert "tensorflow" in libraries(gpu.process.pid)


def libraries(pid: int) -> str:
    """The files that a process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("workers.gpu", {"tensorflow", "keras", "tensorflow_hub"}),
        ("workers.cpu", {"tensorflow", "keras", "h5py", "scipy", "tasks"}),
        ("workers.health", {"tensorflow", "scipy", "faiss", "cv2", "skimage", "h5py", "numpy"}),
        ("tasks.extract", {"tensorflow", "keras", "tensorflow_hub"}),
        ("tasks.match", {"tensorflow", "keras"}),
        ("tasks.verify", {"tensorflow", "keras"}),
        ("landmarq", {"tensorflow", "scipy", "faiss", "cv2", "skimage", "h5py"}),
    ],
)
def test_importing_a_module_loads_no_more_than_it_should(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}\nprint(sorted({absent!r} & {{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
