"""What a well-behaved client and a well-behaved pod see of the gateway."""

from __future__ import annotations

import asyncio

import pytest
from rig import (
    Answer,
    Rig,
    configuration,
    content_length,
    echo,
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

from mambogo_gateway.upkeep import Upkeep


def upstream_head(answer: Answer) -> list[bytes]:
    """The head that an echoing pod was sent, line by line."""
    return answer.body.partition(b"\r\n\r\n")[0].split(b"\r\n")


def test_an_answer_comes_back_with_the_pod_that_gave_it() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"hello"))) as it:
            answer = await it.ask(get())
            assert (answer.status, answer.body) == (200, b"hello")
            assert answer.field("X-Served-By") == "pod-0"

    run(test())


def test_connections_are_kept_on_both_sides() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"hello"))) as it:
            client = await it.client()
            for _ in range(50):
                assert (await client.ask(get())).status == 200
            assert it.pod.connections == 1

    run(test())


def test_content_with_a_length_is_passed_on() -> None:
    async def test() -> None:
        async with rig(echo()) as it:
            answer = await it.ask(post(b"x" * 5000))
            assert answer.body.endswith(b"\r\n\r\n" + b"x" * 5000)

    run(test())


def test_chunked_content_is_framed_anew() -> None:
    async def test() -> None:
        async with rig(echo()) as it:
            raw = get("/api/items", "Transfer-Encoding: chunked", method="POST")
            answer = await it.ask(
                raw + b"5;note=hidden\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: secret\r\n\r\n"
            )
            assert b"Transfer-Encoding: chunked" in upstream_head(answer)
            assert answer.body.endswith(b"\r\n\r\nhello world")
            assert b"hidden" not in answer.body
            assert b"secret" not in answer.body

    run(test())


