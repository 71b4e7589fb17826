"""One connection to a pod: carries at most one exchange at a time, and is dropped at the first doubt.

Reading heads and content is the exchange's; connecting, quietness and the write buffer's state are here.
"""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from mambogo_gateway.balancing import Pod
    from mambogo_gateway.proxy.exchange import Exchange

# Enough for a round trip's worth of content on loopback or a cluster network; more only costs memory.
WRITE_BUFFER_HIGH_BYTES: Final = 64 * 1024


class UpstreamConnection(asyncio.Protocol):
    """A kept or busy connection to one pod."""

    __slots__ = ("_poll", "closed", "exchange", "idle_since", "paused", "pod", "transport", "used")

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.exchange: Exchange | None = None
        self.idle_since = 0.0
        self.used = False
        self.closed = False
        self.paused = False
        self._poll = select.poll()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)
        self.pod.connections.add(self)

    def is_quiet(self) -> bool:
        """Whether the connection is open and nothing waits to be read on it.

        Bytes that nobody asked for would be taken for the next request's answer, and an end of stream means
        that the request would be lost: one poll call, before each reuse, rules both out as far as can be.
        """
        return not self.closed and not self._poll.poll(0)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        exchange = self.exchange
        if exchange is None:
            self.abort()
        else:
            exchange.response_data(data)

    def eof_received(self) -> bool:
        """Called by the event loop; the transport closes itself, and connection_lost follows."""
        if self.exchange is not None:
            self.exchange.response_eof()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self.closed = True
        self.pod.forget(self)
        exchange = self.exchange
        if exchange is not None:
            self.exchange = None
            exchange.upstream_lost()

    def pause_writing(self) -> None:
        """Called by the event loop when the pod reads more slowly than the client sends."""
        if self.exchange is not None:
            self.exchange.hold_request()

    def resume_writing(self) -> None:
        """Called by the event loop."""
        if self.exchange is not None:
            self.exchange.release_request()

    def pause(self) -> None:
        """Stop reading from the pod: the client reads more slowly than the pod sends."""
        if not self.paused and not self.closed:
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read from the pod again."""
        if self.paused and not self.closed:
            self.paused = False
            self.transport.resume_reading()

    def close(self) -> None:
        """End an idle connection in an orderly way."""
        if not self.closed:
            self.closed = True
            self.transport.close()

    def abort(self) -> None:
        """End the connection at once; the pod sees that nobody waits for its answer."""
        if not self.closed:
            self.closed = True
            self.transport.abort()
