"""Measures the images in `images/`: size, start to ready, CPU to ready, resident memory when idle.

Prints the table of images/README.md. Each image runs with a read-only root, no capabilities and only its
named directories writable. The load of the host is printed beside the times: they mean nothing without it.

    python bench/images.py [NAME...]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

_DOCKER = shutil.which("docker") or "docker"
_IMAGES = Path(__file__).resolve().parent.parent / "images"
_READY_TIMEOUT_SECONDS = 300.0
_POLL_SECONDS = 0.05
_IDLE_SECONDS = 10.0  # after this a JVM has stopped loading classes
_NETWORK = "bench-images"
_DATABASE = f"{_NETWORK}-database"
_PASSWORD = "bench"  # noqa: S105 - of a container that lives for this run, without a published port

# They start with a configuration of the stack's only, which is mounted there.
_CONFIGURED = frozenset({"alertmanager", "collector", "exporters", "nginx", "prometheus-server"})
# What an image cannot start without.
_ENVIRONMENT = {
    "postgres": {"POSTGRES_PASSWORD": _PASSWORD},
    "keycloak": {
        "KC_DB_URL": f"jdbc:postgresql://{_DATABASE}/postgres",
        "KC_DB_USERNAME": "postgres",
        "KC_DB_PASSWORD": _PASSWORD,
        "KC_HOSTNAME": "http://localhost:8080",
    },
}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One image, measured in one start; `again` is a start of the same container on its data."""

    name: str
    total_mb: float
    unique_mb: float
    first_seconds: float
    again_seconds: float
    cpu_seconds: float
    rss_mib: float  # as the recipes give it: pages that its processes share count for each
    pss_mib: float
    load: float

    def row(self) -> str:
        """Format a line of the table."""
        return (
            f"| {self.name} | {self.total_mb:.0f} / {self.unique_mb:.0f} | {self.first_seconds:.1f} "
            f"| {self.again_seconds:.1f} | {self.cpu_seconds:.1f} "
            f"| {self.rss_mib:.0f} / {self.pss_mib:.0f} | {self.load:.1f} |"
        )


