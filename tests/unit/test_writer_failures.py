"""Writers that wait, fail or are killed: the index stays as it was, and the next writer tidies up."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recognition.errors import (
    IndexLocked,
    IndexMissing,
    StoreError,
)
from recognition.index import store as store_module
from recognition.index.store import Store
from recognition.index.writer import Writer
from tests.support.indexes import FINGERPRINT, add, build

ROOT = Path(__file__).parents[2]


def names(store: Store, generation: int | None = None) -> list[str]:
    return [image.name for image in store.open(generation).images()]


def files(path: Path) -> set[str]:
    return {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(2))
    with Writer(store, FINGERPRINT) as writer:
        for other in (
            lambda: Writer(store, FINGERPRINT, lock_timeout=0.1).__enter__(),
            lambda: store.rollback(1, lock_timeout=0.1),
            lambda: store.prune(lock_timeout=0.1),
        ):
            with pytest.raises(IndexLocked, match=r"waited 0\.1 s for .*writer\.lock"):
                other()
        assert len(store.open()) == 2  # readers need no lock
        add(writer, 5)
        writer.commit()
    store.rollback(1, lock_timeout=0.1)


def test_a_writer_waits_for_another_process(tmp_path: Path) -> None:
    store = build(tmp_path / "index", range(2))
    with _child(store, "print('locked', flush=True); sys.stdin.read()") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        with pytest.raises(IndexLocked):
            Writer(store, FINGERPRINT, lock_timeout=0.1).__enter__()
        child.communicate("")
    with Writer(store, FINGERPRINT, lock_timeout=0.1):
        pass


CRASHES = {
    "after a spilled segment": "os._exit(9)",
    "while a segment is being written": (
        "import recognition.index.segment as m; m.publish = lambda *a: os._exit(9); writer.commit()"
    ),
    "before the generation file": (
        "import recognition.index.store as m; m.Generation.write = lambda *a: os._exit(9); writer.commit()"
    ),
    "before the generation file is renamed": (
        "import recognition.index.files as m; m.publish = lambda *a: os._exit(9); writer.commit()"
    ),
    "before CURRENT": "import recognition.index.store as m; m.write_atomic = lambda *a: os._exit(9); writer.commit()",
    "by kill -9": "os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("crash", CRASHES.values(), ids=CRASHES.keys())
def test_a_killed_writer_changes_nothing(tmp_path: Path, crash: str, existing: bool) -> None:
    store = build(tmp_path / "index", range(10, 12)) if existing else Store(tmp_path / "index")
    with _child(store, f"[add(writer, i) for i in range(5)]; {crash}") as child:
        _, errors = child.communicate(timeout=60)
    assert child.returncode in (9, -signal.SIGKILL), errors
    if existing:
        assert names(store) == ["10.jpg", "11.jpg"]
    else:
        with pytest.raises(IndexMissing):
            store.open()

    with Writer(store, FINGERPRINT, lock_timeout=0.1) as writer:
        add(writer, 20)
        writer.commit()
    assert names(store) == ["10.jpg", "11.jpg", "20.jpg"][2 * (not existing) :]
    store.prune(keep=1)
    assert store.check() == []
    listed = {f"segments/{entry.file}" for entry in store.read(store.current()).segments}
    assert files(store.path) == listed | {f"generations/{store.current()}.json", "CURRENT", "writer.lock"}


def _child(store: Store, then: str) -> subprocess.Popen[str]:
    """A process that opens a writer which spills every two images, and goes on with ``then``."""
    script = (
        "import os, signal, sys\n"
        "from tests.support.indexes import FINGERPRINT, Store, Writer, add\n"
        f"with Writer(Store({str(store.path)!r}), FINGERPRINT, spill_images=2) as writer:\n"
        f"    {then}\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_failed_commit_leaves_the_index_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = build(tmp_path / "index", range(2))
    before = files(store.path)

    def full(place: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with Writer(store, FINGERPRINT) as writer:
        add(writer, 5)
        monkeypatch.setattr(store_module, "write_atomic", full)
        with pytest.raises(StoreError, match=r"can't be written: .*No space left"):
            writer.commit()
    assert files(store.path) == before
    assert store.check() == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match="can't be written"):
        Writer(Store(tmp_path / "file" / "index"), FINGERPRINT).__enter__()
