"""Clients that smuggle, stall, flood or leave: a correct 4xx or a closed connection, unnoticed by others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

import pytest
from rig import configuration, echo, eventually, fixed_answer, get, ok, post, read_head, rig, run

H = b"GET /api/items HTTP/1.1\r\n"
P = b"POST /api/items HTTP/1.1\r\nHost: shop\r\n"

# The published request-smuggling and parser-confusion cases, with the status each gets.
SMUGGLING: dict[str, tuple[bytes, int]] = {
    "CL.TE": (P + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", 400),
    "TE.CL": (P + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n", 400),
    "TE.TE obfuscated coding": (P + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "TE twice": (P + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    "TE list": (P + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "TE chunked, identity": (P + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501),
    "TE with space before colon": (P + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "TE behind a tab": (P + b"\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "TE folded": (P + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 501),
    "TE with vertical tab": (P + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "TE with trailing NUL": (P + b"Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n", 400),
    "TE quoted": (P + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 501),
    "TE behind a bare LF": (P + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "TE behind a bare CR": (P + b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "TE in HTTP/1.0": (P.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "CL twice, different": (P + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "CL twice, same": (P + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
    "CL list": (P + b"Content-Length: 1, 1\r\n\r\na", 400),
    "CL signed": (P + b"Content-Length: +1\r\n\r\na", 400),
    "CL negative": (P + b"Content-Length: -1\r\n\r\na", 400),
    "CL hexadecimal": (P + b"Content-Length: 0x1\r\n\r\na", 400),
    "CL with underscore": (P + b"Content-Length: 1_0\r\n\r\n0123456789", 400),
    "CL Unicode digit": (P + "Content-Length: \u0661\r\n\r\na".encode(), 400),
    "CL empty": (P + b"Content-Length:\r\n\r\n", 400),
    "CL with space inside": (P + b"Content-Length: 1 0\r\n\r\n0123456789", 400),
    "CL overflow": (P + b"Content-Length: 18446744073709551617\r\n\r\na", 400),
    "CL with space before colon": (P + b"Content-Length : 1\r\n\r\na", 400),
    "CL nominated by Connection": (P + b"Connection: content-length\r\nContent-Length: 1\r\n\r\na", 400),
    "Authorization nominated": (P + b"Connection: close, authorization\r\n\r\n", 400),
    "Host missing": (H + b"\r\n", 400),
    "Host twice": (H + b"Host: a\r\nHost: b\r\n\r\n", 400),
    "Host empty": (H + b"Host:\r\n\r\n", 400),
    "Host with path": (H + b"Host: a/b\r\n\r\n", 400),
    "Host with user": (H + b"Host: u@a\r\n\r\n", 400),
    "Host list": (H + b"Host: a, b\r\n\r\n", 400),
    "obs-fold": (H + b"Host: a\r\nX: 1\r\n 2\r\n\r\n", 400),
    "first field folded": (H + b" X: 1\r\nHost: a\r\n\r\n", 400),
    "field without colon": (H + b"Host: a\r\nX\r\n\r\n", 400),
    "field with empty name": (H + b"Host: a\r\n: x\r\n\r\n", 400),
    "field name with space": (H + b"Host: a\r\nX Y: x\r\n\r\n", 400),
    "field name with control": (H + b"Host: a\r\nX\x01: x\r\n\r\n", 400),
    "field name not ASCII": (H + b"Host: a\r\n\xc3\xa9: x\r\n\r\n", 400),
    "NUL in value": (H + b"Host: a\r\nX: a\x00b\r\n\r\n", 400),
    "bare LF everywhere": (b"GET /api/items HTTP/1.1\nHost: a\n\n", 400),
    "bare LF line end": (b"GET /api/items HTTP/1.1\nHost: a\r\n\r\n", 400),
    "CR CR LF": (b"GET /api/items HTTP/1.1\r\r\nHost: a\r\n\r\n", 400),
    "two spaces": (b"GET  /api/items HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "tab as separator": (b"GET\t/api/items\tHTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "space in target": (b"GET /api/items /x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "fragment in target": (b"GET /api/items#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "raw UTF-8 in target": (b"GET /api/items/\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /api/items\r\n\r\n", 400),
    "HTTP/1.2": (b"GET /api/items HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    "HTTP/2.0": (b"GET /api/items HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "HTTP/01.1": (b"GET /api/items HTTP/01.1\r\nHost: a\r\n\r\n", 400),
    "lower-case version": (b"GET /api/items http/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "TLS hello": (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400),
    "CONNECT": (b"CONNECT inner:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "TRACE": (b"TRACE /api/items HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "lower-case method": (b"get /api/items HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "dot segments": (b"GET /api/items/../../actuator/info HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "encoded dot segments": (b"GET /api/items/%2e%2E/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "encoded slash": (b"GET /api/items/..%2fx HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "encoded NUL": (b"GET /api/items/%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "bad escape": (b"GET /api/items/%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "unknown expectation": (P + b"Expect: 200-ok\r\nContent-Length: 1\r\n\r\na", 417),
    "Authorization twice": (H + b"Host: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400),
}

C = P + b"Transfer-Encoding: chunked\r\n\r\n"
# Each is whole but for its fault: what follows it must not be what is refused.
BAD_CHUNKS = {
    "size not hexadecimal": b"g\r\n",
    "size with prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size with sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "size with leading space": b" 5\r\nhello\r\n0\r\n\r\n",
    "size empty": b"\r\nhello\r\n0\r\n\r\n",
    "size overflow": b"ffffffffffffffffff\r\n",
    "size of all ones": b"ffffffffffffffff\r\n",
    "bare LF after size": b"5\nhello\r\n0\r\n\r\n",
    "bare LF after data": b"5\r\nhello\n0\r\n\r\n",
    "bare CR after size": b"5\rXhello\r\n0\r\n\r\n",
    "data longer than size": b"3\r\nhello\r\n0\r\n\r\n",
    "extension with bare LF": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "extension with control": b"5;\x00\r\nhello\r\n0\r\n\r\n",
    "endless extension": b"5;" + b"a" * 9000 + b"\r\nhello\r\n0\r\n\r\n",
    "many extensions": (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 200 + b"0\r\n\r\n",
    "bare LF at the end": b"5\r\nhello\r\n0\r\n\n",
    "trailer without colon": b"5\r\nhello\r\n0\r\nnothing\r\n\r\n",
    "folded trailer": b"5\r\nhello\r\n0\r\nA: 1\r\n 2\r\n\r\n",
    "endless trailers": b"5\r\nhello\r\n0\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
}


@pytest.mark.parametrize(("raw", "status"), SMUGGLING.values(), ids=SMUGGLING.keys())
def test_smuggling_is_refused_and_nothing_after_it_is_read(raw: bytes, status: int) -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"x"))) as it:
            client = await it.client()
            client.send(raw)
            answer = await client.receive()
            assert answer.status == status
            assert answer.field("Content-Type") == "application/problem+json"
            assert answer.field("Connection") == "close"
            client.send(get("/api/items/smuggled"))
            assert await client.closed()
            assert it.pod.connections == 0

    run(test())


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_bad_chunks_end_the_request_on_both_sides(chunks: bytes) -> None:
    async def test() -> None:
        async with rig(echo()) as it:
            client = await it.client()
            client.send(C + chunks + get("/api/items/smuggled"))
            assert (await client.receive()).status == 400
            assert await client.closed()
            assert (await it.ask(get())).status == 200

    run(test())


def test_a_megabyte_of_headers_is_a_431() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"x"))) as it:
            for raw in (
                H + b"Host: a\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n",
                H + b"Host: a\r\n" + b"X: y\r\n" * 170_000 + b"\r\n",
                H + b"Host: a\r\n" + b"X: y\r\n" * 150 + b"\r\n",
            ):
                answer = await it.ask(raw)
                assert answer.status == 431

    run(test())


def test_headers_of_40_kilobytes_that_come_in_one_piece_are_a_431() -> None:
    """Their end is there at the first look: it is not enough to stop waiting for it."""

    async def test() -> None:
        async with rig(fixed_answer(ok(b"x"))) as it:
            answer = await it.ask(H + b"Host: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n")
            assert answer.status == 431

    run(test())


def test_a_long_target_is_a_414() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"x"))) as it:
            assert (await it.ask(get("/api/items/" + "a" * 9000))).status == 414

    run(test())


def test_too_much_content_is_a_413_by_length_and_by_count() -> None:
    async def test() -> None:
        async with rig(echo(), config=configuration(route={"max_content_bytes": 1000})) as it:
            assert (await it.ask(post(b"x" * 1001))).status == 413
            chunks = b"".join(b"64\r\n" + b"y" * 100 + b"\r\n" for _ in range(11))
            assert (await it.ask(C + chunks + b"0\r\n\r\n")).status == 413
            assert (await it.ask(post(b"x" * 1000))).status == 200

    run(test())


def test_a_slow_head_is_a_408() -> None:
    async def test() -> None:
        async with rig(
            fixed_answer(ok(b"x")), config=configuration(limits={"head_timeout_seconds": 0.4})
        ) as it:
            client = await it.client()
            client.send(b"GET /api/items HT")
            receiving = asyncio.ensure_future(client.receive())
            while not receiving.done():
                client.send(b"T")
                await asyncio.sleep(0.05)
            assert (await receiving).status == 408
            assert await client.closed()

    run(test())


def test_a_connection_that_never_speaks_is_closed() -> None:
    async def test() -> None:
        async with rig(config=configuration(limits={"head_timeout_seconds": 0.2})) as it:
            assert await (await it.client()).closed()

    run(test())


def test_an_idle_connection_is_closed() -> None:
    async def test() -> None:
        async with rig(
            fixed_answer(ok(b"x")), config=configuration(limits={"idle_timeout_seconds": 0.2})
        ) as it:
            client = await it.client()
            assert (await client.ask(get())).status == 200
            assert await client.closed()

    run(test())


def test_slow_content_is_a_408_at_the_deadline_and_the_pod_is_let_go() -> None:
    async def reads(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await reader.readexactly(1000)

    async def test() -> None:
        async with rig(reads, config=configuration(route={"deadline_seconds": 0.4})) as it:
            client = await it.client()
            client.send(get("/api/items", "Content-Length: 1000", method="POST"))
            receiving = asyncio.ensure_future(client.receive())
            while not receiving.done():
                client.send(b"x")
                await asyncio.sleep(0.05)
            assert (await receiving).status == 408
            await eventually(lambda: it.pod.resets == 1)

    run(test())


def test_a_client_that_does_not_read_is_given_up() -> None:
    async def test() -> None:
        big = fixed_answer(ok(b"x" * (32 << 20)))
        async with rig(big, config=configuration(route={"stall_seconds": 0.5})) as it:
            raw = socket.create_connection(("127.0.0.1", it.port))
            raw.sendall(get())
            await eventually(lambda: it.gateway.in_flight == 1)
            await eventually(lambda: it.gateway.in_flight == 0)
            raw.close()

    run(test())


def test_requests_pipelined_by_a_client_that_does_not_read_do_not_pile_up() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"x" * 10_000))) as it:
            raw = socket.create_connection(("127.0.0.1", it.port))
            raw.setblocking(False)
            requests = get() * 100_000
            sent = 0
            for _ in range(100):
                with contextlib.suppress(BlockingIOError):
                    sent += raw.send(requests[sent : sent + 50_000])
                await asyncio.sleep(0.005)
            served = it.metric(GET_ANSWERED)
            assert served < sent // len(get())
            connection = next(iter(it.gateway.connections))
            assert connection.transport.get_write_buffer_size() < 1 << 20
            assert len(connection._buffer) < 1 << 20
            raw.close()

    run(test())


GET_ANSWERED = 'http_requests_total{method="GET",route="/api/items/**",status="200"}'

STAGES = {
    "nothing": b"",
    "half a request line": b"GET /api",
    "half a head": H + b"Host: a\r\nX",
    "a head without its content": P + b"Content-Length: 10\r\n\r\n",
    "half the content": P + b"Content-Length: 10\r\n\r\n12345",
    "half a chunk": C + b"a\r\n12345",
    "a whole request": get(),
    "two requests": get() + get(),
    "a request and a half": get() + b"GET /ap",
}


@pytest.mark.parametrize("raw", STAGES.values(), ids=STAGES.keys())
def test_a_reset_in_any_state_leaves_nothing_behind(raw: bytes) -> None:
    async def test() -> None:
        async with rig(echo()) as it:
            for _ in range(20):
                client = socket.create_connection(("127.0.0.1", it.port))
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(raw)
                client.close()
            await eventually(lambda: not it.gateway.connections and it.gateway.in_flight == 0)
            assert (await it.ask(get())).status == 200

    run(test())


def test_a_refused_request_with_small_content_keeps_its_connection() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"x")), config=configuration(route={"public_methods": []})) as it:
            client = await it.client()
            for _ in range(3):
                assert (await client.ask(post(b"y" * 3000))).status == 401
            assert (await client.ask(get("/api/items", "Authorization: Bearer user-1"))).status == 200

    run(test())
