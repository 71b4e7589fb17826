"""What can happen to a TCP connection on its way, each as a small object that `proxy.FaultProxy` applies.

A fault acts on what one side sends: on requests (client to server) or, by default, on replies. It counts what
it did, because a test whose fault touched nothing has shown nothing. Where the bytes come from and go to is
the proxy's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

Direction = Literal["request", "reply"]


class Link(Protocol):
    """One connection through the proxy, as a fault sees it."""

    async def send(self, direction: Direction, data: bytes) -> None:
        """Pass bytes on to the side that `direction` leads to."""

    def cut(self, *, reset: bool) -> None:
        """End both sides, the client's by RST or by FIN."""

    def close_server(self) -> None:
        """End the server's side alone."""


@dataclass(slots=True)
class Fault:
    """Base of all faults; `acted` counts how often it did what it is for."""

    name: ClassVar[str]
    acted: int = field(default=0, init=False)
    # Set when it is taken away: what it holds back goes on.
    gone: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    @property
    def direction(self) -> Direction:
        """What it acts on."""
        return "reply"

    async def pass_on(self, link: Link, data: bytes) -> None:
        """Do to `data` what this fault does."""
        raise NotImplementedError


@dataclass(slots=True)
class Latency(Fault):
    """Each piece arrives `seconds` later."""

    name: ClassVar[str] = "latency"
    seconds: float
    on: Direction = "reply"

    @property
    def direction(self) -> Direction:
        return self.on

    async def pass_on(self, link: Link, data: bytes) -> None:
        self.acted += 1
        await asyncio.sleep(self.seconds)
        await link.send(self.on, data)


@dataclass(slots=True)
class Blackhole(Fault):
    """Nothing arrives, and nobody is told; afterwards everything does, as when a cut cable is mended."""

    name: ClassVar[str] = "blackhole"
    on: Direction = "reply"

    @property
    def direction(self) -> Direction:
        return self.on

    async def pass_on(self, link: Link, data: bytes) -> None:
        self.acted += 1
        await self.gone.wait()
        await link.send(self.on, data)


@dataclass(slots=True)
class Slice(Fault):
    """Replies come in pieces of `size` bytes with a pause between them: each read succeeds, none is whole."""

    name: ClassVar[str] = "slice"
    size: int = 1
    pause_seconds: float = 0.0

    async def pass_on(self, link: Link, data: bytes) -> None:
        self.acted += 1
        for start in range(0, len(data), self.size):
            await link.send("reply", data[start : start + self.size])
            await asyncio.sleep(self.pause_seconds)


@dataclass(slots=True)
class Reset(Fault):
    """The server's answer is an RST: what the client asked for may have been done."""

    name: ClassVar[str] = "reset"

    async def pass_on(self, link: Link, data: bytes) -> None:
        self.acted += 1
        link.cut(reset=True)


@dataclass(slots=True)
class CutRequest(Fault):
    """The request arrives whole and its connection ends before there is an answer."""

    name: ClassVar[str] = "cut-request"

    @property
    def direction(self) -> Direction:
        return "request"

    async def pass_on(self, link: Link, data: bytes) -> None:
        self.acted += 1
        await link.send("request", data)
        link.cut(reset=False)


@dataclass(slots=True)
class CutReply(Fault):
    """A connection ends in the middle of a reply, after `after_bytes` of what it sent from now on."""

    name: ClassVar[str] = "cut-reply"
    after_bytes: int
    _passed: dict[int, int] = field(default_factory=dict, init=False, repr=False)

    async def pass_on(self, link: Link, data: bytes) -> None:
        left = self.after_bytes - self._passed.get(id(link), 0)
        self._passed[id(link)] = self._passed.get(id(link), 0) + len(data)
        await link.send("reply", data[:left])
        if len(data) > left:
            self.acted += 1
            link.cut(reset=False)


@dataclass(slots=True)
class HalfOpen(Fault):
    """The server's side is gone and the client never hears of it, as after a failover or a reboot.

    When the fault is taken away the client's next bytes are answered by RST, as by a host that is back and
    knows nothing of the connection.
    """

    name: ClassVar[str] = "half-open"

    @property
    def direction(self) -> Direction:
        return "request"

    async def pass_on(self, link: Link, data: bytes) -> None:
        self.acted += 1
        link.close_server()
        await self.gone.wait()
        link.cut(reset=True)


@dataclass(slots=True)
class Garbage(Fault):
    """Replies are replaced by bytes that mean nothing in any protocol here."""

    name: ClassVar[str] = "garbage"
    content: bytes = b"\x00\xff\x16 neither HTTP nor anything else\r\n\r\n"

    async def pass_on(self, link: Link, data: bytes) -> None:
        self.acted += 1
        await link.send("reply", self.content)
