"""Running other programs: streamed, bounded in time, never left behind.

Each program gets a process group of its own. A time limit, Ctrl-C or any other exception ends the whole
group; if the harness itself is killed, the kernel ends the program (PR_SET_PDEATHSIG). Output goes to a log
file as it comes; only a tail is kept in memory.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO

from rehearsal.core.errors import HarnessError

_TAIL_LINES = 40  # what an error message or a report can show of a log
_TERM_GRACE_SECONDS = 5.0  # time to clean up before SIGKILL
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that has ended."""

    argv: tuple[str, ...]
    returncode: int
    seconds: float
    output: str  # standard output and error in order of arrival: all of it, or the tail when `log` was given

    @property
    def ok(self) -> bool:
        """Whether the program ended with 0."""
        return self.returncode == 0


class ProcessFailedError(HarnessError):
    """A program ended with an unexpected code, or ran out of time; `tail` is the last of its output."""

    def __init__(self, code: str, message: str, *, hint: str, tail: str, returncode: int | None) -> None:
        super().__init__(code, message, hint=hint)
        self.tail = tail
        self.returncode = returncode


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def run(
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | Path | None = None,
    on_line: Callable[[str], None] | None = None,
    check: bool = True,
) -> Completed:
    """Run a program to its end and return what it said.

    `env` replaces the environment. `on_line` sees each line of output without its line end. `log` is
    appended to. `stdin` is bytes or a file to read.

    Raises ProcessFailedError for a non-zero exit (unless `check` is false), for a time limit and for a
    program that cannot be started.
    """
    started = monotonic()
    process = _start(argv, env=env, cwd=cwd, stdin=stdin)
    lines: deque[str] = deque(maxlen=_TAIL_LINES if log else None)
    timer = threading.Timer(timeout_seconds, end_group, [process])
    timer.daemon = True
    timer.start()
    try:
        _feed(process, stdin)
        _collect(process, log, lines, on_line)
        returncode = process.wait()
    except BaseException:
        end_group(process)
        raise
    finally:
        timer.cancel()
        if process.stdout:
            process.stdout.close()
    seconds = monotonic() - started
    output = "".join(lines)
    if returncode != 0 and check:
        raise _failure(argv, returncode, output, log, timed_out=seconds >= timeout_seconds, seconds=seconds)
    return Completed(tuple(argv), returncode, seconds, output)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started: SIGTERM, a grace period, SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(_TERM_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        if number == signal.SIGTERM:
            # The leader is gone; members that ignored SIGTERM are not.
            continue


def _start(
    argv: Sequence[str], *, env: Mapping[str, str] | None, cwd: Path | None, stdin: bytes | Path | None
) -> subprocess.Popen[bytes]:
    opened: AbstractContextManager[IO[bytes] | None]
    opened = stdin.open("rb") if isinstance(stdin, Path) else nullcontext(None)
    with opened as source:
        if source is not None:
            feed: IO[bytes] | int = source
        else:
            feed = subprocess.PIPE if isinstance(stdin, bytes) else subprocess.DEVNULL
        try:
            return subprocess.Popen(
                list(argv),
                stdin=feed,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
                # Async-signal-safe: one prctl call, no Python state is touched.
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise ProcessFailedError(
                "PROCESS_NOT_STARTED",
                f"{argv[0]} cannot be started: {error.strerror or error}",
                hint="Run `rehearsal doctor` to see which tools are there.",
                tail="",
                returncode=None,
            ) from error


def _feed(process: subprocess.Popen[bytes], stdin: bytes | Path | None) -> None:
    if not isinstance(stdin, bytes) or process.stdin is None:
        return
    pipe = process.stdin

    def write() -> None:
        # A program may end without reading all; its exit code tells more than the broken pipe.
        try:
            pipe.write(stdin)
            pipe.close()
        except BrokenPipeError:
            return

    threading.Thread(target=write, daemon=True).start()


def _collect(
    process: subprocess.Popen[bytes],
    log: Path | None,
    lines: deque[str],
    on_line: Callable[[str], None] | None,
) -> None:
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") if log is not None else nullcontext(None) as sink:
        if process.stdout is None:
            return
        for raw in process.stdout:
            if sink is not None:
                sink.write(raw)
                sink.flush()
            line = raw.decode("utf-8", "replace")
            lines.append(line)
            if on_line is not None:
                on_line(line.rstrip("\r\n"))


def _failure(
    argv: Sequence[str], returncode: int, output: str, log: Path | None, *, timed_out: bool, seconds: float
) -> ProcessFailedError:
    name = Path(argv[0]).name
    tail = "".join(output.splitlines(keepends=True)[-_TAIL_LINES:]).rstrip()
    where = f"The whole log: {log}" if log else "Its last lines are above."
    if timed_out:
        message, code = f"{name} was ended after {seconds:.0f} s without coming to an end", "PROCESS_TIMEOUT"
    else:
        message, code = f"{name} ended with {returncode}", "PROCESS_FAILED"
    shown = " ".join(argv[:6]) + (" ..." if len(argv) > 6 else "")
    return ProcessFailedError(
        code, f"{message} ({shown})\n{tail}".rstrip(), hint=where, tail=tail, returncode=returncode
    )
