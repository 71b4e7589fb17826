"""The engine that the harness starts: a real dockerd beside the machine's own."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from docker import DockerClient
from rehearsal.core import processes
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Event, Outcome, StepFinished, ignore
from rehearsal.core.paths import Paths
from rehearsal.core.waiting import wait_until
from rehearsal.supply import capabilities
from rehearsal.supply.engine import Origin, connect, ensure_engine, find_engine
from rehearsal.supply.engine_finding import Engine
from rehearsal.supply.engine_home import EngineHome, recorded_pid
from rehearsal.supply.engine_start import read_host

pytestmark = [
    pytest.mark.engine,
    pytest.mark.enable_socket,
    pytest.mark.skipif(
        os.geteuid() != 0 or read_host().dockerd is None, reason="starts a dockerd: root and dockerd"
    ),
]

Second = tuple[EngineHome, Paths]
CHECKOUT = Path(__file__).resolve().parents[2]
SHELL_IMAGE = "shell:test"


@contextmanager
def _second_home() -> Iterator[tuple[EngineHome, Paths]]:
    """Yield the home of an engine of its own; end the engine and remove the home afterwards."""
    # Not pytest's folder: its path is too long for a Unix socket.
    base = Path(tempfile.mkdtemp(prefix="engine-"))
    home = EngineHome(
        state=base / "state/engine",
        data_root=base / "data",
        exec_root=base / "exec",
        socket=base / "docker.sock",
        networking=False,
    )
    try:
        yield home, Paths(root=CHECKOUT, cache=base / "cache", state=base / "state")
    finally:
        _stop(home)
        # A daemon that was killed leaves its data folder mounted on itself.
        for mount in reversed([part.mountpoint for part in psutil.disk_partitions(all=True)]):
            if Path(mount).is_relative_to(base):
                subprocess.run(["umount", "--lazy", mount], check=True)  # noqa: S607
        shutil.rmtree(base)


def _stop(home: EngineHome) -> None:
    """End the engine of `home` and wait until it and its containerd are gone."""
    pid = recorded_pid(home)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
    wait_until(
        "end of the second engine",
        lambda: not _processes_of(home),
        timeout_seconds=60,
        hint=f"See {home.log}.",
    )


def _processes_of(home: EngineHome) -> list[int]:
    base = str(home.data_root.parent)
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and any(base in word for word in process.info["cmdline"] or ())
    ]


def _import_shell_image(client: DockerClient) -> None:
    """Make an image that holds `sh` and its libraries, copied from this machine."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in ("/bin/sh", *_libraries("/bin/sh")):
            tar.add(os.path.realpath(path), arcname=path.lstrip("/"))
    repository, _, tag = SHELL_IMAGE.partition(":")
    client.images.client.api.import_image_from_data(archive.getvalue(), repository=repository, tag=tag)


def _libraries(program: str) -> list[str]:
    listing = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout  # noqa: S607
    return re.findall(r"(/\S+) \(0x", listing)


@pytest.fixture
def second() -> Iterator[Second]:
    with _second_home() as made:
        yield made


def _start(second: Second) -> Engine:
    home, paths = second
    return ensure_engine(paths, ignore, home=home)


def _outcome(second: Second) -> Outcome:
    home, paths = second
    events: list[Event] = []
    ensure_engine(paths, events.append, home=home)
    return next(event.outcome for event in events if isinstance(event, StepFinished))


def test_engine_is_started_where_none_answers(second: Second) -> None:
    assert _start(second).origin is Origin.OURS


def test_engine_that_runs_is_left_as_it_is(second: Second) -> None:
    pid = _start(second).pid
    assert (_outcome(second), _start(second).pid) == (Outcome.UNCHANGED, pid)


def test_engine_outlives_the_program_that_started_it_and_is_found_by_the_next(second: Second) -> None:
    home, paths = second
    program = (
        "from pathlib import Path\n"
        "from rehearsal.core.events import ignore\n"
        "from rehearsal.core.paths import Paths\n"
        "from rehearsal.supply.engine import EngineHome, ensure_engine\n"
        f"home = EngineHome(state=Path({str(home.state)!r}), data_root=Path({str(home.data_root)!r}),\n"
        f"    exec_root=Path({str(home.exec_root)!r}), socket=Path({str(home.socket)!r}), networking=False)\n"
        f"paths = Paths(root=Path({str(paths.root)!r}), cache=Path({str(paths.cache)!r}),\n"
        f"    state=Path({str(paths.state)!r}))\n"
        "print(ensure_engine(paths, ignore, home=home).pid)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "harness")}
    started = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    assert _start(second).pid == int(started.stdout)


def test_two_starters_at_once_end_with_one_engine(second: Second) -> None:
    with ThreadPoolExecutor(2) as pool:
        engines = list(pool.map(lambda _: _start(second), range(2)))
    assert engines[0].pid == engines[1].pid


def test_engine_that_was_killed_is_started_again(second: Second) -> None:
    first = _start(second).pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until("death", lambda: recorded_pid(second[0]) is None, timeout_seconds=60, hint="It was killed.")
    assert _start(second).pid not in (None, first)


def test_process_id_given_to_another_program_is_not_taken_for_the_engine(second: Second) -> None:
    home, _ = second
    home.state.mkdir(parents=True)
    home.pid_file.write_text(str(os.getpid()), encoding="ascii")
    assert _start(second).pid != os.getpid()


def test_engine_that_dies_while_starting_shows_its_last_words(second: Second) -> None:
    home, _ = second
    home.data_root.write_text("a file where the data folder should be", encoding="ascii")
    with pytest.raises(EnvironmentNotReadyError, match=r"(?s)ended while.*points to a file"):
        _start(second)


def test_engine_does_not_keep_the_folder_it_was_started_from(second: Second) -> None:
    assert Path(f"/proc/{_start(second).pid}/cwd").readlink() == Path("/")


def test_second_engine_has_a_network_namespace_of_its_own(second: Second) -> None:
    # In the host's namespace a daemon without a bridge deletes docker0, which is another engine's.
    namespace = Path(f"/proc/{_start(second).pid}/ns/net").readlink()
    assert namespace != Path("/proc/self/ns/net").readlink()


def test_stopped_engine_is_found_to_be_absent(second: Second) -> None:
    _start(second)
    _stop(second[0])
    assert not isinstance(find_engine(second[0]), Engine)


def test_privileged_container_gets_what_the_host_can_give(second: Second) -> None:
    engine = _start(second)
    client = connect(engine.endpoint)
    _import_shell_image(client)
    container = client.containers.run(
        SHELL_IMAGE,
        ["sh", "-c", "while read line; do echo $line; done </proc/self/status; read hang"],
        privileged=True,
        detach=True,
        network_mode="none",
        stdin_open=True,
    )
    try:
        # The client program: docker-py's exec_run leaves its socket to the garbage collector.
        script = (
            "while read name value; do case $name in CapEff:) echo $value;; esac; done </proc/self/status"
        )
        inside = processes.run(
            ("docker", "exec", "--privileged", str(container.id), "sh", "-c", script),
            timeout_seconds=60,
            env={**os.environ, "DOCKER_HOST": second[0].host},
        )
        # Docker 20.10 knows the capabilities up to AUDIT_READ.
        last = capabilities.CAPABILITIES.index("AUDIT_READ")
        got = capabilities.missing(int(inside.output, 16), last=last)
        assert got == capabilities.missing(capabilities.bounding_set(), last=last)
    finally:
        container.remove(force=True)
        client.close()
