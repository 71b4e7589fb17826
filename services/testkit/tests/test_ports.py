"""Free ports: free, and out of the kernel's way."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mambogo_testkit import ports
from mambogo_testkit.errors import TestkitError

_ASK_FOR_ONE = "from mambogo_testkit.ports import reserve_port; print(reserve_port())"


def test_a_port_can_be_bound() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", ports.free_port()))


@pytest.mark.parametrize("ours", [ports.PORTS, ports.RESERVED], ids=["free", "reserved"])
def test_no_client_socket_is_given_a_port_of_ours(ours: range) -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not set(ours) & set(range(first, last + 1))


def test_a_reserved_port_is_given_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    reserved = ports.reserve_port()
    program = f"import random; random.choice = lambda _: {reserved}; {_ASK_FOR_ONE}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "[no-free-port]" in ended.stderr
    monkeypatch.setattr(random, "choice", lambda _: reserved)
    with pytest.raises(TestkitError, match="none of"):
        ports.reserve_port()


def test_a_reservation_ends_with_its_process() -> None:
    ended = subprocess.run([sys.executable, "-c", _ASK_FOR_ONE], capture_output=True, text=True, check=True)
    port = int(ended.stdout)
    program = f"import random; random.choice = lambda _: {port}; {_ASK_FOR_ONE}"
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(again.stdout) == port


def test_a_port_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", ports.free_port()))
        holder.listen()
        taken = holder.getsockname()[1]
        monkeypatch.setattr(random, "choice", lambda _: taken)
        with pytest.raises(TestkitError, match="none of"):
            ports.free_port()
