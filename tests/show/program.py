"""The `rehearsal` program as a person runs it, and what can happen to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
_LIMIT_SECONDS = 600.0  # of one command; on a busy machine a cluster of three nodes takes minutes


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended, and what it said on both outputs."""

    code: int
    said: str

    def well(self) -> Ended:
        """Return itself; raises AssertionError, with what was said, when it did not end well."""
        assert self.code == 0, self.said
        return self


def rehearsal(*arguments: str) -> Ended:
    """Run a command to its end."""
    with start(*arguments) as process:
        said, _ = process.communicate(timeout=_LIMIT_SECONDS)
    return Ended(process.returncode, said)


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start a command."""
    return subprocess.Popen(
        [sys.executable, "-m", "rehearsal", *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "CI": "true"},
    )


def cut_off(step: str, number: signal.Signals, *arguments: str) -> Ended:
    """Run a command and send it a signal as soon as it says that a step has begun."""
    heard: list[str] = []
    with start(*arguments) as process:
        assert process.stdout
        for line in process.stdout:
            heard.append(line)
            if line.startswith(f"{step} ") and " started" in line:
                process.send_signal(number)
                break
        heard.append(process.communicate(timeout=_LIMIT_SECONDS)[0])
    said = "".join(heard)
    assert f"{step} " in said, f"step {step} did not begin:\n{said}"
    return Ended(process.returncode, said)
