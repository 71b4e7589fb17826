"""Starting an engine of our own: Debian's packages, our configuration, detached from whoever started it.

Only where nothing else may be meant: no engine chosen by the user, none kept by a service manager, root on
Debian. Nothing below /etc/docker is read or written.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rehearsal.core import processes
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Step
from rehearsal.core.paths import Paths
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.supply import apt, capabilities
from rehearsal.supply.engine_finding import Silence, Silent, find_engine
from rehearsal.supply.engine_home import RUNTIME_NAME, EngineHome, recorded_pid

_PACKAGES = ("docker.io", "containerd", "runc", "iptables")
_FIRST_DEBIAN_WITH_CLIENT_APART = 13  # there docker.io only recommends docker-cli, and kind needs it
_READY_TIMEOUT_SECONDS = 90.0  # 3 s were measured; a data folder with many containers takes longer
_TAIL_LINES = 15  # enough for dockerd's last error and what led to it
_LOG_ROTATION = {"max-size": "10m", "max-file": "3"}  # containers' logs; without it they fill the disk

# The shell detaches: own session, no terminal, no descriptor of ours, root folder, all the files it may open.
# It writes its own process id before it becomes dockerd, so that a death before readiness is seen.
_DETACH = """
cd / && ulimit -n "$(ulimit -H -n)" && log=$1 pid=$2 && shift 2 &&
exec setsid --fork sh -c 'echo $$ >"$0.new" && mv "$0.new" "$0" && exec "$@"' "$pid" "$@" \\
    </dev/null >>"$log" 2>&1
"""


@dataclass(frozen=True, slots=True)
class Host:
    """What decides whether an engine can be started here."""

    root: bool
    distribution: str  # ID of os-release
    release: int | None  # major part of VERSION_ID; Debian's testing has none
    service_manager: str | None  # "systemd", when it runs
    dockerd: Path | None


@dataclass(frozen=True, slots=True)
class Startable:
    """An engine can be started after these packages were installed (none: all is there)."""

    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """No engine can be started for the user; the hint holds what to do."""

    code: str
    message: str
    hint: str


def read_host(root: Path = Path("/")) -> Host:
    """Look at the machine whose file system is at `root`."""
    release = _os_release(root)
    version = release.get("VERSION_ID", "").partition(".")[0]
    return Host(
        root=os.geteuid() == 0,
        distribution=release.get("ID", "unknown"),
        release=int(version) if version.isdigit() else None,
        service_manager="systemd" if (root / "run/systemd/system").is_dir() else None,
        dockerd=_dockerd(root),
    )


def plan(silent: Silent, host: Host) -> Startable | Refusal:
    """Decide whether our own engine may be started where none answered."""
    endpoint = silent.endpoint
    what = f"no Docker engine answers at {endpoint.host} ({endpoint.source}): {silent.detail}"
    if silent.why is Silence.DENIED:
        return Refusal("ENGINE_DENIED", what, "`sudo usermod -aG docker $USER`, then log in again.")
    if endpoint.chosen_by_user:
        return Refusal("ENGINE_SILENT", what, f"Start it, or choose another: {_unchoose(endpoint.source)}.")
    if silent.why is Silence.BROKEN:
        return Refusal("ENGINE_BROKEN", what, "See its log (`journalctl -u docker`), and restart it.")
    if host.dockerd is not None and host.service_manager is not None:
        return Refusal("ENGINE_STOPPED", what, f"{_sudo(host)}systemctl start docker")
    if host.root and (host.dockerd is not None or host.distribution == "debian"):
        return Startable(() if host.dockerd else packages_for(host))
    return Refusal("ENGINE_ABSENT", what, _how_to_install(host))


def packages_for(host: Host) -> tuple[str, ...]:
    """Return the packages of an engine and its client in this release of Debian."""
    apart = host.release is None or host.release >= _FIRST_DEBIAN_WITH_CLIENT_APART
    return (*_PACKAGES, "docker-cli") if apart else _PACKAGES


def start(silent: Silent, home: EngineHome, paths: Paths, progress: Step) -> None:
    """Start the engine of `home` and wait until it answers; the caller holds the lock.

    Raises EnvironmentNotReadyError when it may not be started, or does not come up.
    """
    # One of ours that is still starting holds its socket back; it only has to be waited for.
    if recorded_pid(home) is None:
        decision = plan(silent, read_host())
        if isinstance(decision, Refusal):
            raise EnvironmentNotReadyError(decision.code, decision.message, hint=decision.hint)
        if decision.packages:
            _install(decision.packages, paths, progress)
        if not isinstance(find_engine(home), Silent):
            return  # the package started its service
        _launch(home, paths, progress)
    _wait_ready(home, progress)


def install_runtime(home: EngineHome, paths: Paths) -> None:
    """Put the runtime shim in place, atomically: an exec may be using it at this moment."""
    source = paths.root / "kind" / "engine" / RUNTIME_NAME
    text = source.read_bytes()
    if home.runtime.is_file() and home.runtime.read_bytes() == text:
        return
    _write(home.runtime, text, mode=0o755)


def configuration(home: EngineHome, *, bounded: bool) -> dict[str, object]:
    """Return the daemon's configuration; `bounded`: with the runtime shim as the default runtime."""
    settings: dict[str, object] = {
        "data-root": str(home.data_root),
        "exec-root": str(home.exec_root),
        "hosts": [home.host],
        "log-driver": "json-file",
        "log-opts": _LOG_ROTATION,
    }
    if bounded:
        settings["runtimes"] = {RUNTIME_NAME: {"path": str(home.runtime)}}
        settings["default-runtime"] = RUNTIME_NAME
    if not home.networking:
        settings |= {"bridge": "none", "iptables": False, "ip6tables": False}
    return settings


