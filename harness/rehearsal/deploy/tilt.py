"""Adapter: the Tilt program.

`ci` runs it to its end and keeps its log and snapshot; `up` gives it the terminal and passes signals on.
Neither decides anything about the result.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import die_with_parent, run
from rehearsal.core.redaction import redact
from rehearsal.core.verdicts import ExitCode

_PROBE_SECONDS = 2.0
_OVERTIME_SECONDS = 60.0  # Tilt ends itself at its time limit; after this it hangs
_TOKEN_COOKIE = "Tilt-Token"  # noqa: S105 - the name by which Tilt's web server is told from others


@dataclass(frozen=True, slots=True)
class CiEnd:
    """How `tilt ci` ended, and what it left."""

    exit_code: int
    seconds: float
    tail: str


class TiltProgram(Protocol):
    """What the deploy layer asks of Tilt."""

    def ci(
        self,
        resources: Sequence[str],
        *,
        snapshot: Path,
        log: Path,
        timeout_seconds: float,
        on_line: Callable[[str], None],
    ) -> CiEnd:
        """Deploy once and come back when all is well, something failed or the time is over."""

    def up(self, resources: Sequence[str]) -> int:
        """Run in the foreground until it is ended; return the exit code to end with."""


@dataclass(frozen=True, slots=True)
class Tilt:
    """The program behind `TiltProgram`."""

    program: Path
    root: Path  # the checkout, with the Tiltfile
    environment: Mapping[str, str]
    # Its log may be in a folder that is shared, and a run that is killed cannot mend it afterwards.
    redaction: Callable[[str], str] = redact

    def ci(
        self,
        resources: Sequence[str],
        *,
        snapshot: Path,
        log: Path,
        timeout_seconds: float,
        on_line: Callable[[str], None],
    ) -> CiEnd:
        """Deploy once. Raises EnvironmentNotReadyError when Tilt's port is taken."""
        require_free_port(self.port)
        snapshot.parent.mkdir(parents=True, exist_ok=True)
        snapshot.unlink(missing_ok=True)  # one of an earlier run must not speak for this one
        ended = run(
            [
                str(self.program),
                "ci",
                f"--timeout={timeout_seconds:.0f}s",
                f"--output-snapshot-on-exit={snapshot}",
                *_arguments(resources),
            ],
            timeout_seconds=timeout_seconds + _OVERTIME_SECONDS,
            log=log,
            env=self.environment,
            cwd=self.root,
            on_line=on_line,
            check=False,
            redaction=self.redaction,
        )
        return CiEnd(ended.returncode, ended.seconds, ended.output)

    def up(self, resources: Sequence[str]) -> int:
        """Run `tilt up` on this terminal; 130 after Ctrl-C.

        Raises EnvironmentNotReadyError when Tilt's port is taken or Tilt cannot be started.
        """
        require_free_port(self.port)
        command = [str(self.program), "up", *_arguments(resources)]
        try:
            # In this process group: only the terminal's foreground group may read keys, as Tilt does.
            process = subprocess.Popen(
                command, cwd=self.root, env=dict(self.environment), preexec_fn=die_with_parent
            )
        except OSError as error:
            raise EnvironmentNotReadyError(
                "TILT_NOT_STARTED",
                f"{self.program} cannot be started: {error.strerror or error}",
                hint="`rehearsal supply verify` checks it, `rehearsal supply build tilt` makes it anew.",
            ) from error
        return _wait_in_foreground(process)

    @property
    def port(self) -> int:
        """The port of Tilt's web server."""
        return int(self.environment["TILT_PORT"])


def require_free_port(port: int) -> None:
    """Raise EnvironmentNotReadyError when something listens on Tilt's port, a Tilt or another."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PROBE_SECONDS)
    try:
        connection.connect()
    except OSError:
        return
    try:
        connection.request("GET", "/")
        is_tilt = _TOKEN_COOKIE in (connection.getresponse().getheader("Set-Cookie") or "")
    except (OSError, http.client.HTTPException):
        is_tilt = False
    finally:
        connection.close()
    if is_tilt:
        raise EnvironmentNotReadyError(
            "TILT_ALREADY_RUNNING",
            f"a Tilt is running already: http://localhost:{port}/",
            hint="Work with that one, or end it by Ctrl-C in its terminal: two would undo each other's work.",
        )
    raise EnvironmentNotReadyError(
        "TILT_PORT_TAKEN",
        f"another program listens on 127.0.0.1:{port}, where Tilt's web interface belongs",
        hint="End it, or change ports.tilt in rehearsal.toml; `rehearsal doctor` says which program it is.",
    )


def _arguments(resources: Sequence[str]) -> list[str]:
    return ["--", *resources] if resources else []


def _wait_in_foreground(process: subprocess.Popen[bytes]) -> int:
    """Wait for Tilt, with signals of this process passed on; return the exit code to end with."""
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        received.append(number)
        # The terminal has sent Ctrl-C to the whole group; on a second one Tilt would leave its children.
        if number != signal.SIGINT or not _terminal_is_ours():
            process.send_signal(number)

    passed = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in passed}
    try:
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received or code == -signal.SIGINT:
        return ExitCode.INTERRUPTED
    if code != 0:
        raise EnvironmentNotReadyError(
            "TILT_ENDED", f"`tilt up` ended with {code}", hint="Its last lines above say why."
        )
    return ExitCode.PASS


def _terminal_is_ours() -> bool:
    """Return whether this process group is in the foreground of a terminal."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
