"""A service as a real process, on a port of its own, ended by its id.

    with service_process("mambogo_order.main", environment, log=tmp_path / "log") as service:
        httpx.get(f"{service.url}/actuator/health")

What its environment holds is the test's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mambogo_testkit.errors import TestkitError
from mambogo_testkit.ports import free_port
from mambogo_testkit.waiting import status_missing, wait_until

# Only a broken service takes that long, on however loaded a machine.
READY_SECONDS = 60.0
END_SECONDS = 40.0
_INHERITED = ("PATH", "HOME", "VIRTUAL_ENV")


@dataclass(slots=True)
class ServiceProcess:
    """A service that runs, or did."""

    process: subprocess.Popen[bytes]
    port: int
    log_path: Path

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.log_path.read_text()

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all its threads so far, by the kernel's own count in nanoseconds (Linux only)."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END_SECONDS)

    def wait(self) -> int:
        """The exit code of a service that ends by itself."""
        return self.process.wait(END_SECONDS)


@contextmanager
def service_process(module: str, environment: Mapping[str, str], *, log: Path) -> Iterator[ServiceProcess]:
    """Run `python -m module` until the end of the block; ready when the block begins."""
    port = free_port()
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env={**inherited, "HOST": "127.0.0.1", "PORT": str(port), "DRAIN_SECONDS": "0", **environment},
            stdout=output,
            stderr=output,
        )
    service = ServiceProcess(process, port, log)
    try:
        _await_ready(service)
        yield service
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(END_SECONDS)


def _await_ready(service: ServiceProcess) -> None:
    def missing() -> str | None:
        status = service.process.poll()
        if status is not None:
            raise TestkitError(
                "service-ended",
                f"it ended with {status} before it was ready:\n{service.log[-3000:]}",
                "read its log above",
            )
        return status_missing(f"{service.url}/actuator/health/readiness")

    wait_until(f"{service.url} to be ready", missing, READY_SECONDS)
