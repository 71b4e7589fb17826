"""What can happen on the way to a dependency, by name; each test takes a new fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mambogo_testkit.faults import (
    Blackhole,
    CutReply,
    CutRequest,
    Fault,
    Garbage,
    HalfOpen,
    Latency,
    Reset,
    Slice,
)

FAULTS: Final[dict[str, Callable[[], Fault]]] = {
    "hanging": Blackhole,
    "hanging before it hears anything": lambda: Blackhole(on="request"),
    "slow": lambda: Latency(0.3),
    "in pieces": lambda: Slice(7, 0.001),
    "garbage": Garbage,
    "reset": Reset,
    "cut after the request": CutRequest,
    "cut in a reply": lambda: CutReply(40),
    "half-open": HalfOpen,
}
