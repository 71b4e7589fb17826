"""The service as the image starts it: a process of its own, spoken to over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mambogo_echo.build import source_digest
from mambogo_echo.version import VERSION

_SOURCE = Path(__file__).parents[1] / "src"
_START_SECONDS = 30.0  # far more than a loaded machine needs


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def service() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "mambogo_echo"],
        env={
            **os.environ,
            "PYTHONPATH": str(_SOURCE),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "POD_NAME": "echo-7",
        },
    )
    base = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            httpx.get(f"{base}/actuator/health/readiness").raise_for_status()
            break
        except httpx.TransportError:
            assert process.poll() is None, "the service ended at start"
            assert time.monotonic() < deadline, "the service does not answer"
            time.sleep(0.05)
    yield process, base
    process.kill()
    process.wait()


def test_it_says_which_pod_answers_and_what_it_runs(service: tuple[subprocess.Popen[bytes], str]) -> None:
    assert httpx.get(f"{service[1]}/").json() == {
        "service": "echo",
        "pod": "echo-7",
        "version": VERSION,
        "build": source_digest(_SOURCE / "mambogo_echo"),
    }


@pytest.mark.parametrize("probe", ["liveness", "readiness"])
def test_probes_answer(service: tuple[subprocess.Popen[bytes], str], probe: str) -> None:
    assert httpx.get(f"{service[1]}/actuator/health/{probe}").json() == {"status": "UP"}


def test_an_answer_is_never_cached(service: tuple[subprocess.Popen[bytes], str]) -> None:
    assert httpx.get(f"{service[1]}/").headers["cache-control"] == "no-store"


def test_sigterm_ends_it(service: tuple[subprocess.Popen[bytes], str]) -> None:
    process, _ = service
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=_START_SECONDS) in (0, -signal.SIGTERM)
