"""The parsers against nginx's reading of the same bytes.

Both stand in front of pods that record what reaches them. The property: what the gateway passes on, nginx
passes on in the same way: same method, target, content, in the same order. The gateway may refuse more,
and does. For responses likewise: an answer that the gateway passes to its client has the status and the
content that nginx passes on.

Debian's nginx is needed: apt-get install nginx-light.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mambogo_testkit.ports import free_port
from rig import (
    Client,
    PodScript,
    ScriptedPod,
    configuration,
    eventually,
    fixed_answer,
    ok,
    read_request,
    rig,
)

from mambogo_gateway.config import ALL_METHODS
from mambogo_gateway.parsing import fields
from mambogo_gateway.parsing import request as request_parser
from mambogo_gateway.parsing.request import RequestHead

pytestmark = pytest.mark.nginx

# A side that waits for more bytes is given up after this; it costs time per example, not correctness.
_SILENCE_SECONDS = 0.15
_SENTINEL = b"GET /api/items/sentinel HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
_EXAMPLES = 150

_CONFIGURATION = """
daemon off;
master_process off;
user root;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    merge_slashes off;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_next_upstream off;
        }}
    }}
}}
"""

Reading = list[tuple[bytes, bytes, bytes]]


@contextlib.contextmanager
def nginx(directory: Path, upstream: int) -> Iterator[int]:
    """nginx as a proxy; gives its port."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        pytest.fail("nginx is missing: apt-get install nginx-light")
    port = free_port()
    configured = directory / "nginx.conf"
    configured.write_text(_CONFIGURATION.format(directory=directory, port=port, upstream=upstream))
    process = subprocess.Popen([binary, "-c", str(configured), "-p", str(directory)])
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def recorder(readings: Reading) -> PodScript:
    """A pod that notes each whole request."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, content = await read_request(reader)
            method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
            readings.append((method, target, content))
            writer.write(ok(b""))
            await writer.drain()

    return script


class Sides:
    """A gateway and an nginx in one event loop, to be asked from synchronous tests."""

    def __init__(self, directory: Path) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._stack = contextlib.AsyncExitStack()
        self.by_gateway: Reading = []
        self.by_nginx: Reading = []
        self.answer = b""
        self._runner.run(self._start(directory))

    async def _start(self, directory: Path) -> None:
        self._its_pod = ScriptedPod("its", self._switching(self.by_nginx))
        await self._its_pod.start()
        # Garbage answers must not eject the pod or open the breaker: each example stands for itself.
        upstreams = {
            "failures_to_eject": 10**9,
            "breaker": {"minimum_requests": 10**9},
            "max_idle_per_pod": 0,
        }
        public = sorted(ALL_METHODS)
        config = configuration(
            route={"path": "/**", "retries": 0, "public_methods": public}, upstreams=upstreams
        )
        made = rig(self._switching(self.by_gateway), config=config)
        self._rig = await self._stack.enter_async_context(made)
        self._nginx_port = self._stack.enter_context(nginx(directory, self._its_pod.port))
        await self._until_nginx_listens()

    async def _until_nginx_listens(self) -> None:
        listening = False

        async def knock() -> None:
            nonlocal listening
            while not listening:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self._nginx_port)
                    writer.close()
                    listening = True
                await asyncio.sleep(0.05)

        knocking = asyncio.ensure_future(knock())
        await eventually(lambda: listening)
        await knocking

    def _switching(self, readings: Reading) -> PodScript:
        """Records requests; with `answer` set, gives those bytes and closes instead."""

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self.answer:
                await fixed_answer(self.answer, then_close=True)(reader, writer)
            else:
                await recorder(readings)(reader, writer)

        return script

    def close(self) -> None:
        """Stop both."""
        self._runner.run(self._stack.aclose())
        self._runner.run(self._its_pod.stop())
        self._runner.close()

    def read_request(self, raw: bytes) -> tuple[Reading, Reading]:
        """How the gateway and nginx read some bytes."""
        return self._runner.run(self._read_request(raw))

    async def _read_request(self, raw: bytes) -> tuple[Reading, Reading]:
        self.answer = b""
        self.by_gateway.clear()
        self.by_nginx.clear()
        await asyncio.gather(self._send(self._rig.port, raw), self._send(self._nginx_port, raw))
        return list(self.by_gateway), list(self.by_nginx)

    async def _send(self, port: int, raw: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(OSError, TimeoutError):
            writer.write(raw + _SENTINEL)
            while await asyncio.wait_for(reader.read(65536), _SILENCE_SECONDS):
                pass
        writer.transport.abort()

    def read_response(self, raw: bytes) -> tuple[tuple[int, bytes] | None, tuple[int, bytes] | None]:
        """What a client gets through the gateway and through nginx; None when it is broken off."""
        return self._runner.run(self._read_response(raw))

    async def _read_response(self, raw: bytes) -> tuple[tuple[int, bytes] | None, tuple[int, bytes] | None]:
        self.answer = raw
        return await self._ask(self._rig.port), await self._ask(self._nginx_port)

    async def _ask(self, port: int) -> tuple[int, bytes] | None:
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        try:
            client.send(b"GET /api/items HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = await asyncio.wait_for(client.receive(), 2 * _SILENCE_SECONDS)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            return None
        finally:
            client.abort()
        return answer.status, answer.body


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """One pair for all examples."""
    made = Sides(tmp_path_factory.mktemp("nginx"))
    yield made
    made.close()


ends = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b" \r\n", b"\t\r\n"])
methods = st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"get", b"G\tT", b"PATCH"])
targets = st.sampled_from(
    [
        b"/api",
        b"/a?b=c&d",
        b"/a%20b",
        b"/a//b",
        b"/a;b=c",
        b"/%41",
        b"/[x]",
        b"http://a/x",
        b"/a b",
        b"/\x7f",
        b"*",
    ]
)
versions = st.sampled_from(
    [b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.1 ", b"HTTP/11"]
)
hosts = st.sampled_from(
    [b"Host: a"] * 8 + [b"Host: b", b"Host:", b"host:a", b"Host: a, b", b"Host : a", b" Host: a"]
)
lines = st.sampled_from(
    [
        b"X: y",
        b"X:y",
        b"X:",
        b"X : y",
        b" folded",
        b"\tfolded",
        b"no colon",
        b": no name",
        b"X-A: \xe9",
        b"X_B: c",
        b"X\x00: y",
        b"X: \x00",
        b"X: \x0b",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Connection: x, close",
        b"Expect: 100-continue",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: Chunked",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding:\x0bchunked",
        b"Transfer-Encoding : chunked",
        b"Transfer_Encoding: chunked",
        b"Content-Length: 0",
        b"Content-Length: 5",
        b"Content-Length: +5",
        b"Content-Length: 5, 5",
        b"Content-Length: 0x5",
        b"Content-Length:5 ",
        b"content-length: 05",
    ]
)
CHUNKS = [
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;a=b\r\nhello\r\n0\r\n\r\n",
    b"05\r\nhello\r\n0\r\nT: x\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"4\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"A\r\nhelloworld\r\n0;x\r\n\r\n",
    b"5;\n\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\n",
    b"\r\n5\r\nhello\r\n0\r\n\r\n",
]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request head out of good and bad parts, and content by some framing."""
    parts = [draw(methods) + b" " + draw(targets) + b" " + draw(versions), draw(hosts)]
    parts += draw(st.lists(lines, max_size=4))
    framing = draw(st.sampled_from(["none", "none", "length", "chunked"]))
    content = b""
    if framing == "length":
        content = draw(st.binary(max_size=20))
        parts.append(b"Content-Length: %d" % len(content))
    elif framing == "chunked":
        parts.append(b"Transfer-Encoding: chunked")
        content = draw(st.sampled_from(CHUNKS))
    return b"".join(part + draw(ends) for part in parts) + draw(ends) + content


