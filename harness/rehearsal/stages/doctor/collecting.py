"""Reading the machine: thin adapters that fill `MachineFacts`, and judge nothing.

What lies below /proc, /sys, /lib/modules and /boot is read below a root that can be given, so that tests can
write it down. The kernel is asked only for what it says without being changed: no module is loaded, no
interface made.
"""

from __future__ import annotations

import gzip
import os
import platform
import resource
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import psutil
import yaml

from rehearsal.cluster import record
from rehearsal.cluster.host import host_ranges
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths
from rehearsal.stages.doctor.clock import read_clock
from rehearsal.stages.doctor.facts import DiskFacts, FileState, KernelFacts, MachineFacts, Option, RangeUse
from rehearsal.stages.doctor.holders import EngineUse, find_ports, look_at_engine
from rehearsal.stages.doctor.judging_machine import OPTIONAL_OPTIONS, REQUIRED_OPTIONS
from rehearsal.supply import capabilities
from rehearsal.supply.engine_finding import Engine, Silent, find_engine
from rehearsal.supply.engine_home import EngineHome
from rehearsal.supply.engine_start import read_host
from rehearsal.supply.inotify import read_limits
from rehearsal.supply.status import SupplyStatus

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_LOOKUP_TIMEOUT_SECONDS = 0.5  # a name server that does not answer keeps a look-up for 10 s
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
# The module that brings an option, where its name is not the option's in lower case.
_MODULES = {
    "OVERLAY_FS": "overlay",
    "NET_SCH_NETEM": "sch_netem",
    "BRIDGE_NETFILTER": "br_netfilter",
    "NFT_QUEUE": "nft_queue",
}


class StatusSource(Protocol):
    """Says what each supply is, without making any."""

    def statuses(self) -> Sequence[SupplyStatus]:
        """Return all supplies."""


def collect(
    paths: Paths, catalogue: Catalogue, *, supplies: Callable[[], StatusSource], home: EngineHome
) -> MachineFacts:
    """Return the snapshot of this machine."""
    wall, steady = time.time(), time.monotonic()
    engine = find_engine(home)
    use = look_at_engine(engine) if isinstance(engine, Engine) else EngineUse((), ())
    memory = psutil.virtual_memory()
    made = record.load(paths.state)
    kubeconfig = user_kubeconfig(os.environ)
    return MachineFacts(
        catalogue=catalogue,
        host=read_host(),
        engine=engine,
        cores=len(os.sched_getaffinity(0)),
        memory_total_bytes=memory.total,
        memory_available_bytes=memory.available,
        swap_total_bytes=psutil.swap_memory().total,
        disks=read_disks(written_folders(paths, engine, home)),
        cgroup_version=cgroup_version(Path("/sys/fs/cgroup")),
        missing_capabilities=_missing_capabilities(engine),
        nofile_hard=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        inotify=read_limits(),
        kernel=read_kernel(Path("/"), platform.release()),
        ports=find_ports(catalogue, use, paths),
        ranges_in_use=ranges_in_use(catalogue, use),
        ranges_of_cluster=made.spec.ranges if made else None,
        proxies=read_proxies(os.environ),
        load_1min=os.getloadavg()[0],
        localhost_names=resolves("rehearsal.localhost"),
        kubeconfig=kubeconfig,
        kubeconfig_state=file_state(kubeconfig),
        browser=next(filter(None, map(shutil.which, _BROWSERS)), None),
        supplies=tuple(supplies().statuses()),
        clock=read_clock(wall, steady, newest=paths.root / "rehearsal.toml"),
    )


def read_disks(folders: Mapping[str, Path]) -> tuple[DiskFacts, ...]:
    """Return the file systems that folders lie on; folders that do not exist yet count as their parents."""
    found: dict[int, tuple[list[str], Path]] = {}
    for role, folder in folders.items():
        there = next(path for path in (folder, *folder.parents) if path.exists())
        found.setdefault(there.stat().st_dev, ([], there))[0].append(role)
    disks = []
    for roles, path in found.values():
        usage = shutil.disk_usage(path)
        disks.append(DiskFacts(tuple(roles), path, usage.free, usage.total))
    return tuple(disks)


def cgroup_version(folder: Path) -> int | None:
    """Return the version of the hierarchy that controllers are in, or None when none is mounted."""
    if (folder / "cgroup.controllers").is_file():
        return 2
    return 1 if (folder / "memory").is_dir() else None


