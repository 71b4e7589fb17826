"""Waiting for a condition with a deadline; the only place of the testkit that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from mambogo_testkit.errors import TestkitError

# Short against the second or so that the fastest dependency takes to start.
_INTERVAL_SECONDS = 0.05
_HTTP_TIMEOUT_SECONDS = 3.0


def wait_until(what: str, probe: Callable[[], str | None], timeout_seconds: float) -> None:
    """Call `probe` until it returns None (ready); a string says what is still missing.

    Raises TestkitError `not-ready` with the last answer when the time is over.
    """
    started = time.monotonic()
    while (missing := probe()) is not None:
        spent_seconds = time.monotonic() - started
        if spent_seconds > timeout_seconds:
            raise TestkitError(
                "not-ready",
                f"waited {spent_seconds:.1f} s for {what}; the last answer was: {missing}",
                "read the container's log below, and the load of the machine",
            )
        time.sleep(_INTERVAL_SECONDS)


def status_missing(url: str) -> str | None:
    """Probe an HTTP endpoint: None for status 200, else what came instead."""
    try:
        status = httpx.get(url, timeout=_HTTP_TIMEOUT_SECONDS).status_code
    except httpx.TransportError as error:
        return str(error) or type(error).__name__
    return None if status == httpx.codes.OK else f"status {status}"