@pytest.mark.parametrize("cut", [1, 3, 7, 50])
def test_a_request_may_arrive_in_pieces(cut: int) -> None:
    async def test() -> None:
        async with rig(echo()) as it:
            raw = get("/api/items", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n0\r\n\r\n"
            client = await it.client()
            for start in range(0, len(raw), cut):
                client.send(raw[start : start + cut])
                await client.writer.drain()
                await asyncio.sleep(0)
            assert (await client.receive()).body.endswith(b"\r\n\r\nhello")
            assert (await client.ask(get())).status == 200

    run(test())


def test_pipelined_requests_are_answered_in_order() -> None:
    async def test() -> None:
        async with rig(echo(), echo()) as it:
            client = await it.client()
            client.send(b"".join(get(f"/api/items/{number}") for number in range(30)))
            for number in range(30):
                answer = await client.receive()
                assert answer.body.startswith(b"GET /api/items/%d HTTP/1.1" % number)

    run(test())


def test_pipelining_mixes_own_answers_refusals_and_content() -> None:
    async def test() -> None:
        async with rig(echo()) as it:
            client = await it.client()
            client.send(get("/actuator/health") + get("/nowhere") + post(b"a" * 900) + get())
            statuses = [(await client.receive()).status for _ in range(4)]
            assert statuses == [200, 404, 200, 200]

    run(test())


def test_identity_and_forwarding_claims_of_a_client_are_removed() -> None:
    claims = (
        "X-User-Id: 1",
        "X_User_Id: 1",
        "X-Auth-Roles: admin",
        "X-Real-IP: 1.2.3.4",
        "Forwarded: for=1.2.3.4",
    )

    async def test() -> None:
        async with rig(echo()) as it:
            answer = await it.ask(
                get("/api/items", *claims, "X-Forwarded-For: 6.6.6.6", "Accept-Language: sw")
            )
            text = answer.body.lower()
            assert b"accept-language: sw" in text
            assert b"x-forwarded-for: 127.0.0.1" in text
            for claim in (b"user-id", b"user_id", b"x-auth", b"x-real-ip", b"for=1.2.3.4", b"6.6.6.6"):
                assert claim not in text

    run(test())


def test_the_edge_vouches_for_the_last_foreign_address() -> None:
    async def test() -> None:
        config = configuration(limits={"trusted_edges": ["127.0.0.0/8"]})
        async with rig(echo(), config=config) as it:
            answer = await it.ask(get("/api/items", "X-Forwarded-For: 9.9.9.9, 203.0.113.7, 127.0.0.9"))
            assert b"X-Forwarded-For: 203.0.113.7, 127.0.0.1" in upstream_head(answer)

    run(test())


def test_a_kept_connection_is_judged_anew_when_the_edge_changes() -> None:
    async def test() -> None:
        async with rig(echo()) as it:
            client = await it.client()
            request = get("/api/items", "X-Forwarded-For: 203.0.113.7")
            said = []
            for trusted in (frozenset({"127.0.0.1"}), frozenset({"10.9.9.9"})):
                it.gateway.edge.trust_addresses(trusted)
                answer = await client.ask(request)
                said.append(b"X-Forwarded-For: 203.0.113.7, 127.0.0.1" in upstream_head(answer))
            assert said == [True, False]

    run(test())


def test_the_edge_s_last_addresses_stay_while_there_is_no_answer() -> None:
    async def test() -> None:
        answers: list[frozenset[str] | OSError] = [
            frozenset({"10.0.0.7"}),
            OSError("no answer"),
            frozenset({"10.0.0.8"}),
        ]
        seen: list[tuple[bool, bool]] = []

        async with rig(echo()) as it:
            edge = it.gateway.edge

            async def look_up() -> frozenset[str]:
                seen.append((edge.of_peer("10.0.0.7")[0], edge.of_peer("10.0.0.8")[0]))
                answer = answers.pop(0) if answers else frozenset({"10.0.0.8"})
                if isinstance(answer, OSError):
                    raise answer
                return answer

            upkeep = Upkeep(it.gateway, look_edge_up=look_up)
            upkeep.start()
            await eventually(lambda: len(seen) == 4)
            await upkeep.stop()
        assert seen == [(False, False), (True, False), (True, False), (False, True)]

    run(test())


def test_hop_by_hop_fields_stay_on_their_hop() -> None:
    async def test() -> None:
        fields = (
            "Connection: keep-alive, X-Mine",
            "X-Mine: 1",
            "TE: trailers",
            "Upgrade: h2c",
            "Keep-Alive: 5",
        )
        async with rig(echo()) as it:
            text = (await it.ask(get("/api/items", *fields, "Proxy-Authorization: Basic eA=="))).body.lower()
            for field in (b"x-mine", b"te:", b"upgrade", b"keep-alive", b"proxy-authorization"):
                assert field not in text

    run(test())


def test_hop_by_hop_fields_of_a_pod_stay_on_their_hop() -> None:
    async def test() -> None:
        raw = ok(
            b"x",
            b"Connection: X-Inner",
            b"X-Inner: 1",
            b"Keep-Alive: timeout=5",
            b"X-Outer: 2",
            b"Set-Cookie: a",
        )
        async with rig(fixed_answer(raw)) as it:
            answer = await it.ask(get())
            assert answer.field("X-Inner") is None
            assert answer.field("Keep-Alive") is None
            assert (answer.field("X-Outer"), answer.field("Set-Cookie")) == ("2", "a")

    run(test())


def test_trace_context_and_request_id_are_carried_on() -> None:
    async def test() -> None:
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        async with rig(echo()) as it:
            answer = await it.ask(get("/api/items", f"traceparent: {trace}", "X-Request-Id: mine-1"))
            assert f"traceparent: {trace}".encode() in upstream_head(answer)
            assert b"X-Request-Id: mine-1" in upstream_head(answer)
            assert answer.field("X-Request-Id") == "mine-1"

    run(test())


@pytest.mark.parametrize("bad", ["00-0-0-01", "ff-" + "a" * 32 + "-" + "b" * 16 + "-01", "x" * 200])
def test_a_malformed_trace_context_starts_a_new_trace(bad: str) -> None:
    async def test() -> None:
        async with rig(echo()) as it:
            answer = await it.ask(get("/api/items", f"traceparent: {bad}", "X-Request-Id: <script>"))
            assert bad.encode() not in answer.body
            assert b"script" not in answer.body
            assert sum(line.startswith(b"traceparent: 00-") for line in upstream_head(answer)) == 1

    run(test())


def test_a_head_request_gets_the_length_and_no_content() -> None:
    async def test() -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"
        async with rig(fixed_answer(raw)) as it:
            client = await it.client()
            for _ in range(3):
                client.send(get(method="HEAD"))
                answer = await client.receive(to_head=True)
                assert answer.field("Content-Length") == "1234"
            assert it.pod.connections == 1

    run(test())


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_content_end_at_their_head(status: int) -> None:
    async def test() -> None:
        raw = b'HTTP/1.1 %d X\r\nETag: "1"\r\n\r\n' % status
        async with rig(fixed_answer(raw)) as it:
            client = await it.client()
            for _ in range(3):
                assert (await client.ask(get())).status == status
            assert it.pod.connections == 1

    run(test())


def test_a_204_never_carries_a_length() -> None:
    async def test() -> None:
        async with rig(fixed_answer(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")) as it:
            assert (await it.ask(get())).field("Content-Length") is None

    run(test())


CHUNKED_ANSWER = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nwiki\r\n5\r\npedia\r\n0\r\nT: 1\r\n\r\n"
)


def test_a_chunked_answer_is_framed_anew_and_its_connection_kept() -> None:
    async def test() -> None:
        async with rig(fixed_answer(CHUNKED_ANSWER)) as it:
            client = await it.client()
            for _ in range(3):
                answer = await client.ask(get())
                assert answer.body == b"wikipedia"
                assert answer.field("Transfer-Encoding") == "chunked"
            assert it.pod.connections == 1

    run(test())


def test_an_http_1_0_client_gets_no_chunks() -> None:
    async def test() -> None:
        async with rig(fixed_answer(CHUNKED_ANSWER)) as it:
            answer = await it.ask(b"GET /api/items HTTP/1.0\r\n\r\n")
            assert (answer.body, answer.field("Transfer-Encoding")) == (b"wikipedia", None)

    run(test())


def test_an_http_1_0_client_may_keep_its_connection() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"x"))) as it:
            client = await it.client()
            for _ in range(2):
                answer = await client.ask(b"GET /api/items HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                assert (answer.status, answer.field("Connection")) == (200, "keep-alive")

    run(test())


def test_content_until_close_becomes_chunks() -> None:
    async def test() -> None:
        raw = b"HTTP/1.1 200 OK\r\n\r\nall of it"
        async with rig(fixed_answer(raw, then_close=True)) as it:
            client = await it.client()
            for _ in range(2):
                assert (await client.ask(get())).body == b"all of it"

    run(test())


def test_connection_close_is_honoured() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"x"))) as it:
            client = await it.client()
            answer = await client.ask(get("/api/items", "Connection: close"))
            assert answer.field("Connection") == "close"
            assert await client.closed()

    run(test())


