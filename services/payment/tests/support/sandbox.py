"""The provider's sandbox as a real process, with its switches and its ledger."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from mambogo_testkit.ports import free_port

API_KEY: Final = "sandbox-key"
WEBHOOK_SECRET: Final = "sandbox-webhooks"
_READY_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Sandbox:
    """A running provider."""

    url: str

    def switch(self, **switches: object) -> None:
        """Turn these on and all others off."""
        httpx.put(f"{self.url}/admin/switches", json=switches, timeout=30).raise_for_status()

    def entries(self, reference: object = None) -> list[dict[str, Any]]:
        """The ledger, or what is in it under one reference."""
        entries = httpx.get(f"{self.url}/admin/ledger", timeout=30).json()["entries"]
        return [entry for entry in entries if reference in (None, entry["reference"])]

    def kinds(self, reference: object) -> list[str]:
        """What was done under a reference, in order."""
        return [entry["kind"] for entry in self.entries(str(reference))]


@contextmanager
def sandbox(directory: Path, *, webhook_url: str = "", secret: str = WEBHOOK_SECRET) -> Iterator[Sandbox]:
    """A sandbox for the length of the block."""
    port = free_port()
    environment = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATABASE_PATH": str(directory / "provider.db"),
        "API_KEY": API_KEY,
        "WEBHOOK_URL": webhook_url,
        "WEBHOOK_SECRET": secret,
    }
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with (directory / "sandbox.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mambogo_sandbox"], env=inherited | environment, stdout=log, stderr=log
        )
        try:
            made = Sandbox(f"http://127.0.0.1:{port}")
            _wait_ready(process, made)
            yield made
        finally:
            process.kill()
            process.wait(30)


def _wait_ready(process: subprocess.Popen[bytes], made: Sandbox) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            httpx.get(f"{made.url}/healthz", timeout=5).raise_for_status()
        except httpx.TransportError:
            assert process.poll() is None, "the sandbox ended at its start"
            assert time.monotonic() < deadline, "the sandbox does not answer"
            time.sleep(0.05)
        else:
            return