def _install(packages: tuple[str, ...], paths: Paths, progress: Step) -> None:
    apt.install(
        packages,
        code="ENGINE_INSTALL_FAILED",
        what="the Docker engine",
        log=paths.logs / "engine-install.log",
        progress=progress,
    )


def _launch(home: EngineHome, paths: Paths, progress: Step) -> None:
    bounded = bool(capabilities.missing_for_process())
    home.state.mkdir(parents=True, exist_ok=True)
    home.pid_file.unlink(missing_ok=True)
    _forget_dead_containerd(home)
    path = os.environ.get("PATH", os.defpath)
    if bounded:
        install_runtime(home, paths)
        # BuildKit inside the daemon asks no configuration: it takes the first `runc` on the PATH.
        link = home.runtime.with_name("runc")
        if not link.is_symlink():
            link.symlink_to(home.runtime.name)
        path = f"{home.runtime.parent}{os.pathsep}{path}"
    _write(home.config, json.dumps(configuration(home, bounded=bounded), indent=2).encode(), mode=0o644)
    dockerd = read_host().dockerd or Path("dockerd")
    progress.progress(f"starting {dockerd}")
    # `--pidfile=` turns dockerd's own pid file off: it would take a reused process id for a running engine.
    command: tuple[str, ...] = (str(dockerd), "--config-file", str(home.config), "--pidfile=")
    if not home.networking:
        # A daemon without a bridge deletes docker0 where it finds one: another engine's.
        command = ("unshare", "--net", *command)
    processes.run(
        ("sh", "-c", _DETACH, "sh", str(home.log), str(home.pid_file), *command),
        timeout_seconds=30.0,
        env={**os.environ, "PATH": path},
    )


def _wait_ready(home: EngineHome, progress: Step) -> None:
    looks_dead = 0

    def answers() -> bool:
        nonlocal looks_dead
        looks_dead = looks_dead + 1 if home.pid_file.exists() and recorded_pid(home) is None else 0
        # One look may fall into the moment when the shell becomes dockerd and has no command line.
        if looks_dead > 1:
            raise EnvironmentNotReadyError(
                "ENGINE_DIED",
                f"the Docker engine ended while it was starting:\n{_tail(home.log)}",
                hint=f"The whole log: {home.log}",
            )
        found = find_engine(home)
        if isinstance(found, Silent):
            raise NotYet(_tail(home.log, lines=1) or found.detail)
        return True

    progress.progress("waiting until it answers")
    wait_until(
        f"Docker engine at {home.host}",
        answers,
        timeout_seconds=_READY_TIMEOUT_SECONDS,
        hint=f"Its log: {home.log}",
    )


def _forget_dead_containerd(home: EngineHome) -> None:
    """Remove containerd's pid file when it names no living containerd: dockerd would wait for it in vain.

    dockerd takes any process with that number for it, a zombie that nobody reaped as well; a zombie has no
    command line.
    """
    record = home.exec_root / "containerd" / "containerd.pid"
    try:
        pid = int(record.read_text(encoding="ascii"))
        program = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
    except (OSError, ValueError):
        program = b""
    if Path(program.decode(errors="replace")).name != "containerd":
        record.unlink(missing_ok=True)


def _write(path: Path, content: bytes, *, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
    Path(temporary).replace(path)


def _tail(log: Path, *, lines: int = _TAIL_LINES) -> str:
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _os_release(root: Path) -> dict[str, str]:
    try:
        lines = (root / "etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {key: value.strip("\"'") for key, _, value in pairs}


def _dockerd(root: Path) -> Path | None:
    folders = ("usr/sbin", "usr/bin", "usr/local/sbin", "usr/local/bin")
    found = shutil.which("dockerd", path=os.pathsep.join(str(root / folder) for folder in folders))
    return Path(found) if found else None


def _sudo(host: Host) -> str:
    return "" if host.root else "sudo "


def _unchoose(source: str) -> str:
    return "`unset DOCKER_HOST`" if source == "DOCKER_HOST" else "`docker context use default`"


def _how_to_install(host: Host) -> str:
    if host.distribution == "debian":
        packages = " ".join(packages_for(host))
        return (
            f"`sudo apt-get install --no-install-recommends {packages}`, `sudo usermod -aG docker $USER`, "
            "log in again, `sudo systemctl start docker`. Or run this command as root once."
        )
    return "Install it as https://docs.docker.com/engine/install/ says, then `systemctl start docker`."
