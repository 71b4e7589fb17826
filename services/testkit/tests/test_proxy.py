"""Each fault as a client sees it, against a real server; and that a fault without effect is not believed."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mambogo_testkit import TestkitError
from mambogo_testkit.faults import (
    Blackhole,
    CutReply,
    CutRequest,
    Garbage,
    HalfOpen,
    Latency,
    Reset,
    Slice,
)
from mambogo_testkit.proxy import FaultProxy
from mambogo_testkit.waiting import wait_until

PATIENCE_SECONDS = 20.0


class Upper(socketserver.StreamRequestHandler):
    """Answers each line in capitals, and notes how its connections end."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, UpperServer)
        try:
            while line := self.rfile.readline():
                server.lines.append(line)
                self.wfile.write(line.upper())
        except ConnectionError:
            pass
        server.ended.release()


class UpperServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Upper)
        self.lines: list[bytes] = []
        self.ended = threading.Semaphore(0)


@pytest.fixture
def server() -> Iterator[UpperServer]:
    with UpperServer() as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def proxy(server: UpperServer) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", server.server_address[1]) as made:
        yield made


class Client:
    """One connection through the proxy."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.socket = socket.create_connection((proxy.host, proxy.port), PATIENCE_SECONDS)
        self.reader = self.socket.makefile("rb")

    def ask(self, line: bytes = b"hello\n") -> bytes:
        self.socket.sendall(line)
        return self.reader.readline()

    def close(self) -> None:
        self.reader.close()
        self.socket.close()


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[Client]:
    made = Client(proxy)
    yield made
    made.close()


def test_without_a_fault_everything_arrives(proxy: FaultProxy) -> None:
    line = b"x" * 1_000_000 + b"\n"

    def ask(_: int) -> bool:
        client = Client(proxy)
        try:
            return client.ask(line) == line.upper() and client.ask(b"y\n") == b"Y\n"
        finally:
            client.close()

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(ask, range(20)))
    assert proxy.connections == 20


def test_the_end_of_one_side_reaches_the_other(client: Client, server: UpperServer) -> None:
    client.ask()
    client.socket.shutdown(socket.SHUT_WR)
    assert server.ended.acquire(timeout=PATIENCE_SECONDS)
    assert client.reader.readline() == b""


def test_latency_delays_and_keeps_order(proxy: FaultProxy, client: Client) -> None:
    started = time.monotonic()
    with proxy.inject(Latency(0.2)) as fault:
        assert [client.ask(b"a\n"), client.ask(b"b\n")] == [b"A\n", b"B\n"]
    assert time.monotonic() - started >= 0.4
    assert fault.acted == 2


def test_latency_of_requests_delays_what_the_server_sees(
    proxy: FaultProxy, client: Client, server: UpperServer
) -> None:
    started = time.monotonic()
    with proxy.inject(Latency(0.2, on="request")):
        assert client.ask() == b"HELLO\n"
    assert time.monotonic() - started >= 0.2


def test_what_a_blackhole_swallowed_arrives_when_it_is_gone(
    proxy: FaultProxy, client: Client, server: UpperServer
) -> None:
    client.socket.settimeout(0.2)
    with proxy.inject(Blackhole()) as fault:
        with pytest.raises(TimeoutError):
            client.ask()
        wait_until("the server to hear of it", lambda: None if server.lines else "nothing", PATIENCE_SECONDS)
        assert server.lines == [b"hello\n"]
        wait_until("the reply to be swallowed", lambda: None if fault.acted else "nothing", PATIENCE_SECONDS)
    client.socket.settimeout(PATIENCE_SECONDS)
    assert client.socket.recv(100) == b"HELLO\n"


def test_a_blackhole_for_requests_keeps_them_from_the_server(
    proxy: FaultProxy, client: Client, server: UpperServer
) -> None:
    client.socket.settimeout(0.2)
    with proxy.inject(Blackhole(on="request")), pytest.raises(TimeoutError):
        client.ask()
    client.socket.settimeout(PATIENCE_SECONDS)
    assert client.socket.recv(100) == b"HELLO\n"


def test_slices_are_small_and_whole_in_the_end(proxy: FaultProxy, client: Client) -> None:
    # So far apart that no machine is so busy that it sees both at once.
    with proxy.inject(Slice(3, 2.0)):
        client.socket.sendall(b"hello\n")
        assert client.socket.recv(100) == b"HEL"
        assert client.reader.readline() == b"LO\n"


def test_a_reset_comes_after_the_server_did_the_work(
    proxy: FaultProxy, client: Client, server: UpperServer
) -> None:
    with proxy.inject(Reset()) as fault, pytest.raises(ConnectionResetError):
        client.ask()
    assert server.lines == [b"hello\n"]
    assert fault.acted == 1


def test_a_cut_request_was_received_and_is_never_answered(
    proxy: FaultProxy, client: Client, server: UpperServer
) -> None:
    with proxy.inject(CutRequest()):
        assert client.ask() == b""
    assert server.ended.acquire(timeout=PATIENCE_SECONDS)
    assert server.lines == [b"hello\n"]


def test_a_cut_reply_ends_after_its_bytes(proxy: FaultProxy, client: Client) -> None:
    with proxy.inject(CutReply(8)) as fault:
        assert client.ask() == b"HELLO\n"
        assert client.ask() == b"HE"
    assert fault.acted == 1


def test_garbage_replaces_the_reply(proxy: FaultProxy, client: Client) -> None:
    with proxy.inject(Garbage(b"?!\n")):
        assert client.ask() == b"?!\n"


def test_half_open_ends_the_servers_side_alone_until_the_client_is_told(
    proxy: FaultProxy, client: Client, server: UpperServer
) -> None:
    client.ask()
    client.socket.settimeout(0.2)
    with proxy.inject(HalfOpen()) as fault:
        with pytest.raises(TimeoutError):
            client.ask()
        assert server.ended.acquire(timeout=PATIENCE_SECONDS)
    assert fault.acted == 1
    client.socket.settimeout(PATIENCE_SECONDS)
    with pytest.raises(ConnectionResetError):
        client.socket.recv(100)


def test_a_new_connection_after_a_fault_is_sound(proxy: FaultProxy, client: Client) -> None:
    with proxy.inject(Reset()), pytest.raises(ConnectionResetError):
        client.ask()
    again = Client(proxy)
    assert again.ask() == b"HELLO\n"
    again.close()


def test_every_connection_can_be_cut_at_once_idle_ones_too(proxy: FaultProxy, client: Client) -> None:
    client.ask()
    assert proxy.cut_all() == 1
    with pytest.raises(ConnectionResetError):
        client.socket.recv(100)


def test_refusing_ends_with_the_same_port(proxy: FaultProxy, client: Client) -> None:
    with proxy.refuse(), pytest.raises(ConnectionRefusedError):
        Client(proxy)
    again = Client(proxy)
    assert again.ask() == b"HELLO\n"
    again.close()


def test_a_fault_that_touched_nothing_is_an_error(proxy: FaultProxy) -> None:
    with pytest.raises(TestkitError, match="latency") as raised, proxy.inject(Latency(0.1)):
        pass
    assert raised.value.code == "no-effect"


def test_a_target_that_refuses_looks_like_one_that_closes() -> None:
    # The reset may come before the client has seen that it is connected.
    with (
        FaultProxy("127.0.0.1", 1) as proxy,
        pytest.raises(ConnectionResetError),
        socket.create_connection((proxy.host, proxy.port), PATIENCE_SECONDS) as client,
    ):
        client.recv(100)