def test_a_pod_that_says_close_is_not_used_again() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"x", b"Connection: close"))) as it:
            client = await it.client()
            for _ in range(3):
                assert (await client.ask(get())).field("Connection") is None
            assert it.pod.connections == 3

    run(test())


async def _waits_for_content(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await read_head(reader)
    assert b"expect: 100-continue" in head.lower()
    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    content = await reader.readexactly(content_length(head))
    writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok(content))
    await writer.drain()


def test_an_expectation_is_the_pods_to_meet() -> None:
    async def test() -> None:
        async with rig(_waits_for_content) as it:
            client = await it.client()
            client.send(get("/api/items", "Expect: 100-continue", "Content-Length: 5", method="POST"))
            assert (await client.receive()).status == 100
            answer = await client.ask(b"hello")
            assert (answer.status, answer.body) == (200, b"hello")

    run(test())


async def _refuses_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
    await writer.drain()
    await reader.read()


def test_an_early_refusal_reaches_the_client_and_ends_both_connections() -> None:
    async def test() -> None:
        async with rig(_refuses_early) as it:
            client = await it.client()
            client.send(get("/api/items", "Content-Length: 500000", method="POST") + b"x" * 1000)
            answer = await client.receive()
            assert (answer.status, answer.body, answer.field("Connection")) == (413, b"big", "close")
            client.send(b"x" * 100)
            assert await client.closed()

    run(test())


async def _hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    if await reader.read() == b"":
        raise ConnectionResetError


def test_a_client_that_leaves_cancels_the_pods_work() -> None:
    async def test() -> None:
        async with rig(_hangs) as it:
            client = await it.client()
            client.send(get())
            await eventually(lambda: it.gateway.in_flight == 1 and it.pod.connections == 1)
            client.abort()
            await eventually(lambda: it.pod.resets == 1)

    run(test())


def test_absolute_form_is_accepted_and_its_authority_must_agree() -> None:
    async def test() -> None:
        async with rig(echo()) as it:
            answer = await it.ask(b"GET http://shop/api/items/7?q=1 HTTP/1.1\r\nHost: shop\r\n\r\n")
            assert answer.body.startswith(b"GET /api/items/7?q=1 HTTP/1.1\r\nHost: 127.0.0.1:")
            refused = await it.ask(b"GET http://other/api/items/7 HTTP/1.1\r\nHost: shop\r\n\r\n")
            assert refused.status == 400

    run(test())


def test_the_deadline_is_told_and_only_shortened() -> None:
    async def deadline(it: Rig, *fields: str) -> int:
        answer = await it.ask(get("/api/items", *fields))
        line = next(line for line in upstream_head(answer) if line.startswith(b"X-Request-Deadline: "))
        return int(line.partition(b": ")[2])

    async def test() -> None:
        async with rig(echo()) as it:
            own = await deadline(it)
            assert abs(await deadline(it, f"X-Request-Deadline: {own - 5000}") - (own - 5000)) <= 5
            assert await deadline(it, "X-Request-Deadline: 9999999999999") < own + 60_000
            assert (await it.ask(get("/api/items", "X-Request-Deadline: 1000000000000"))).status == 504
            assert (await it.ask(get("/api/items", "X-Request-Deadline: soon"))).status == 400

    run(test())


def test_own_endpoints_answer_on_the_same_port() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"x"))) as it:
            await it.ask(get())
            for path in ("health", "health/liveness", "health/readiness", "info"):
                assert (await it.ask(get(f"/actuator/{path}"))).status == 200
            metrics = await it.ask(get("/actuator/prometheus"))
            assert b'http_requests_total{method="GET",route="/api/items/**",status="200"} 1.0' in metrics.body
            assert (await it.ask(get("/actuator/none"))).status == 404

    run(test())
