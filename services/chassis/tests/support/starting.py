"""The campaign's side of `crash/starter.py`: processes that start in milliseconds."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

_PROGRAM: Final = Path(__file__).parents[1] / "crash" / "starter.py"
# Far above the second that its imports take.
_ANSWER_SECONDS: Final = 60.0


class Starter:
    """Forks the programs of one tree. `search_path` is where they and the product are imported from."""

    def __init__(self, search_path: str, log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(_PROGRAM)],
                env={**os.environ, "PYTHONPATH": search_path},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._answers = self._process.stdin, self._process.stdout
        os.set_blocking(self._answers.fileno(), False)
        self._unread = b""
        self._started: list[int] = []
        self._statuses: dict[int, int] = {}

    def __enter__(self) -> Starter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it and whatever still runs."""
        self._orders.close()
        self._process.wait(_ANSWER_SECONDS)
        self._answers.close()

    def start(self, program: str, *arguments: str, environment: Mapping[str, str], log: Path) -> Child:
        """Start a program with some variables more; its output goes to `log`."""
        order = {
            "program": program,
            "arguments": arguments,
            "environment": dict(environment),
            "log": str(log),
        }
        self._orders.write(json.dumps(order).encode() + b"\n")
        self._orders.flush()
        while not self._started:
            assert select.select([self._answers], [], [], _ANSWER_SECONDS)[0], "the starter does not answer"
            self._read()
        return Child(self, self._started.pop())

    def status_of(self, pid: int) -> int | None:
        """As `Popen.poll`."""
        self._read()
        return self._statuses.get(pid)

    def _read(self) -> None:
        """Take in what has been said by now."""
        while (said := self._answers.read()) is not None:
            assert said, f"the starter ended: {self._log.read_text()[-3000:]}"
            *lines, self._unread = (self._unread + said).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "started" in message:
                    self._statuses.pop(message["started"], None)
                    self._started.append(message["started"])
                else:
                    self._statuses[message["ended"]] = message["status"]


@dataclass(frozen=True, slots=True)
class Child:
    """A process that a starter made, with the part of `Popen` that is needed."""

    starter: Starter
    pid: int

    def poll(self) -> int | None:
        """Its exit code once it has ended; below zero for a signal."""
        return self.starter.status_of(self.pid)

    def wait(self, timeout_seconds: float) -> int:
        """Its exit code; an AssertionError when it does not end in time."""
        deadline = time.monotonic() + timeout_seconds
        while (status := self.poll()) is None:
            assert time.monotonic() < deadline, f"{self.pid} did not end within {timeout_seconds:g} s"
            time.sleep(0.01)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and its end."""
        self.send_signal(signal.SIGKILL)
        self.wait(_ANSWER_SECONDS)
