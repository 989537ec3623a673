"""The client against a real server, without any worker; and against none."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import load
from landmarq.client import Client, Job
from recognition.errors import EmptyImage, ImageError, ImageTooManyBytes
from tasks.errors import BrokerUnavailable, JobCancelled, JobFailed, JobNotFinished, JobNotFound, JobTimeout
from tasks.jobs import State, record_key
from tests.support.server import Server, free_port

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as server:
        yield server


@pytest.fixture
def job(client: Client) -> Job:
    return client.submit(b"photo")


def test_a_photo_may_be_a_path_bytes_or_a_file(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"photo")
    with path.open("rb") as file:
        jobs = [client.submit(photo) for photo in (path, str(path), b"photo", file, io.BytesIO(b"photo"))]
    assert len({job.id for job in jobs}) == 5
    assert [client.jobs.client.get(f"landmarq:blob:{job.id}:photo") for job in jobs] == [b"photo"] * 5
    assert client.jobs.client.llen("gpu") == 5


def test_without_a_worker_a_job_stays_queued(job: Job) -> None:
    with pytest.raises(JobTimeout, match=job.id):
        job.wait(0.3)
    assert job.status().state is State.QUEUED
    with pytest.raises(JobNotFinished, match="queued"):
        job.result()


def test_messages_carry_ids_and_no_photo(client: Client) -> None:
    photo = b"\xff\xd8" + bytes(100_000)
    job = client.submit(photo)
    message = client.jobs.client.lrange("gpu", 0, -1)[0]
    assert job.id.encode() in message
    assert len(message) < 5_000


def test_bulk_has_its_own_queue(client: Client) -> None:
    client.submit(b"photo")
    jobs = client.submit_many([b"a", b"b", b"c"])
    assert client.jobs.client.llen("gpu") == 1
    assert client.jobs.client.llen("gpu.bulk") == 3
    assert [job.status().bulk for job in jobs] == [True] * 3


@pytest.mark.parametrize("photo", [b"", io.BytesIO(b"")])
def test_an_empty_photo_is_refused(client: Client, photo: bytes | io.BytesIO) -> None:
    with pytest.raises(EmptyImage, match="empty"):
        client.submit(photo)


def test_a_photo_beyond_the_limit_is_refused_before_it_is_sent(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(bytes(1001))
    with Client(settings=load(redis={"url": server.url}, image={"max_bytes": 1000})) as client:
        client.jobs.client.flushdb()
        for photo in (path, bytes(1001), io.BytesIO(bytes(5000))):
            with pytest.raises(ImageTooManyBytes, match="1000 bytes"):
                client.submit(photo)
        client.submit(bytes(1000))
        assert client.jobs.client.llen("gpu") == 1


def test_a_missing_file_is_named(client: Client, tmp_path: Path) -> None:
    for path, reason in [(tmp_path / "none.jpg", "No such file"), (tmp_path, "Is a directory")]:
        with pytest.raises(ImageError, match=reason) as caught:
            client.submit(path)
        assert str(path) in str(caught.value)


def test_one_bad_photo_and_nothing_of_the_batch_is_enqueued(client: Client) -> None:
    with pytest.raises(EmptyImage):
        client.submit_many([b"a", b""])
    assert client.jobs.client.keys("landmarq:*") == []
    assert client.jobs.client.llen("gpu.bulk") == 0


def test_waiting_ends_when_the_job_does(client: Client, job: Job) -> None:
    def finish() -> None:
        time.sleep(0.3)
        client.jobs.begin(job.id, "verify")
        client.jobs.finish(job.id, {"landmark": {"id": "tower"}, "index_generation": 3})

    thread = threading.Thread(target=finish)
    thread.start()
    result = job.wait(60)
    thread.join()
    assert result == job.result()
    assert (result["state"], result["landmark"], result["index_generation"]) == ("done", {"id": "tower"}, 3)
    assert job.wait(0) == result


def test_a_failed_job_raises_from_wait_and_has_a_result(client: Client, job: Job) -> None:
    client.jobs.fail(job.id, code="not_an_image", message="no image", stage="extract")
    with pytest.raises(JobFailed, match="failed in extract: no image") as caught:
        job.wait(5)
    assert caught.value.error == {"code": "not_an_image", "message": "no image", "stage": "extract"}
    assert caught.value.result == job.result()
    assert job.result()["state"] == "failed"


def test_cancel(job: Job) -> None:
    assert job.cancel()
    assert not job.cancel()
    assert job.result()["state"] == "cancelled"
    with pytest.raises(JobCancelled, match="cancelled"):
        job.wait(5)


def test_an_unknown_or_expired_id_is_not_found(client: Client, job: Job) -> None:
    client.jobs.client.delete(record_key(job.id))
    for gone in (client.job("never-was"), job):
        for ask in (gone.status, gone.result, gone.cancel, lambda gone=gone: gone.wait(5)):
            with pytest.raises(JobNotFound, match=gone.id):
                ask()


def test_no_broker_is_one_clear_error_without_the_password() -> None:
    port = free_port()
    with Client(f"redis://user:hunter2@127.0.0.1:{port}/0") as client:
        for ask in (
            lambda: client.submit(b"photo"),
            client.ping,
            client.job("x").status,
            lambda: client.job("x").wait(0.1),
        ):
            with pytest.raises(BrokerUnavailable, match="landmarq up") as caught:
                ask()
            assert f"redis://user:***@127.0.0.1:{port}/0" in str(caught.value)
            assert "hunter2" not in str(caught.value)
            assert caught.value.__cause__ is None


def test_a_full_broker_says_that_it_is_full_and_takes_nothing(own_server: Server) -> None:
    with Client(own_server.url) as client:
        client.jobs.client.config_set("maxmemory-policy", "noeviction")
        client.jobs.client.config_set("maxmemory", "1")
        with pytest.raises(BrokerUnavailable, match="no memory left"):
            client.submit(b"photo")
        client.jobs.client.config_set("maxmemory", "0")
        assert client.jobs.client.keys() == []


def test_when_publishing_fails_nothing_is_left(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # The broker answers the job's writes but not Celery's: its connection leads to where nobody listens.
    dead = Client(f"redis://127.0.0.1:{free_port()}/0")
    monkeypatch.setattr(client, "_app", dead._app)
    with pytest.raises(BrokerUnavailable):
        client.submit_many([b"a", b"b"])
    assert client.jobs.client.keys("landmarq:*") == []
    dead.close()


def test_waiting_rides_out_a_restart_of_the_server(own_server: Server) -> None:
    with Client(own_server.url) as client:
        job = client.submit(b"photo")

        def restart_and_finish() -> None:
            time.sleep(0.3)
            own_server.kill()
            time.sleep(0.5)
            own_server.start()
            client.jobs.finish(job.id, {"landmark": None})

        thread = threading.Thread(target=restart_and_finish)
        thread.start()
        result = job.wait(60)
        thread.join()
        assert result["state"] == "done"


@pytest.mark.parametrize(
    "module", ["landmarq", "landmarq.client", "tasks.pipeline", "tasks.jobs", "tasks.blobs", "config.celery"]
)
def test_a_client_process_loads_nothing_of_the_engine(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "heavy = {'tensorflow', 'scipy', 'faiss', 'cv2', 'skimage', 'h5py'}\n"
        "print(sorted(heavy & {name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_importing_reads_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    # A typo in the environment must reach the user as a message, not as a traceback from an import.
    monkeypatch.setenv("LANDMARQ_EXTRACTOR", "sift")
    done = subprocess.run([sys.executable, "-c", "import landmarq, tasks.pipeline"], cwd=ROOT, check=False)
    assert done.returncode == 0