def docker(*arguments: str) -> str:
    """Run one docker command and return what it prints."""
    done = subprocess.run([_DOCKER, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def measure(folder: Path) -> Measurement:
    """Start the image twice, and read what it used."""
    declared = tomllib.loads((folder / "image.toml").read_text(encoding="utf-8"))
    image = f"rehearsal/{declared['name']}:{declared['version']}"
    load = os.getloadavg()[0]
    name = f"{_NETWORK}-{declared['name']}"
    docker("create", "--name", name, "--network", _NETWORK, *options(declared), image)
    try:
        first_seconds, _ = start(name)
        docker("stop", name)
        again_seconds, cpu_seconds = start(name)
        time.sleep(_IDLE_SECONDS)
        rss_mib, pss_mib = resident_mib(name)
    finally:
        docker("rm", "--force", "--volumes", name)
    total, unique = sizes_mb(image, declared)
    return Measurement(
        declared["name"], total, unique, first_seconds, again_seconds, cpu_seconds, rss_mib, pss_mib, load
    )


def options(declared: dict[str, object]) -> list[str]:
    """Return the options of a hardened container: what image.toml names is writable, nothing else."""
    result = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    for path in list(declared.get("writable", [])):  # type: ignore[call-overload]  # a list by its schema
        if path == "/tmp":  # noqa: S108 - inside the container
            result.append("--tmpfs=/tmp:uid=65532,gid=65532,mode=0700,exec")
        else:
            result.append(f"--volume={path}")
    for key, value in _ENVIRONMENT.get(str(declared["name"]), {}).items():
        result += ["--env", f"{key}={value}"]
    return result


def start(name: str) -> tuple[float, float]:
    """Start a container and wait for its own health probe; returns seconds and CPU seconds until then."""
    started = time.monotonic()
    docker("start", name)
    wait_healthy(name)
    seconds = time.monotonic() - started
    return seconds, cpu_seconds(name)


def wait_healthy(name: str) -> None:
    """Run the image's own health probe until it succeeds."""
    probe = json.loads(docker("inspect", "--format", "{{json .Config.Healthcheck.Test}}", name))
    command = probe[1:] if probe[0] == "CMD" else ["sh", "-c", probe[1]]
    deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
    while subprocess.run([_DOCKER, "exec", name, *command], capture_output=True, check=False).returncode:
        has_ended = docker("inspect", "--format", "{{.State.Running}}", name) == "false"
        if has_ended or time.monotonic() > deadline:
            raise SystemExit(f"{name} is not ready:\n{logs(name)}")
        time.sleep(_POLL_SECONDS)


def logs(name: str) -> str:
    """Return the last lines that a container wrote."""
    done = subprocess.run(
        [_DOCKER, "logs", "--tail", "20", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.stdout.decode("utf-8", "replace")


def processes(name: str) -> list[int]:
    """Return the host's ids of a container's processes."""
    return [int(pid) for pid in docker("top", name, "-eo", "pid").splitlines()[1:]]


def cpu_seconds(name: str) -> float:
    """Add up user and system time of all processes (proc(5), fields 14 and 15)."""
    ticks = 0
    for pid in processes(name):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mib(name: str) -> tuple[float, float]:
    """Add up the resident and the proportional set size, which counts PostgreSQL's shared pages once."""
    kibibytes = {"Rss:": 0, "Pss:": 0}
    for pid in processes(name):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
            word, *values = line.split()
            if word in kibibytes:
                kibibytes[word] += int(values[0])
    return kibibytes["Rss:"] / 1024, kibibytes["Pss:"] / 1024


def sizes_mb(image: str, declared: dict[str, object]) -> tuple[float, float]:
    """Return the whole size, and what the image adds to the one that it runs on."""
    bases = dict(declared.get("bases", {}))  # type: ignore[call-overload]  # a table by its schema
    below = bases.get("JRE_IMAGE") or bases.get("BASE_IMAGE")
    base = {"jre": "rehearsal/jre:17", "debian": "rehearsal/debian:bookworm"}[below]
    whole, shared = (int(docker("image", "inspect", "--format", "{{.Size}}", tag)) for tag in (image, base))
    return whole / 1e6, (whole - shared) / 1e6


def main(names: list[str]) -> None:
    """Measure the named images, or all that run."""
    folders = [path.parent for path in sorted(_IMAGES.glob("*/image.toml"))]
    wanted = [folder for folder in folders if folder.name in names or (not names and _runs(folder))]
    clear()  # what a killed one has left
    docker("network", "create", _NETWORK)
    try:
        settings = ["--name", _DATABASE, "--network", _NETWORK, "--env", f"POSTGRES_PASSWORD={_PASSWORD}"]
        docker("run", "--detach", *settings, "rehearsal/postgres:15")
        wait_healthy(_DATABASE)
        print("| image | MB whole / own | first start s | again s | CPU s | RSS / PSS idle MiB | host load |")
        print("|---|---|---|---|---|---|---|")
        for folder in wanted:
            print(measure(folder).row(), flush=True)
    finally:
        clear()


def clear() -> None:
    """Remove this program's containers and network, whichever are there."""
    found = docker("ps", "--all", "--quiet", "--filter", f"name=^{_NETWORK}-").split()
    if found:
        docker("rm", "--force", "--volumes", *found)
    if docker("network", "ls", "--quiet", "--filter", f"name=^{_NETWORK}$"):
        docker("network", "rm", _NETWORK)


def _runs(folder: Path) -> bool:
    declared = tomllib.loads((folder / "image.toml").read_text(encoding="utf-8"))
    return "probe" in declared and folder.name not in _CONFIGURED


if __name__ == "__main__":
    main(sys.argv[1:])
