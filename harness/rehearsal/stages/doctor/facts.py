"""What the doctor knows about the machine: a frozen snapshot, from which every row is judged.

No judgement here and no reading; so every situation can be written down in a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network
from pathlib import Path

from rehearsal.cluster.plan import Ranges
from rehearsal.core.catalogue import Catalogue
from rehearsal.supply.engine_finding import Engine, Silent
from rehearsal.supply.engine_start import Host
from rehearsal.supply.status import SupplyStatus


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """One file system and the folders on it that matter."""

    roles: tuple[str, ...]
    path: Path
    free_bytes: int
    total_bytes: int


class Option(StrEnum):
    """Whether the kernel has something."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"  # no configuration of this kernel can be read


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """The kernel and what was asked of it."""

    release: str
    source: str  # the file that its configuration was read from; empty: none was found
    options: Mapping[str, Option]  # by configuration name


@dataclass(frozen=True, slots=True)
class PortHolder:
    """Who listens on a port."""

    what: str  # "container x" or "program x"
    pid: int | None
    container: str | None
    ours: bool


@dataclass(frozen=True, slots=True)
class PortFacts:
    """A port of the catalogue."""

    name: str
    port: int
    holder: PortHolder | None


@dataclass(frozen=True, slots=True)
class RangeUse:
    """An address range in use on this host."""

    subnet: IPv4Network
    by: str


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """The wall clock, as far as it can be judged without asking anybody."""

    synchronised: bool | None  # what the kernel was told by a time daemon; None: it cannot be asked
    jump_seconds: float  # wall clock against monotonic clock while the facts were collected
    behind_seconds: float  # how far a file of the checkout lies in the future


class FileState(StrEnum):
    """A file that other programs own."""

    ABSENT = "absent"
    READABLE = "readable"
    DENIED = "denied"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """Everything that the rows are judged from."""

    catalogue: Catalogue
    host: Host
    engine: Engine | Silent
    cores: int
    memory_total_bytes: int
    memory_available_bytes: int
    swap_total_bytes: int
    disks: tuple[DiskFacts, ...]
    cgroup_version: int | None  # None: none is mounted
    missing_capabilities: tuple[str, ...]  # of the engine if it answers, else of this process
    nofile_hard: int
    inotify: Mapping[str, int]
    kernel: KernelFacts
    ports: tuple[PortFacts, ...]
    ranges_in_use: tuple[RangeUse, ...]
    ranges_of_cluster: Ranges | None  # of the cluster that was made
    proxies: Mapping[str, str]
    load_1min: float
    clock: ClockFacts
    localhost_names: bool | None  # None: no answer in time
    kubeconfig: Path
    kubeconfig_state: FileState
    browser: str | None
    supplies: tuple[SupplyStatus, ...] = field(default=())