@st.composite
def mutated(draw: st.DrawFn, base: st.SearchStrategy[bytes]) -> bytes:
    """Some bytes with a few of them changed, dropped or doubled."""
    raw = bytearray(draw(base))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, max(0, len(raw) - 1)))
        change = draw(st.sampled_from(["replace", "insert", "drop", "double"]))
        byte = draw(st.sampled_from(list(b"\r\n\t :;,0159aG/%\x00\x0b\x7f\x80\xff+-_")))
        if change == "replace":
            raw[place : place + 1] = bytes([byte])
        elif change == "insert":
            raw.insert(place, byte)
        elif change == "drop":
            del raw[place : place + 1]
        else:
            raw[place:place] = raw[place : place + 8]
    return bytes(raw)


quiet = settings(
    max_examples=_EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.timeout(600)
@quiet
@given(raw=st.lists(mutated(requests()), min_size=1, max_size=2).map(b"".join))
def test_what_is_passed_on_is_what_nginx_passes_on(sides: Sides, raw: bytes) -> None:
    by_gateway, by_nginx = sides.read_request(raw)
    # Each reading of the gateway's is nginx's too, in the same order; what it refused is missing.
    remaining = iter(by_nginx)
    assert all(reading in remaining for reading in by_gateway), (by_gateway, by_nginx)


@pytest.mark.timeout(600)
@settings(quiet, max_examples=40)
@given(
    content=st.binary(max_size=2000),
    chunked=st.booleans(),
    target=st.sampled_from([b"/api", b"/a?b=c", b"/a%20b"]),
    fields=st.lists(st.sampled_from([b"X: y", b"Accept: */*", b"X-A: \xe9"]), max_size=3),
)
def test_good_requests_reach_both(
    sides: Sides, content: bytes, chunked: bool, target: bytes, fields: list[bytes]
) -> None:
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content) if content else b"0\r\n\r\n"
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(content)
    raw = b"\r\n".join([b"POST " + target + b" HTTP/1.1", b"Host: a", *fields, framing, b"", b""])
    by_gateway, by_nginx = sides.read_request(raw + (framed if chunked else content))
    assert by_gateway == by_nginx
    assert by_gateway == [(b"POST", target, content), (b"GET", b"/api/items/sentinel", b"")]


