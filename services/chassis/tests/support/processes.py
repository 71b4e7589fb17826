"""Services as real processes, on a port of their own, ended by their id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO

from mambogo_testkit.ports import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
# A start takes a second of CPU, which is most of a minute where forty others want it, too.
READY_SECONDS = 90.0
END_SECONDS = 40.0


@dataclass
class ServiceProcess:
    """A running service."""

    process: subprocess.Popen[bytes]
    port: int
    log_path: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END_SECONDS)


@contextmanager
def service_process(
    script: Path, log_path: Path, environment: Mapping[str, str], *arguments: str
) -> Iterator[ServiceProcess]:
    """Run a service script until the end of the block; ready when the block begins."""
    port = free_port()
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "VIRTUAL_ENV") if name in os.environ}
    log: IO[bytes]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(script), *arguments],
            env={**inherited, "HOST": "127.0.0.1", "PORT": str(port), "DRAIN_SECONDS": "0.3", **environment},
            stdout=log,
            stderr=log,
        )
        service = ServiceProcess(process, port, log_path)
        try:
            _wait_ready(service)
            yield service
        finally:
            process.kill()
            process.wait(END_SECONDS)


def _wait_ready(service: ServiceProcess) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        if service.process.poll() is not None:
            raise AssertionError(f"ended with {service.process.returncode} before ready: {service.log}")
        connection = HTTPConnection("127.0.0.1", service.port, timeout=1)
        try:
            connection.request("GET", "/actuator/health/readiness")
            response = connection.getresponse()
            response.read()  # an unread answer would keep the socket open past close()
            if response.status == 200:
                return
        except (OSError, HTTPException):
            pass  # not listening yet
        finally:
            connection.close()
        if time.monotonic() > deadline:
            raise AssertionError(f"not ready within {READY_SECONDS:g} s: {service.log}")
        time.sleep(0.05)
