"""Gateways and pods as processes of their own: started, asked for readiness, ended by their id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

from mambogo_testkit.ports import free_port
from rig import Client, get

# Two seconds of CPU on a quiet machine; a busy one takes its time.
START_SECONDS = 150.0


class Process:
    """A pod or a gateway, restarted on its port."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.port = free_port()
        self._arguments = arguments
        self.environment = {
            **os.environ,
            "PORT": str(self.port),
            "HOST": "127.0.0.1",
            "LOG_LEVEL": "WARNING",
            "ACCESS_LOG": "false",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; `ready` says when it is."""
        command = [sys.executable, *self._arguments]
        self._process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL)

    def terminate(self) -> None:
        """Ask it to stop."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait for its end; its exit code."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, START_SECONDS)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int:
        """The process' id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it in any case."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def is_ready(self) -> bool:
        """Its readiness, by a connection of its own as a kubelet does."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                answer = await Client(reader, writer).ask(
                    get("/actuator/health/readiness", "Connection: close")
                )
                return answer.status == 200
            finally:
                writer.close()
        return False

    async def ready(self) -> None:
        """Wait until it is ready."""
        end = time.monotonic() + START_SECONDS
        while not await self.is_ready():
            assert self.is_running, "a process ended instead of becoming ready"
            assert time.monotonic() < end, "a process did not become ready"
            await asyncio.sleep(0.1)
