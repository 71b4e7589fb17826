"""One bounded GET on the standard library, for what is read rarely: settings and signing keys.

Synchronous: it runs before there is an event loop, or in a thread. Calls between services are `client`'s.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from mambogo_chassis.errors import ChassisError


class FetchError(ChassisError):
    """No usable answer; the message names the address and the step. The cause is chained."""

    code = "fetch"


def get(url: str, *, timeout_seconds: float, max_bytes: int) -> bytes:
    """The body of a 200, whole, within a total time and size. Raises FetchError for anything else."""
    parts = urlsplit(url)
    scheme = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = scheme(parts.netloc, timeout=timeout_seconds)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    was_cut = threading.Event()
    try:
        connection.connect()
        # The socket's timeout bounds each read; a server that drips would never exceed it.
        with _cut_after(connection.sock, timeout_seconds, was_cut):
            connection.request("GET", target, headers={"Accept": "application/json"})
            response = connection.getresponse()
            body = response.read(max_bytes + 1)
        if response.length and len(body) <= max_bytes:
            raise http.client.IncompleteRead(body, response.length)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = (
            f"not within {timeout_seconds:g} s" if was_cut.is_set() else f"{type(error).__name__}: {error}"
        )
        raise FetchError(f"{url} did not answer: {reason}") from error
    finally:
        connection.close()
    if response.status != 200 or len(body) > max_bytes:
        raise FetchError(f"{url} answered {response.status} with {len(body)} bytes")
    return body


@contextmanager
def _cut_after(sock: socket.socket, seconds: float, was_cut: threading.Event) -> Iterator[None]:
    def cut() -> None:
        was_cut.set()
        with suppress(OSError):  # closed already: there is nothing left to bound
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