status_lines = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 6
    + [
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 404",
        b"HTTP/1.1 204 No",
        b"HTTP/1.1 99 X",
        b"HTTP/2 200",
        b"HTTP/1.1  200 X",
    ]
)
response_lines = st.sampled_from(
    [
        b"X: y",
        b" folded",
        b"no colon",
        b"X : y",
        b"Connection: close",
        b"Content-Length: 5",
        b"Content-Length: 05",
        b"Content-Length: +5",
        b"Content-Length: 5, 5",
        b"Content-Length: -1",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding : chunked",
        b"X: \x00",
    ]
)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A response head out of good and bad parts, with content that may fit."""
    parts = [draw(status_lines), *draw(st.lists(response_lines, max_size=3))]
    content = draw(st.sampled_from([b"", b"hello", b"hello world", *CHUNKS]))
    return b"".join(part + draw(ends) for part in parts) + draw(ends) + content


@pytest.mark.timeout(600)
@quiet
@given(raw=mutated(responses()).filter(bool))
# Found once: a field whose name only ends like the one that counts.
@example(
    raw=b"HTTP/1.1 200 OK\r\nContent-Length: 23\r\ngTransfer-Encoding: chunked\r\n\r\n"
    b"05\r\nhello\r\n0\r\nT: x\r\n\r\n"
)
def test_answers_that_are_passed_on_are_what_nginx_passes_on(sides: Sides, raw: bytes) -> None:
    through_gateway, through_nginx = sides.read_response(raw)
    if through_gateway is not None and through_gateway[0] != 502:
        assert through_gateway == through_nginx


def test_the_comparison_finds_a_lenient_length(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    def lenient(head: RequestHead, value: bytes) -> None:
        head.content_length = int(value)

    monkeypatch.setitem(request_parser._READERS, fields.CONTENT_LENGTH, lenient)
    by_gateway, by_nginx = sides.read_request(
        b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"
    )
    remaining = iter(by_nginx)
    assert not all(reading in remaining for reading in by_gateway)
