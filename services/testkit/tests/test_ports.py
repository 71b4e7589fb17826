"""Free ports: free, and out of the kernel's way."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest

from mambogo_testkit import ports
from mambogo_testkit.errors import TestkitError


def test_a_port_can_be_bound() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", ports.free_port()))


def test_no_client_socket_is_given_a_port_of_ours() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not set(ports.PORTS) & set(range(first, last + 1))


def test_a_port_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", ports.free_port()))
        holder.listen()
        taken = holder.getsockname()[1]
        monkeypatch.setattr(random, "choice", lambda _: taken)
        with pytest.raises(TestkitError, match="none of"):
            ports.free_port()
