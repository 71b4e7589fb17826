"""Waiting for a condition with a deadline; the only place of the testkit that sleeps."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import httpx

from mambogo_testkit.errors import TestkitError

# Short against the second or so that the fastest dependency takes to start; then longer, because asking takes
# CPU from the slow ones, which start at the same time.
_FIRST_INTERVAL_SECONDS = 0.05
_LAST_INTERVAL_SECONDS = 0.25
_INTERVAL_GROWTH = 1.1
_HTTP_TIMEOUT_SECONDS = 3.0


def wait_until(what: str, probe: Callable[[], str | None], timeout_seconds: float) -> None:
    """Call `probe` until it returns None (ready); a string says what is still missing.

    Raises TestkitError `not-ready` with the last answer when the time is over.
    """
    started, interval_seconds = time.monotonic(), _FIRST_INTERVAL_SECONDS
    while (missing := probe()) is not None:
        spent_seconds = time.monotonic() - started
        if spent_seconds > timeout_seconds:
            raise TestkitError(
                "not-ready",
                f"waited {spent_seconds:.1f} s for {what}; the last answer was: {missing}",
                "read the container's log below, and the load of the machine",
            )
        time.sleep(interval_seconds)
        interval_seconds = min(interval_seconds * _INTERVAL_GROWTH, _LAST_INTERVAL_SECONDS)


def status_missing(url: str) -> str | None:
    """Probe an HTTP endpoint: None for status 200, else what came instead."""
    try:
        status = _client().get(url).status_code
    except httpx.TransportError as error:
        return str(error) or type(error).__name__
    return None if status == httpx.codes.OK else f"status {status}"


@functools.cache
def _client() -> httpx.Client:
    # One for all: httpx.get makes a TLS context at each call, which is tens of milliseconds of CPU.
    return httpx.Client(
        timeout=_HTTP_TIMEOUT_SECONDS, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
    )
