"""Ports for servers that a test starts itself, and may start again.

The kernel's own choice (port 0) lies in the range from which it also gives client sockets their ports: while
a restarted server is down, some connection may take its port. These lie below that range, and beside the
containers' (`engine.PORTS`).
"""

from __future__ import annotations

import atexit
import contextlib
import random
import socket
from typing import Final

from mambogo_testkit.errors import TestkitError

PORTS: Final = range(11_000, 19_000)
# For ports that are announced long before, and between, the times at which somebody listens on them.
RESERVED: Final = range(19_000, 20_000)
_TRIES: Final = 200
# A name in the same network namespace as the port, free again when this process ends, however it does.
_held: Final[dict[int, socket.socket]] = {}


def free_port() -> int:
    """A port that nobody listens on now; drawn at random, so that test workers do not meet."""
    for _ in range(_TRIES):
        port = random.choice(PORTS)  # noqa: S311 - no secret
        if _is_free(port):
            return port
    raise _none(PORTS)


def reserve_port() -> int:
    """A port that this function gives to nobody else on the machine for as long as this process lives."""
    for _ in range(_TRIES):
        port = random.choice(RESERVED)  # noqa: S311 - no secret
        name = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):
            name.bind(f"\0mambogo-testkit-port-{port}")
            if _is_free(port):
                _held[port] = name
                atexit.register(name.close)  # else the interpreter's end would complain of it
                return port
        name.close()
    raise _none(RESERVED)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # A server's closed connections linger for a minute; a listener would still be in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _none(ports: range) -> TestkitError:
    return TestkitError(
        "no-free-port",
        f"none of {_TRIES} ports tried was free",
        f"look what listens on {ports[0]} to {ports[-1]}",
    )
