"""Pods that answer garbage, too early, too late, half, never, or with both lengths.

The client gets a 502, a 504 or a connection that is visibly broken off: never a repaired guess, never
bytes that were meant for somebody else.
"""

from __future__ import annotations

import asyncio

import pytest
from rig import (
    PodScript,
    configuration,
    eventually,
    fixed_answer,
    get,
    ok,
    post,
    read_head,
    read_request,
    rig,
    run,
)

from mambogo_gateway.resilience.breaker import CLOSED

CHUNKED = b"Transfer-Encoding: chunked\r\n"

GARBAGE = {
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status of another kind": b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
    "both lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\n" + CHUNKED * 2 + b"\r\n0\r\n\r\n",
    "chunked in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded field": b"HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\r\n\r\n",
    "space before colon": b"HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX-A: \x00\r\nContent-Length: 0\r\n\r\n",
    "field without colon": b"HTTP/1.1 200 OK\r\nfield\r\nContent-Length: 0\r\n\r\n",
    "unasked upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "interim answers for ever": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40,
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 20_000,
    "two hundred and one fields": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 201 + b"\r\n",
    "one endless line": b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 200_000,
}


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_becomes_a_502_and_its_connection_is_dropped(raw: bytes) -> None:
    async def test() -> None:
        async with rig(fixed_answer(raw)) as it:
            client = await it.client()
            answer = await client.ask(get())
            assert (answer.status, answer.field("Content-Type")) == (502, "application/problem+json")
            await client.ask(get())
            assert it.pod.connections == 2

    run(test())


def test_garbage_is_never_retried() -> None:
    async def test() -> None:
        async with rig(fixed_answer(GARBAGE["not HTTP"]), config=configuration(route={"retries": 3})) as it:
            assert (await it.ask(get())).status == 502
            assert it.pod.connections == 1

    run(test())


BROKEN_OFF = {
    "in the content": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this",
    "between chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n",
    "in the last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n0\r\n",
    "by a bad size": b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n4\r\nonly\r\n-4\r\nxxxx\r\n",
    "by a long chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonlyX\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("raw", BROKEN_OFF.values(), ids=BROKEN_OFF.keys())
def test_a_half_answer_is_broken_off_for_the_client_too(raw: bytes) -> None:
    async def test() -> None:
        async with rig(fixed_answer(raw, then_close=True)) as it:
            client = await it.client()
            client.send(get())
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await client.receive()

    run(test())


def test_half_a_head_is_a_502() -> None:
    async def test() -> None:
        async with rig(fixed_answer(b"HTTP/1.1 200 OK\r\nContent-", then_close=True)) as it:
            assert (await it.ask(get())).status == 502

    run(test())


def test_a_pod_that_never_answers_costs_a_504_at_the_deadline() -> None:
    async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        raise ConnectionResetError

    async def test() -> None:
        async with rig(never, config=configuration(route={"deadline_seconds": 0.3})) as it:
            client = await it.client()
            client.send(get())
            assert (await client.receive()).status == 504
            client.send(get())
            assert (await client.receive()).status == 504

    run(test())


def test_a_pod_that_stops_in_the_middle_is_given_up() -> None:
    async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await reader.read()

    async def test() -> None:
        async with rig(stalls, config=configuration(route={"stall_seconds": 0.3})) as it:
            client = await it.client()
            client.send(get())
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await client.receive()

    run(test())


def test_an_answer_to_nothing_is_nobodys_answer() -> None:
    """A pod that sends a second answer ahead of any request: its connection is dropped, not believed."""

    async def ahead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(ok(b"first"))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(ok(b"for somebody else"))
        await writer.drain()
        await reader.read()

    async def test() -> None:
        async with rig(ahead) as it:
            client = await it.client()
            assert (await client.ask(get())).body == b"first"
            await eventually(lambda: not next(iter(it.gateway.upstreams.all()[0].pods.values())).idle)
            assert (await client.ask(get())).body == b"first"

    run(test())


@pytest.mark.parametrize("glued", [ok(b"poison"), b"\r\n", b"x"])
def test_bytes_glued_behind_an_answer_are_dropped_with_their_connection(glued: bytes) -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"mine") + glued)) as it:
            client = await it.client()
            for _ in range(5):
                assert (await client.ask(get())).body == b"mine"
            assert it.pod.connections == 5

    run(test())


@pytest.mark.parametrize(
    "head_and_rest",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmi", b"nepoison"),
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n4\r\nmi", b"ne\r\n0\r\n\r\npoison"),
    ],
    ids=["length", "chunked"],
)
def test_bytes_behind_an_answer_that_came_in_pieces_are_dropped_with_their_connection(
    head_and_rest: tuple[bytes, bytes],
) -> None:
    """The surplus has been read with the answer's end: neither a look at the kernel nor a wait shows it."""
    head, rest = head_and_rest

    async def in_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            writer.write(head)
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(rest)
            await writer.drain()

    async def test() -> None:
        async with rig(in_pieces) as it:
            client = await it.client()
            for _ in range(3):
                assert (await client.ask(get())).body == b"mine"
            assert it.pod.connections == 3

    run(test())


