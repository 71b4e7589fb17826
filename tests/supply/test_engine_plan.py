"""Where an engine is looked for, and what is decided when none answers."""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rehearsal.core import catalogue
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import ignore
from rehearsal.supply import engine_finding
from rehearsal.supply.engine_finding import (
    Endpoint,
    Origin,
    Silence,
    Silent,
    choose_endpoint,
    find_engine,
)
from rehearsal.supply.engine_home import EngineHome, owned_by, recorded_pid
from rehearsal.supply.engine_start import (
    Host,
    Refusal,
    Startable,
    configuration,
    packages_for,
    plan,
    read_host,
)
from rehearsal.supply.inotify import ensure_inotify, read_limits

DEFAULT = Endpoint("unix:///var/run/docker.sock", "default socket", chosen_by_user=False)
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def short() -> Iterator[Path]:
    # A Unix socket's path has at most 107 bytes; pytest's folders are longer.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _home(folder: Path) -> EngineHome:
    return EngineHome(state=folder / "state", socket=folder / "docker.sock")


def _host(**changes: object) -> Host:
    known: dict[str, object] = {
        "root": True,
        "distribution": "debian",
        "release": 12,
        "service_manager": None,
        "dockerd": None,
    }
    return Host(**{**known, **changes})  # type: ignore[arg-type]  # names by hand


def _config(folder: Path, text: str) -> dict[str, str]:
    (folder / "config.json").write_text(text)
    return {"DOCKER_CONFIG": str(folder)}


def test_docker_host_comes_first(tmp_path: Path) -> None:
    environ = {"DOCKER_HOST": "tcp://x:1", **_config(tmp_path, '{"currentContext": "remote"}')}
    assert choose_endpoint(EngineHome(tmp_path), environ) == Endpoint("tcp://x:1", "DOCKER_HOST", True)


def test_chosen_context_comes_before_the_default_socket(tmp_path: Path) -> None:
    endpoint = choose_endpoint(EngineHome(tmp_path), _config(tmp_path, '{"currentContext": "remote"}'))
    assert (endpoint.source, endpoint.chosen_by_user) == ("Docker context 'remote'", True)


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"currentContext": "default"}'])
def test_default_socket_is_used_where_no_context_is_chosen(tmp_path: Path, text: str) -> None:
    assert choose_endpoint(EngineHome(tmp_path), _config(tmp_path, text)) == DEFAULT


def test_missing_socket_is_absence(short: Path) -> None:
    found = find_engine(_home(short), {})
    assert isinstance(found, Silent)
    assert found.why is Silence.ABSENT


def test_socket_that_nobody_listens_on_is_absence(short: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short / "docker.sock"))
    found = find_engine(_home(short), {})
    assert isinstance(found, Silent)
    assert found.why is Silence.ABSENT


class _NoDocker(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client may have had enough before
            self.wfile.write(b"HTTP/1.1 500 no\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")


@pytest.fixture
def no_docker(short: Path) -> Iterator[Path]:
    """Yield the folder of a socket behind which something else than Docker answers."""
    with socketserver.ThreadingUnixStreamServer(str(short / "docker.sock"), _NoDocker) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield short
        server.shutdown()
        thread.join()


def test_listener_that_speaks_no_docker_is_broken(no_docker: Path) -> None:
    found = find_engine(_home(no_docker), {})
    assert isinstance(found, Silent)
    assert found.why is Silence.BROKEN


def test_listener_that_never_answers_is_broken_and_costs_no_socket(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_finding, "_API_TIMEOUT_SECONDS", 1.0)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short / "docker.sock"))
        server.listen()
        before = len(os.listdir("/proc/self/fd"))
        found = find_engine(_home(short), {})
        assert len(os.listdir("/proc/self/fd")) == before
    assert isinstance(found, Silent)
    assert found.why is Silence.BROKEN


def test_root_on_debian_may_install_and_start() -> None:
    silent = Silent(DEFAULT, Silence.ABSENT, "no")
    assert plan(silent, _host()) == Startable(("docker.io", "containerd", "runc", "iptables"))


def test_installed_engine_is_started_without_packages() -> None:
    silent = Silent(DEFAULT, Silence.ABSENT, "no")
    host = _host(dockerd=Path("/usr/bin/dockerd"), distribution="fedora")
    assert plan(silent, host) == Startable(())


@pytest.mark.parametrize(("release", "apart"), [(12, False), (13, True), (None, True)])
def test_client_is_a_package_of_its_own_since_debian_13(release: int | None, apart: bool) -> None:
    assert ("docker-cli" in packages_for(_host(release=release))) is apart


@pytest.mark.parametrize(
    ("endpoint", "why", "host", "code"),
    [
        (DEFAULT, Silence.ABSENT, _host(root=False), "ENGINE_ABSENT"),
        (DEFAULT, Silence.ABSENT, _host(distribution="alpine"), "ENGINE_ABSENT"),
        (DEFAULT, Silence.DENIED, _host(root=False), "ENGINE_DENIED"),
        (DEFAULT, Silence.BROKEN, _host(), "ENGINE_BROKEN"),
        (
            DEFAULT,
            Silence.ABSENT,
            _host(dockerd=Path("/usr/bin/dockerd"), service_manager="systemd"),
            "ENGINE_STOPPED",
        ),
        (Endpoint("tcp://x:1", "DOCKER_HOST", True), Silence.ABSENT, _host(), "ENGINE_SILENT"),
    ],
)
def test_engine_is_never_started_where_another_may_be_meant(
    endpoint: Endpoint, why: Silence, host: Host, code: str
) -> None:
    decision = plan(Silent(endpoint, why, "no"), host)
    assert isinstance(decision, Refusal)
    assert decision.code == code


def test_host_is_read_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_ID="13"\n')
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/dockerd").touch(mode=0o755)
    dockerd = tmp_path / "usr/sbin/dockerd"
    assert read_host(tmp_path) == Host(os.geteuid() == 0, "debian", 13, "systemd", dockerd)


def test_runtime_is_only_replaced_where_the_host_lacks_capabilities(tmp_path: Path) -> None:
    home = EngineHome(tmp_path)
    found = [configuration(home, bounded=bounded).get("default-runtime") for bounded in (False, True)]
    assert found == [None, "runc-bounded"]


def test_another_programs_process_is_not_ours(tmp_path: Path) -> None:
    assert not owned_by(EngineHome(tmp_path), os.getpid())


@pytest.mark.parametrize("text", ["", "word", "999999999"])
def test_damaged_or_stale_pid_file_names_nobody(tmp_path: Path, text: str) -> None:
    home = EngineHome(tmp_path)
    home.pid_file.write_text(text)
    assert recorded_pid(home) is None


def test_origin_says_whose_the_engine_is() -> None:
    assert f"{Origin.OURS}" == "started by rehearsal"


def _limits(folder: Path, instances: int) -> Path:
    (folder / "max_user_instances").write_text(f"{instances}\n")
    (folder / "max_user_watches").write_text("1048576\n")
    return folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root raises limits")
def test_low_inotify_limit_is_raised_and_the_other_left(tmp_path: Path) -> None:
    ensure_inotify(catalogue.load(CHECKOUT).limits, ignore, folder=_limits(tmp_path, 128))
    assert read_limits(tmp_path) == {"max_user_instances": 1024, "max_user_watches": 1_048_576}


def test_other_users_get_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EnvironmentNotReadyError) as caught:
        ensure_inotify(catalogue.load(CHECKOUT).limits, ignore, folder=_limits(tmp_path, 128))
    assert caught.value.hint == "`sudo sysctl fs.inotify.max_user_instances=1024`"
