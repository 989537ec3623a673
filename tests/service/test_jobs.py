"""Job records on a real server: every transition, and exactly one final state."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landmarq.client import Client
from tasks import blobs
from tasks.errors import JobNotFound
from tasks.jobs import OPEN_JOBS, STAGES, STATE_OF, JobStore, Stage, State, done_channel, record_key
from tasks.rescue import Rescue


@pytest.fixture
def store(client: Client) -> JobStore:
    return client.jobs


def new_job(store: JobStore, *, bulk: bool = False) -> str:
    job_id = uuid.uuid4().hex
    store.create(job_id, b"photo", bulk=bulk)
    return job_id


def blob(store: JobStore, job_id: str, name: blobs.Name) -> bytes | None:
    found = store.client.get(blobs.key(job_id, name))
    assert found is None or isinstance(found, bytes)
    return found


def test_a_new_job_is_queued_with_its_photo_and_both_expire(store: JobStore) -> None:
    job_id = new_job(store, bulk=True)
    record = store.get(job_id)
    assert (record.state, record.bulk, record.finals) == (State.QUEUED, True, 0)
    assert record.attempts == {"extract": 0, "match": 0, "verify": 0}
    assert blob(store, job_id, "photo") == b"photo"
    assert store.client.ttl(record_key(job_id)) > 0
    assert store.client.ttl(blobs.key(job_id, "photo")) > 0


def test_the_whole_way(store: JobStore) -> None:
    job_id = new_job(store)
    assert store.begin(job_id, "extract").run
    assert store.get(job_id).state is State.EXTRACTING
    assert store.complete(job_id, "extract", "features", b"features")
    assert store.begin(job_id, "match").run
    assert store.complete(job_id, "match", "candidates", b"candidates")
    assert store.begin(job_id, "verify").run
    assert store.finish(job_id, {"landmark": None, "reason": {"code": "x", "message": "y"}})
    record = store.get(job_id)
    assert (record.state, record.finals, record.error) == (State.DONE, 1, None)
    assert all(record.stages[stage].duration_ms is not None for stage in STAGES)
    assert record.timings_ms["total"] is not None
    result = record.to_result()
    assert result["state"] == "done"
    assert result["reason"]["code"] == "x"
    assert set(result["timings_ms"]) == {"extract", "match", "verify", "total"}


def test_a_stage_begins_with_its_input_and_leaves_it_for_a_redelivered_message(store: JobStore) -> None:
    job_id = new_job(store)
    assert store.begin(job_id, "extract").inputs == {"photo": b"photo"}
    data = bytes(range(256)) * 1000
    store.complete(job_id, "extract", "features", data)
    assert store.begin(job_id, "match").inputs == {"features": data}
    store.complete(job_id, "match", "candidates", b"c")
    assert [store.begin(job_id, "verify").inputs for _ in range(2)] == [{"features": data, "candidates": b"c"}] * 2


def test_an_input_that_expired_is_none_whatever_comes_after_it(store: JobStore) -> None:
    job_id = new_job(store)
    store.client.set(blobs.key(job_id, "candidates"), b"c")
    begun = store.begin(job_id, "verify")
    assert (begun.run, begun.inputs) == (True, {"features": None, "candidates": b"c"})


def test_a_stage_that_may_not_run_is_given_nothing(store: JobStore) -> None:
    job_id = new_job(store)
    store.cancel(job_id)
    assert store.begin(job_id, "extract").inputs == {}


def test_the_work_of_each_stage_is_known_until_it_begins_again(store: JobStore) -> None:
    job_id = new_job(store)
    store.begin(job_id, "extract")
    store.complete(job_id, "extract", "features", b"features", work_ms=12.5)
    store.begin(job_id, "verify")
    store.finish(job_id, {}, work_ms=0.25)
    assert [store.get(job_id).stages[stage].work_ms for stage in STAGES] == [12.5, None, 0.25]
    again = new_job(store)
    store.begin(again, "extract")
    store.complete(again, "extract", "features", b"features", work_ms=12.5)
    store.begin(again, "extract")
    assert store.get(again).stages["extract"].work_ms is None


def test_a_final_job_leaves_no_blob_and_is_no_longer_open(store: JobStore) -> None:
    job_id = new_job(store)
    store.begin(job_id, "extract")
    store.complete(job_id, "extract", "features", b"features")
    assert store.client.zscore(OPEN_JOBS, job_id) is not None
    store.fail(job_id, code="c", message="m", stage="extract")
    assert [blob(store, job_id, name) for name in blobs.NAMES] == [None, None, None]
    assert store.client.zscore(OPEN_JOBS, job_id) is None


def test_a_failed_job_says_why(store: JobStore) -> None:
    job_id = new_job(store)
    store.begin(job_id, "extract")
    assert store.fail(job_id, code="not_an_image", message="these bytes are no image", stage="extract")
    result = store.get(job_id).to_result()
    assert result["state"] == "failed"
    assert result["landmark"] is None
    assert result["error"] == {"code": "not_an_image", "message": "these bytes are no image", "stage": "extract"}


def test_of_many_that_finish_at_once_one_wins(store: JobStore) -> None:
    job_id = new_job(store)
    store.begin(job_id, "verify")

    def finish(i: int) -> bool:
        if i % 3 == 0:
            return store.cancel(job_id)
        if i % 3 == 1:
            return store.fail(job_id, code="c", message="m", stage="verify")
        return store.finish(job_id, {"landmark": i})

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(finish, range(60)))
    assert sum(won) == 1
    assert store.get(job_id).finals == 1


def test_a_redelivered_stage_runs_again_and_is_counted(store: JobStore) -> None:
    job_id = new_job(store)
    assert [store.begin(job_id, "extract").attempts for _ in range(3)] == [1, 2, 3]
    assert store.get(job_id).attempts["extract"] == 3


def test_a_stage_that_is_over_is_not_begun_again(store: JobStore) -> None:
    job_id = new_job(store)
    store.begin(job_id, "extract")
    store.complete(job_id, "extract", "features", b"features")
    store.begin(job_id, "match")
    begun = store.begin(job_id, "extract")
    assert (begun.run, begun.state) == (False, "matching")
    assert store.get(job_id).state is State.MATCHING
    assert not store.complete(job_id, "extract", "features", b"other")
    assert blob(store, job_id, "features") == b"features"


def test_a_cancelled_job_takes_no_output(store: JobStore) -> None:
    job_id = new_job(store)
    store.begin(job_id, "extract")
    assert store.cancel(job_id)
    assert not store.complete(job_id, "extract", "features", b"features")
    assert not store.begin(job_id, "match").run
    assert not store.finish(job_id, {})
    assert not store.cancel(job_id)
    assert blob(store, job_id, "features") is None
    assert store.get(job_id).state is State.CANCELLED


def test_an_unknown_job_is_not_found_and_never_created(store: JobStore) -> None:
    assert store.begin("nobody", "extract").state == "missing"
    assert not store.complete("nobody", "extract", "features", b"x")
    assert not store.finish("nobody", {})
    assert not store.fail("nobody", code="c", message="m", stage="match")
    for ask in (store.get, store.state, store.cancel):
        with pytest.raises(JobNotFound, match="nobody"):
            ask("nobody")
    assert store.client.keys("*nobody*") == []


def test_the_final_state_is_announced_once(store: JobStore) -> None:
    job_id = new_job(store)
    with store.client.pubsub() as subscription:
        subscription.subscribe(done_channel(job_id))
        assert subscription.get_message(timeout=5)["type"] == "subscribe"
        store.cancel(job_id)
        store.finish(job_id, {})
        message = subscription.get_message(timeout=5)
        assert (message["type"], message["data"]) == ("message", b"cancelled")
        assert subscription.get_message(timeout=0.2) is None


transitions = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sampled_from(STAGES)),
        st.tuples(st.just("complete"), st.sampled_from(STAGES[:2])),
        st.tuples(st.sampled_from(["finish", "fail", "cancel"]), st.just("verify")),
    ),
    max_size=12,
)


@given(calls=transitions)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_any_order_the_state_only_moves_on_and_ends_once(store: JobStore, calls: list[tuple[str, Stage]]) -> None:
    job_id = new_job(store)
    order = list(State)
    seen = [State.QUEUED]
    for call, stage in calls:
        apply(store, job_id, call, stage)
        seen.append(store.state(job_id))
    ranks = [min(order.index(state), order.index(State.DONE)) for state in seen]
    assert ranks == sorted(ranks)
    record = store.get(job_id)
    assert record.finals == int(record.state.final)
    assert (store.client.zscore(OPEN_JOBS, job_id) is None) == record.state.final


def apply(store: JobStore, job_id: str, call: str, stage: Stage) -> None:
    if call == "begin":
        store.begin(job_id, stage)
    elif call == "complete":
        store.complete(job_id, stage, "features", b"f")
    elif call == "finish":
        store.finish(job_id, {})
    elif call == "fail":
        store.fail(job_id, code="c", message="m", stage=stage)
    else:
        store.cancel(job_id)


def test_a_job_without_a_message_is_published_again(client: Client, store: JobStore) -> None:
    lost, waiting, final = new_job(store, bulk=True), client.submit(b"photo").id, new_job(store)
    store.begin(lost, "match")
    store.cancel(final)
    store.client.zadd(OPEN_JOBS, {lost: 1, waiting: 1, "expired": 1})
    rescue = Rescue(client._app, store, after_s=30)
    assert rescue.sweep() == [lost]
    assert store.client.llen("cpu.bulk") == 1
    assert store.client.llen("gpu") == 1
    assert store.client.zscore(OPEN_JOBS, "expired") is None
    assert rescue.sweep() == []  # the lock: somebody just has
    store.client.delete("landmarq:rescue")
    assert rescue.sweep() == []  # it has just been published


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_state(stage: Stage) -> None:
    assert not STATE_OF[stage].final
