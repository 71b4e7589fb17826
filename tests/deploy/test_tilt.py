"""The adapter of the Tilt program, with programs of our own in its place: real processes, signals, ports."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.waiting import wait_until
from rehearsal.deploy.tilt import Tilt, require_free_port

from tests.servers import running

pytestmark = pytest.mark.enable_socket

_WAIT_SECONDS = 60.0
_HARNESS = Path(__file__).parents[2] / "harness"

# Stays until a signal, as `tilt up` does, and notes each signal; a child stands for what Tilt starts.
_UP = """#!{python}
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
def stop(number, frame):
    with open("signals", "a") as file:
        file.write(f"{{number}}\\n")
    child.terminate()
    child.wait()
    sys.exit(0)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, stop)
with open("started.part", "w") as file:
    file.write(f"{{os.getpid()}} {{child.pid}} {{' '.join(sys.argv[1:])}}")
os.rename("started.part", "started")
while True:
    signal.pause()
"""

_CALLER = """
import sys
from pathlib import Path
from rehearsal.deploy.tilt import Tilt
folder = Path(sys.argv[1])
tilt = Tilt(folder / "tilt", folder, {"TILT_PORT": "1", "PATH": "/usr/bin:/bin"})
raise SystemExit(tilt.up(["echo"]))
"""


_CI = """
import sys
from pathlib import Path
from rehearsal.core.redaction import redact
from rehearsal.deploy.tilt import Tilt
program, folder = map(Path, sys.argv[1:])
environment = {"TILT_PORT": "1", "PATH": "/usr/bin:/bin"}
tilt = Tilt(program, folder, environment, lambda text: redact(text).replace("drawn", "[hidden]"))
tilt.ci([], snapshot=folder / "s", log=folder / "log", timeout_seconds=60, on_line=lambda line: None)
"""


def _program(folder: Path, text: str) -> Path:
    path = folder / "tilt"
    path.write_text(text)
    path.chmod(0o755)
    return path


def _tilt(folder: Path, text: str) -> Tilt:
    # Nothing listens on port 1.
    return Tilt(_program(folder, text), folder, {"TILT_PORT": "1", "PATH": os.environ["PATH"]})


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


@contextmanager
def _calling_up(
    folder: Path, *, terminal: bool = False
) -> Iterator[tuple[subprocess.Popen[bytes], int, int, int]]:
    """Run `Tilt.up` in a process of its own; yield it, the pids of Tilt and its child, and the terminal."""
    _program(folder, _UP.format(python=sys.executable))
    main, other = pty.openpty() if terminal else (-1, -1)

    def take_terminal() -> None:
        # The new session's terminal, with this process group in its foreground.
        os.close(os.open(os.ttyname(0), os.O_RDWR))

    process = subprocess.Popen(
        [sys.executable, "-c", _CALLER, str(folder)],
        env={**os.environ, "PYTHONPATH": str(_HARNESS)},
        stdin=other if terminal else subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=take_terminal if terminal else None,
    )
    try:
        started = folder / "started"
        wait_until("tilt's start", started.exists, timeout_seconds=_WAIT_SECONDS, hint="see above")
        pid, child, *_ = started.read_text().split()
        yield process, int(pid), int(child), main
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for descriptor in (main, other):
            if descriptor >= 0:
                os.close(descriptor)


def _wait_for_end(*pids: int) -> None:
    wait_until(
        "the end of all processes",
        lambda: not any(_alive(pid) for pid in pids),
        timeout_seconds=_WAIT_SECONDS,
        hint="they were left behind",
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_tilt_and_its_children_with_130(tmp_path: Path, number: int) -> None:
    with _calling_up(tmp_path) as (process, tilt, child, _):
        process.send_signal(number)
        assert process.wait(_WAIT_SECONDS) == 130
        _wait_for_end(tilt, child)
    assert (tmp_path / "signals").read_text().split() == [str(int(number))]


def test_ctrl_c_on_a_terminal_reaches_tilt_once(tmp_path: Path) -> None:
    """A second SIGINT makes Tilt leave at once, without its children."""
    with _calling_up(tmp_path, terminal=True) as (process, tilt, child, main):
        os.write(main, b"\x03")
        assert process.wait(_WAIT_SECONDS) == 130
        _wait_for_end(tilt, child)
    assert (tmp_path / "signals").read_text().split() == [str(int(signal.SIGINT))]


def test_a_killed_harness_leaves_no_tilt(tmp_path: Path) -> None:
    with _calling_up(tmp_path) as (process, tilt, child, _):
        process.kill()
        _wait_for_end(tilt, child)


def test_resources_are_handed_to_the_tiltfile(tmp_path: Path) -> None:
    with _calling_up(tmp_path):
        assert (tmp_path / "started").read_text().split()[2:] == ["up", "--", "echo"]


def test_up_that_fails_by_itself_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="`tilt up` ended with 1"):
        _tilt(tmp_path, "#!/bin/sh\nexit 1\n").up([])


def test_up_that_ends_well_gives_0(tmp_path: Path) -> None:
    assert _tilt(tmp_path, "#!/bin/sh\nexit 0\n").up([]) == 0


def test_a_missing_program_is_an_error_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNotReadyError) as caught:
        Tilt(tmp_path / "none", tmp_path, {"TILT_PORT": "1"}).up([])
    assert "rehearsal supply build tilt" in caught.value.hint


def test_the_handlers_of_signals_are_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    _tilt(tmp_path, "#!/bin/sh\nexit 0\n").up([])
    assert signal.getsignal(signal.SIGTERM) is before


def test_ci_removes_an_earlier_run_s_snapshot(tmp_path: Path) -> None:
    snapshot = tmp_path / "runs" / "snapshot.json"
    snapshot.parent.mkdir()
    snapshot.write_text("{}")
    tilt = _tilt(tmp_path, "#!/bin/sh\nexit 3\n")
    ended = tilt.ci(
        [], snapshot=snapshot, log=tmp_path / "log", timeout_seconds=30, on_line=lambda line: None
    )
    assert (ended.exit_code, snapshot.exists()) == (3, False)


def test_ci_keeps_the_whole_log(tmp_path: Path) -> None:
    tilt = _tilt(tmp_path, '#!/bin/sh\necho "$@"\n')
    tilt.ci(
        ["echo"], snapshot=tmp_path / "s", log=tmp_path / "log", timeout_seconds=30, on_line=lambda line: None
    )
    assert (
        tmp_path / "log"
    ).read_text() == f"ci --timeout=30s --output-snapshot-on-exit={tmp_path}/s -- echo\n"


def test_log_of_a_run_that_is_killed_holds_no_secret(tmp_path: Path) -> None:
    program = _program(tmp_path, "#!/bin/sh\necho 'redis://:geheim@redis'; echo drawn; sleep 100\n")
    log = tmp_path / "log"
    argv = [sys.executable, "-c", _CI, str(program), str(tmp_path)]
    with subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(_HARNESS)}) as process:
        wait_until(
            "the log",
            lambda: log.exists() and log.read_text().count("\n") == 2,
            timeout_seconds=_WAIT_SECONDS,
            hint="",
            interval_seconds=0.02,
        )
        process.kill()

    assert log.read_text() == "redis://[hidden]@redis\n[hidden]\n"


@contextmanager
def _web_server(headers: dict[str, str]) -> Iterator[int]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with running(HTTPServer(("127.0.0.1", 0), Page)) as port:
        yield port


def test_a_second_tilt_is_refused() -> None:
    with (
        _web_server({"Set-Cookie": "Tilt-Token=1; Path=/"}) as port,
        pytest.raises(EnvironmentNotReadyError, match="TILT_ALREADY_RUNNING"),
    ):
        require_free_port(port)


def test_another_program_on_the_port_is_told_apart() -> None:
    with _web_server({}) as port, pytest.raises(EnvironmentNotReadyError, match="TILT_PORT_TAKEN"):
        require_free_port(port)


def test_both_ways_of_running_ask_for_the_port(tmp_path: Path) -> None:
    with _web_server({}) as port:
        tilt = Tilt(_program(tmp_path, "#!/bin/sh\nexit 0\n"), tmp_path, {"TILT_PORT": str(port)})
        with pytest.raises(EnvironmentNotReadyError, match="TILT_PORT_TAKEN"):
            tilt.up([])
        with pytest.raises(EnvironmentNotReadyError, match="TILT_PORT_TAKEN"):
            tilt.ci(
                [], snapshot=tmp_path / "s", log=tmp_path / "l", timeout_seconds=1, on_line=lambda line: None
            )