def read_kernel(root: Path, release: str) -> KernelFacts:
    """Return what the kernel has of the options that rows ask for."""
    source, text = _kernel_configuration(root, release)
    values = dict(
        line.removeprefix("CONFIG_").split("=", 1) for line in text.splitlines() if line.startswith("CONFIG_")
    )
    options: dict[str, Option] = {}
    for name in (*REQUIRED_OPTIONS, *OPTIONAL_OPTIONS):
        module = _MODULES.get(name, name.lower())
        if values.get(name) == "y" or (root / "sys/module" / module).is_dir():
            options[name] = Option.PRESENT
        elif not source:
            options[name] = Option.UNKNOWN
        elif values.get(name) == "m" and _loadable(root, release, module):
            options[name] = Option.PRESENT
        else:
            options[name] = Option.ABSENT
    return KernelFacts(release, source, options)


def ranges_in_use(catalogue: Catalogue, use: EngineUse) -> tuple[RangeUse, ...]:
    """Return what the host and the engine's networks use, our own network left out."""
    own = f"{catalogue.cluster.name}-rehearsal"
    networks = [(name, subnet) for name, subnet in use.networks if name != own]
    ours = {subnet for name, subnet in use.networks if name == own}
    of_engine = {subnet for _, subnet in networks}
    routes = [one for one in host_ranges() if one not in ours and one not in of_engine]
    return (
        *(RangeUse(subnet, f"Docker network {name}") for name, subnet in networks),
        *(RangeUse(subnet, "a route of this host") for subnet in routes),
    )


def read_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables that are set, in either case."""
    names = (*_PROXY_VARIABLES, *map(str.upper, _PROXY_VARIABLES))
    return {name: environ[name] for name in names if environ.get(name)}


def resolves(name: str, *, timeout_seconds: float = _LOOKUP_TIMEOUT_SECONDS) -> bool | None:
    """Return whether Python resolves a name; None when there is no answer in time."""
    answers: list[bool] = []

    def look_up() -> None:
        try:
            answers.append(bool(socket.getaddrinfo(name, None)))
        except OSError:
            # The answer that was asked for: it does not.
            answers.append(False)

    # A thread, because getaddrinfo has no time limit; it ends by itself and holds nothing.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    return answers[0] if answers else None


def user_kubeconfig(environ: Mapping[str, str]) -> Path:
    """Return the file that kubectl would write to."""
    first = environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(first) if first else Path.home() / ".kube" / "config"


def file_state(path: Path) -> FileState:
    """Return whether a kubeconfig can be read, written and understood."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return FileState.ABSENT
    except OSError:
        return FileState.DENIED
    except (yaml.YAMLError, UnicodeDecodeError):
        return FileState.DAMAGED
    if content is not None and not (isinstance(content, dict) and content.get("kind", "Config") == "Config"):
        return FileState.DAMAGED
    return FileState.READABLE if os.access(path, os.W_OK) else FileState.DENIED


def written_folders(paths: Paths, engine: Engine | Silent, home: EngineHome) -> dict[str, Path]:
    """Return the folders that a cluster and its images fill, by the role of each."""
    folders = {"system": Path("/"), "cache": paths.cache}
    if isinstance(engine, Silent):
        return folders | {"engine": home.data_root}
    # The data of an engine behind TCP or SSH lies on another machine.
    return folders | {"engine": engine.data_root} if engine.endpoint.socket else folders


def _missing_capabilities(engine: Engine | Silent) -> tuple[str, ...]:
    return engine.missing_capabilities if isinstance(engine, Engine) else capabilities.missing_for_process()


def _kernel_configuration(root: Path, release: str) -> tuple[str, str]:
    packed, plain = root / "proc/config.gz", root / f"boot/config-{release}"
    if packed.is_file():
        return str(packed), gzip.decompress(packed.read_bytes()).decode("ascii", "replace")
    if plain.is_file():
        return str(plain), plain.read_text(encoding="ascii", errors="replace")
    return "", ""


def _loadable(root: Path, release: str, module: str) -> bool:
    try:
        disabled = (root / "proc/sys/kernel/modules_disabled").read_text(encoding="ascii").strip() == "1"
        known = (root / f"lib/modules/{release}/modules.dep").read_text(encoding="utf-8")
    except OSError:
        # Kernel without modules, or a container that has none of the host's.
        return False
    return not disabled and any(
        line.partition(":")[0].rpartition("/")[2].partition(".")[0].replace("-", "_") == module
        for line in known.splitlines()
    )
