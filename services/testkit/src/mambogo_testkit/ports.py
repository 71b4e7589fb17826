"""Ports for servers that a test starts itself, and may start again.

The kernel's own choice (port 0) lies in the range from which it also gives client sockets their ports: while
a restarted server is down, some connection may take its port. These lie below that range, and beside the
containers' (`engine.PORTS`).
"""

from __future__ import annotations

import random
import socket
from typing import Final

from mambogo_testkit.errors import TestkitError

PORTS: Final = range(11_000, 19_000)
_TRIES: Final = 200


def free_port() -> int:
    """A port that nobody listens on now; drawn at random, so that test workers do not meet."""
    for _ in range(_TRIES):
        port = random.choice(PORTS)  # noqa: S311 - no secret
        with socket.socket() as probe:
            # A server's closed connections linger for a minute; a listener would still be in the way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise TestkitError(
        "no-free-port",
        f"none of {_TRIES} ports tried was free",
        f"look what listens on {PORTS[0]} to {PORTS[-1]}",
    )
