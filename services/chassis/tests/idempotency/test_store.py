"""One execution per user and key, whatever happens at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase

from mambogo_chassis.database import Connection, Database
from mambogo_chassis.idempotency import (
    Answer,
    IdempotencyStore,
    InProgressError,
    InvalidKeyError,
    KeyReusedError,
    Request,
)
from support.data import opened, scalar

CREATED = Answer(201, b'{"id":"o-1"}', {"Location": "/api/orders/o-1"})


def request(*, user: str = "alice", key: str | None = "k-1", path: str = "/", body: bytes = b"{}") -> Request:
    return Request.of(user=user, key=key, method="POST", path=path, body=body)


def order(answer: Answer = CREATED) -> Callable[[Connection], Awaitable[Answer]]:
    """Work that writes a row and answers."""

    async def work(connection: Connection) -> Answer:
        await connection.execute("INSERT INTO effect (order_id, amount) VALUES ('o-1', 1)")
        return answer

    return work


async def effects(database: Database) -> int:
    count: int = await scalar(database, "SELECT count(*) FROM effect")
    return count


async def test_the_second_request_gets_the_first_ones_answer(database: Database) -> None:
    store = IdempotencyStore(database)
    first = await store.execute(request(), order())
    second = await store.execute(request(), order())
    assert (second.status, second.body, second.headers) == (first.status, first.body, first.headers)
    assert (first.is_replay, second.is_replay) == (False, True)
    assert await effects(database) == 1


async def test_another_user_with_the_same_key_is_another_request(database: Database) -> None:
    store = IdempotencyStore(database)
    await store.execute(request(user="alice"), order())
    answer = await store.execute(request(user="bob"), order())
    assert not answer.is_replay
    assert await effects(database) == 2


@pytest.mark.parametrize("change", [{"body": b'{"n":2}'}, {"path": "/other"}])
async def test_another_request_under_the_same_key_is_refused(
    database: Database, change: dict[str, bytes]
) -> None:
    store = IdempotencyStore(database)
    await store.execute(request(), order())
    with pytest.raises(KeyReusedError) as caught:
        await store.execute(request(**change), order())  # type: ignore[arg-type]  # one of two fields
    assert caught.value.http_status == 422


@pytest.mark.parametrize("key", [None, "", " ", "a b", "ü", "x" * 256, "a\n"])
def test_a_key_that_is_none_is_refused(key: str | None) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        request(key=key)
    assert caught.value.http_status == 400


async def test_many_at_once_execute_once_and_get_one_answer(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database, db_pool_max=20, db_lock_timeout_seconds=20) as database:
        store = IdempotencyStore(database)

        async def slow(connection: Connection) -> Answer:
            await asyncio.sleep(0.2)
            return await order()(connection)

        answers = await asyncio.gather(*(store.execute(request(), slow) for _ in range(20)))
        assert {answer.body for answer in answers} == {CREATED.body}
        assert sum(not answer.is_replay for answer in answers) == 1
        assert await effects(database) == 1


async def test_a_second_request_waits_for_a_bounded_time(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database, db_lock_timeout_seconds=0.1) as database:
        store = IdempotencyStore(database)
        started, release = asyncio.Event(), asyncio.Event()

        async def slow(connection: Connection) -> Answer:
            started.set()
            await release.wait()
            return await order()(connection)

        first = asyncio.create_task(store.execute(request(), slow))
        await started.wait()
        with pytest.raises(InProgressError) as caught:
            await store.execute(request(), order())
        release.set()
        assert (caught.value.http_status, caught.value.retry_after_seconds) == (409, 1)
        assert (await first).status == 201


async def test_when_the_first_fails_the_second_executes(database: Database) -> None:
    store = IdempotencyStore(database)
    started, release = asyncio.Event(), asyncio.Event()

    async def fails(connection: Connection) -> Answer:
        await order()(connection)
        started.set()
        await release.wait()
        raise ZeroDivisionError

    first = asyncio.create_task(store.execute(request(), fails))
    await started.wait()
    second = asyncio.create_task(store.execute(request(), order()))
    release.set()
    with pytest.raises(ZeroDivisionError):
        await first
    assert not (await second).is_replay
    assert await effects(database) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 409, 425, 429])
async def test_an_answer_that_says_not_now_is_not_stored_and_undoes_the_work(
    database: Database, status: int
) -> None:
    store = IdempotencyStore(database)
    assert (await store.execute(request(), order(Answer(status, b"")))).status == status
    assert await effects(database) == 0
    assert (await store.execute(request(), order())).status == 201


@pytest.mark.parametrize("status", [400, 404, 410, 422])
async def test_a_refusal_is_stored_and_undoes_the_work(database: Database, status: int) -> None:
    store = IdempotencyStore(database)
    await store.execute(request(), order(Answer(status, b"no")))
    assert await effects(database) == 0
    replay = await store.execute(request(), order())
    assert (replay.status, replay.body, replay.is_replay) == (status, b"no", True)


async def test_a_stored_answer_is_found_without_doing_the_work(database: Database) -> None:
    store = IdempotencyStore(database)
    assert await store.find(request()) is None
    await store.execute(request(), order())
    found = await store.find(request())
    assert found is not None
    assert (found.status, found.body, found.is_replay) == (201, CREATED.body, True)
    with pytest.raises(KeyReusedError):
        await store.find(request(body=b"another"))


async def test_what_is_under_way_or_expired_is_not_found(database: Database) -> None:
    store = IdempotencyStore(database)

    async def look(connection: Connection) -> Answer:
        assert await store.find(request()) is None
        return await order()(connection)

    await store.execute(request(), look)
    async with database.connection() as connection:
        await connection.execute("UPDATE idempotency SET expires_at = now() - interval '1 second'")
    assert await store.find(request()) is None


async def test_an_expired_key_is_free_again(database: Database) -> None:
    store = IdempotencyStore(database)
    await store.execute(request(), order())
    async with database.connection() as connection:
        await connection.execute("UPDATE idempotency SET expires_at = now() - interval '1 second'")
    answer = await store.execute(request(body=b"another"), order())
    assert not answer.is_replay


async def test_only_expired_keys_are_purged(database: Database) -> None:
    store = IdempotencyStore(database)
    await store.execute(request(key="old"), order())
    async with database.connection() as connection:
        await connection.execute("UPDATE idempotency SET expires_at = now() - interval '1 second'")
    await store.execute(request(key="new"), order())
    assert await store.purge() == 1
    assert (await store.execute(request(key="new"), order())).is_replay


@given(
    first=st.tuples(st.text(), st.text(), st.binary()), second=st.tuples(st.text(), st.text(), st.binary())
)
def test_only_equal_requests_have_equal_fingerprints(
    first: tuple[str, str, bytes], second: tuple[str, str, bytes]
) -> None:
    def fingerprint(parts: tuple[str, str, bytes]) -> bytes:
        method, path, body = parts
        return Request.of(user="u", key="k", method=method, path=path, body=body).fingerprint

    assert (fingerprint(first) == fingerprint(second)) == (first == second)
