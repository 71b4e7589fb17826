"""Never another client's bytes: tagged requests, moody pods, clients that leave at random, each answer
checked.

The tag is in the path; a pod answers with the tag repeated in head and content, in one of all framings,
sometimes late, in pieces, broken off or with something glued behind. The seed is printed with a failure.
"""

from __future__ import annotations

import asyncio
import random
import re
from typing import cast

import pytest
from rig import PATIENCE_SECONDS, ListedTokens, configuration, run, service_for_tests

from mambogo_gateway.config import GatewayConfig
from mambogo_gateway.instances import FixedInstances, Instance
from mambogo_gateway.proxy.exchange import Exchange
from mambogo_gateway.proxy.upstream import UpstreamConnection
from mambogo_gateway.wiring import make_server

_TARGET = re.compile(rb"(?:GET|POST) /api/items/([0-9]+) HTTP/1.1\r\n")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


class MoodyPod(asyncio.Protocol):
    """Answers with the tag; what else it does is drawn."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < total:
                return
            content = self._buffer[end + 4 : total]
            self._buffer = self._buffer[total:]
            match = _TARGET.match(head)
            assert match is not None
            assert not content or content == match[1] * (len(content) // len(match[1]))
            self._answer(match[1])

    def _answer(self, tag: bytes) -> None:
        mood = self._chance.random()
        body = (tag + b";") * self._chance.choice((1, 3, 50, 3000))
        if mood < 0.4:
            raw = b"HTTP/1.1 200 OK\r\nX-Tag: %b\r\nContent-Length: %d\r\n\r\n%b" % (tag, len(body), body)
        else:
            middle = len(body) // 2
            raw = b"HTTP/1.1 200 OK\r\nX-Tag: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % tag
            for piece in (body[:middle], body[middle:]):
                raw += b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
            raw += b"0\r\n\r\n"
        if mood < 0.80:
            self.transport.write(raw)
        elif mood < 0.90:
            cut = self._chance.randrange(1, len(raw))
            self.transport.write(raw[:cut])
            asyncio.get_running_loop().call_later(0.001, self._later, raw[cut:])
        elif mood < 0.95:
            self.transport.write(raw + b"HTTP/1.1 200 OK\r\nX-Tag: 0\r\nContent-Length: 2\r\n\r\n0;")
        elif mood < 0.98:
            self.transport.write(raw[: self._chance.randrange(len(raw))])
            self.transport.close()
        else:
            self.transport.abort()

    def _later(self, raw: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(raw)


class TaggingClient(asyncio.Protocol):
    """Sends tagged requests, one or two at a time, and checks every answer; leaves when it feels like it."""

    def __init__(self, chance: random.Random, tags: list[bytes]) -> None:
        self._chance = chance
        self._waiting: list[bytes] = []
        self._buffer = b""
        self._tags = tags
        self.ended = asyncio.get_running_loop().create_future()
        self.checked = 0
        self.wrong: list[tuple[bytes, bytes]] = []
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def _send(self) -> None:
        if not self._tags:
            self.transport.abort()
            return
        for _ in range(min(len(self._tags), self._chance.choice((1, 1, 1, 2)))):
            tag = self._tags.pop()
            self._waiting.append(tag)
            if self._chance.random() < 0.7:
                raw = b"GET /api/items/%b HTTP/1.1\r\nHost: a\r\n\r\n" % tag
            else:
                content = tag * self._chance.choice((1, 10, 2000))
                raw = b"POST /api/items/%b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (
                    tag,
                    len(content),
                    content,
                )
            leaves = self._chance.random()
            if leaves < 0.02:
                self.transport.write(raw[: self._chance.randrange(len(raw))])
                asyncio.get_running_loop().call_soon(self.transport.abort)
                return
            self.transport.write(raw)
            if leaves < 0.05:
                asyncio.get_running_loop().call_later(self._chance.random() / 500, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._waiting and self._take():
            if not self._waiting and not self.transport.is_closing():
                self._send()

    def _take(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head, rest = self._buffer[:end], self._buffer[end + 4 :]
        length = _LENGTH.search(head)
        if length is not None:
            size = int(length[1])
            if len(rest) < size:
                return False
            body, self._buffer = rest[:size], rest[size:]
        else:
            whole = _dechunked(rest)
            if whole is None:
                return False
            body, self._buffer = whole
        self._check(head, body)
        return True

    def _check(self, head: bytes, body: bytes) -> None:
        tag = self._waiting.pop(0)
        self.checked += 1
        if head.startswith(b"HTTP/1.1 502") or head.startswith(b"HTTP/1.1 503"):
            return
        expected = b"\r\nX-Tag: %b\r\n" % tag
        if expected not in head or body != (tag + b";") * (len(body) // (len(tag) + 1)):
            self.wrong.append((tag, head + body[:100]))


def _dechunked(data: bytes) -> tuple[bytes, bytes] | None:
    pieces: list[bytes] = []
    position = 0
    while True:
        end = data.find(b"\r\n", position)
        if end < 0:
            return None
        size = int(data[position:end], 16)
        if len(data) < end + 2 + size + 2:
            return None
        if size == 0:
            return b"".join(pieces), data[end + 4 :]
        pieces.append(data[end + 2 : end + 2 + size])
        position = end + 2 + size + 2


def _configuration(deadline_seconds: float) -> GatewayConfig:
    # Breaker, ejection and budget off: this test wants traffic to go on whatever the pods do.
    upstreams = {
        "failures_to_eject": 1_000_000,
        "max_in_flight": 100_000,
        "breaker": {"failure_ratio": 1.0, "minimum_requests": 1_000_000},
    }
    return configuration(
        route={"deadline_seconds": deadline_seconds},
        upstreams=upstreams,
        limits={"max_in_flight": 100_000},
    )


async def _tagged_traffic(
    requests: int,
    seed: int,
    *,
    clients: int = 48,
    deadline_seconds: float = 10.0,
    patience_seconds: float = 0.0,
) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Return how many answers were looked at, and those that were another's.

    With `patience_seconds` a client that waits so long gives up, and all end at the first wrong answer.
    """
    chance = random.Random(seed)
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: MoodyPod(chance), "127.0.0.1", 0) for _ in range(3)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    pods = [Instance("item-service", "127.0.0.1", port, f"pod-{port}") for port in ports]
    server, _ = make_server(
        service_for_tests(),
        _configuration(deadline_seconds),
        verifier=ListedTokens(),
        instances=FixedInstances({"item-service": pods}),
    )
    port = await server.start("127.0.0.1", 0)
    tags = [b"%d" % (1_000_000 + number) for number in range(requests)]
    checked, wrong = 0, list[tuple[bytes, bytes]]()

    async def one_after_another() -> None:
        nonlocal checked
        while tags and not (patience_seconds and wrong):
            _, client = await loop.create_connection(lambda: TaggingClient(chance, tags), "127.0.0.1", port)
            try:
                async with asyncio.timeout(patience_seconds or 600):
                    await client.ended
            except TimeoutError:
                if not patience_seconds:
                    raise
                client.transport.abort()
            checked += client.checked
            wrong.extend(client.wrong)

    await asyncio.gather(*(one_after_another() for _ in range(clients)))
    left = await server.stop()
    assert patience_seconds or left == 0
    for pod_server in servers:
        pod_server.close()
    return checked, wrong


def test_each_answer_is_the_asking_clients() -> None:
    async def test() -> None:
        async with asyncio.timeout(3 * PATIENCE_SECONDS):
            checked, wrong = await _tagged_traffic(10_000, seed=1)
        assert wrong == []
        assert checked > 7_000

    run(test())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_of_two_hundred_thousand_answers_is_the_asking_clients() -> None:
    async def test() -> None:
        checked, wrong = await _tagged_traffic(200_000, seed=2)
        assert wrong == []
        assert checked > 140_000

    run(test(), seconds=850)


def test_the_check_finds_a_connection_that_is_kept_after_its_client_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def keeps(exchange: Exchange) -> None:
        connection = exchange._connection
        if connection is not None and not connection.closed:
            exchange._connection = None
            connection.exchange = None
            connection.pod.keep(connection, 0.0)

    async def test() -> None:
        monkeypatch.setattr(Exchange, "_drop_connection", keeps)
        monkeypatch.setattr(UpstreamConnection, "is_quiet", lambda connection: not connection.closed)
        # Whoever waits for an answer that another got would wait for ever.
        _, wrong = await _tagged_traffic(2_000, seed=3, deadline_seconds=0.5, patience_seconds=5.0)
        assert wrong

    run(test())