def test_bytes_that_wait_in_the_kernel_are_seen_before_reuse() -> None:
    """The event loop has not read them yet when the next request comes: only asking the kernel shows them."""

    async def test() -> None:
        async with rig(fixed_answer(ok(b"mine"))) as it:
            client = await it.client()
            await client.ask(get())
            pod = next(iter(it.gateway.upstreams.all()[0].pods.values()))
            connection = pod.idle[0]
            connection.transport.pause_reading()
            it.pod._writers.copy().pop().write(ok(b"poison"))
            await eventually(lambda: not connection.is_quiet())
            assert (await client.ask(get())).body == b"mine"
            assert it.pod.connections == 2

    run(test())


def _closes_after(answers: int, *, silently: bool = True) -> PodScript:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(answers):
            await read_request(reader)
            writer.write(ok(b"x"))
            await writer.drain()
        await read_head(reader)
        if silently:
            writer.transport.abort()

    return script


def test_a_stale_connection_costs_an_idempotent_request_nothing() -> None:
    async def test() -> None:
        async with rig(_closes_after(1), config=configuration(upstreams={"failures_to_eject": 100})) as it:
            client = await it.client()
            for _ in range(6):
                assert (await client.ask(get())).status == 200

    run(test())


def test_a_request_that_is_not_idempotent_is_not_repeated() -> None:
    async def test() -> None:
        async with rig(_closes_after(1)) as it:
            client = await it.client()
            assert (await client.ask(post(b"a"))).status == 200
            assert (await client.ask(post(b"a"))).status == 502

    run(test())


def test_an_idempotency_key_makes_it_repeatable_with_its_content() -> None:
    async def test() -> None:
        async with rig(_closes_after(1)) as it:
            client = await it.client()
            for _ in range(2):
                assert (await client.ask(post(b"a" * 1000, "Idempotency-Key: k"))).status == 200

    run(test())


def test_retries_stop_when_the_budget_is_spent() -> None:
    async def test() -> None:
        upstreams = {"retry_reserve": 2, "retry_ratio": 0.0, "failures_to_eject": 1000}
        async with rig(_closes_after(0), config=configuration(upstreams=upstreams)) as it:
            for _ in range(5):
                assert (await it.ask(get())).status == 502
            assert it.pod.connections == 5 + 2

    run(test())


def test_a_dead_pod_is_ejected_at_its_first_failed_connect() -> None:
    async def test() -> None:
        config = configuration(upstreams={"ejection_seconds": 60, "max_ejection_seconds": 60})
        async with rig(fixed_answer(ok(b"0")), fixed_answer(ok(b"1")), config=config) as it:
            await it.pods[0].stop()
            for _ in range(40):
                assert (await it.ask(post(b"x"))).body == b"1"
            ejected = [pod for pod in it.gateway.upstreams.all()[0].pods.values() if pod.ejected]
            assert [pod.name for pod in ejected] == ["pod-0"]

    run(test())


def test_an_ejected_pod_comes_back_by_itself() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"0"))) as it:
            await it.pod.stop()
            assert (await it.ask(get())).status == 502
            pod = next(iter(it.gateway.upstreams.all()[0].pods.values()))
            assert pod.ejected
            await it.pod.start()
            await eventually(lambda: not pod.ejected)
            assert (await it.ask(get())).status == 200

    run(test())


def test_without_any_pod_the_answer_is_503_with_retry_after() -> None:
    async def test() -> None:
        async with rig() as it:
            answer = await it.ask(get())
            assert (answer.status, answer.field("Retry-After")) == (503, "1")

    run(test())


def test_a_failing_service_is_spared_and_tried_again() -> None:
    failing = True

    async def moody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n" if failing else ok(b"well"))
            await writer.drain()

    async def test() -> None:
        nonlocal failing
        breaker = {"minimum_requests": 5, "open_seconds": 0.3, "trial_requests": 2}
        async with rig(moody, config=configuration(upstreams={"breaker": breaker})) as it:
            codes = [(await it.ask(get())).field("X-Served-By") for _ in range(8)]
            assert codes == ["pod-0"] * 5 + [None] * 3
            failing = False
            upstream = it.gateway.upstreams.all()[0]
            while upstream.breaker.state != CLOSED:
                await it.ask(get())
            assert (await it.ask(get())).status == 200

    run(test())


def test_a_pod_that_left_discovery_finishes_its_work_and_gets_nothing_new() -> None:
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await release.wait()
        writer.write(ok(b"old"))
        await writer.drain()
        await reader.read()

    async def test() -> None:
        async with rig(slow, fixed_answer(ok(b"new"))) as it:
            it.instances.replace("item-service", [it.pods[0].instance("item-service")])
            it.gateway.refresh_instances()
            client = await it.client()
            client.send(get())
            await eventually(lambda: it.pods[0].connections == 1)
            it.instances.replace("item-service", [it.pods[1].instance("item-service")])
            await eventually(lambda: it.gateway.upstreams.all()[0].pick() is not None)
            it.gateway.refresh_instances()
            assert (await it.ask(get())).body == b"new"
            release.set()
            assert (await client.receive()).body == b"old"

    run(test())
