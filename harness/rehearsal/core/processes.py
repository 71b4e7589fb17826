"""Running other programs: streamed, bounded in time, never left behind.

Each program gets a process group of its own. A time limit, Ctrl-C or any other exception ends the whole
group; if the harness itself is killed, the kernel ends the program (PR_SET_PDEATHSIG). Output goes to a log
file as it comes; only a tail is kept in memory.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO

from rehearsal.core.errors import HarnessError

_TAIL_LINES = 40  # what an error message or a report can show of a log
_TERM_GRACE_SECONDS = 5.0  # time to clean up before SIGKILL
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CHUNK_BYTES = 1 << 16  # a pipe holds as much; a longer line is handed on in pieces

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


def die_with_parent() -> None:
    """Ask the kernel, in a forked child, to end it by SIGTERM when its parent is gone."""
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
    redaction: Callable[[str], str] | None = None,
) -> Completed:
    """Run a program to its end and return what it said.

    `env` replaces the environment. `on_line` sees each line of output without its line end. `log` is
    appended to, line by line through `redaction` if there is one. `stdin` is bytes or a file to read.

    The end of its output is part of the end of a program: one that leaves something behind that still holds
    its output has not ended.

    Raises ProcessFailedError for a non-zero exit (unless `check` is false), for a time limit, whatever the
    program makes of its signal, and for a program that cannot be started.
    """
    started = monotonic()
    process = _start(argv, env=env, cwd=cwd, stdin=stdin)
    with _sink(log) as sink:
        output = _Output(sink, on_line, redaction)
        try:
            _feed(process, stdin)
            _read(process, output, started + timeout_seconds)
            returncode: int | None = process.wait(max(0.0, started + timeout_seconds - monotonic()))
        except subprocess.TimeoutExpired:
            end_group(process)
            _drain(process, output)
            returncode = None
        except BaseException:
            end_group(process)
            output.break_off()
            raise
        finally:
            if process.stdout:
                process.stdout.close()
        output.end()
    seconds = monotonic() - started
    if returncode is None or (returncode != 0 and check):
        raise _failure(argv, returncode, output.text, log, seconds=seconds)
    return Completed(tuple(argv), returncode, seconds, output.text)


@contextmanager
def beside(
    argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Callable[[], int | None]]:
    """Have a program run for the length of the block, its output in `log`; yield what says its exit code.

    Raises ProcessFailedError for a program that cannot be started.
    """
    with _sink(log) as sink:
        process = _start(argv, env=env, cwd=cwd, stdin=None, output=sink)
        try:
            yield process.poll
        finally:
            end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program and its group: SIGTERM, a grace period for the program, SIGKILL for all that is left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(_TERM_GRACE_SECONDS)


def _start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    stdin: bytes | Path | None,
    output: IO[bytes] | None = None,
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
                stdout=subprocess.PIPE if output is None else output,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
                # Async-signal-safe: one prctl call, no Python state is touched.
                preexec_fn=die_with_parent,
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
        with suppress(BrokenPipeError):
            pipe.write(stdin)
        with suppress(BrokenPipeError):
            pipe.close()

    threading.Thread(target=write, daemon=True).start()


class _Output:
    """Cuts what a program says into lines, for the log, the tail and the listener."""

    def __init__(
        self,
        sink: IO[bytes] | None,
        on_line: Callable[[str], None] | None,
        redaction: Callable[[str], str] | None = None,
    ) -> None:
        self._sink = sink
        self._on_line = on_line
        self._redaction = redaction
        self._lines: deque[str] = deque(maxlen=_TAIL_LINES if sink else None)
        self._rest = b""

    @property
    def text(self) -> str:
        """What was said: all of it, or the tail when there is a log."""
        return "".join(self._lines)

    def take(self, chunk: bytes) -> None:
        """Take the next piece of output."""
        if self._redaction is None:
            self._keep(chunk)
        self._rest += chunk
        # One by one: who is interrupted in between still has the others.
        while end := self._rest.find(b"\n") + 1:
            raw, self._rest = self._rest[:end], self._rest[end:]
            self._line(raw)
        if len(self._rest) >= _CHUNK_BYTES:
            self.end()

    def end(self) -> None:
        """Hand on what is left without a line end."""
        raw, self._rest = self._rest, b""
        if raw:
            self._line(raw)

    def break_off(self) -> None:
        """Keep what is left without a line end; nobody listens any more."""
        self._on_line = None
        self.end()

    def _keep(self, raw: bytes) -> None:
        if self._sink is not None:
            self._sink.write(raw)
            self._sink.flush()

    def _line(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace")
        if self._redaction is not None:
            line = self._redaction(line)
            self._keep(line.encode())
        self._lines.append(line)
        if self._on_line is not None:
            self._on_line(line.rstrip("\r\n"))


def _sink(log: Path | None) -> AbstractContextManager[IO[bytes] | None]:
    if log is None:
        return nullcontext(None)
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("ab")


def _read(process: subprocess.Popen[bytes], output: _Output, deadline: float) -> None:
    """Hand on output until its end; raises TimeoutExpired at the deadline, whoever still holds the pipe."""
    if process.stdout is None:
        return
    descriptor = process.stdout.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while (left := deadline - monotonic()) > 0:
        if not poll.poll(left * 1000):
            continue
        chunk = os.read(descriptor, _CHUNK_BYTES)
        if not chunk:
            return
        output.take(chunk)
    raise subprocess.TimeoutExpired(process.args, deadline)


def _drain(process: subprocess.Popen[bytes], output: _Output) -> None:
    """Take the last words of a program that was ended, without waiting for more."""
    if process.stdout is None:
        return
    descriptor = process.stdout.fileno()
    os.set_blocking(descriptor, False)
    with suppress(BlockingIOError):
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            output.take(chunk)


def _failure(
    argv: Sequence[str], returncode: int | None, output: str, log: Path | None, *, seconds: float
) -> ProcessFailedError:
    name = Path(argv[0]).name
    tail = "".join(output.splitlines(keepends=True)[-_TAIL_LINES:]).rstrip()
    where = f"The whole log: {log}" if log else "Its last lines are above."
    if returncode is None:
        message, code = f"{name} was ended after {seconds:.0f} s without coming to an end", "PROCESS_TIMEOUT"
    else:
        message, code = f"{name} ended with {returncode}", "PROCESS_FAILED"
    shown = " ".join(argv[:6]) + (" ..." if len(argv) > 6 else "")
    return ProcessFailedError(
        code, f"{message} ({shown})\n{tail}".rstrip(), hint=where, tail=tail, returncode=returncode
    )
