"""What `up` asks before it makes anything: whether the cluster's ports are free, and whether it fits.

The rows and the sizes are the doctor's own; here the first that blocks ends the command. Everything else that
blocks shows itself at the step that needs it.
"""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from rehearsal.cluster import record
from rehearsal.core.catalogue import Catalogue, NodePorts
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.paths import Paths
from rehearsal.stages.doctor.collecting import read_disks, written_folders
from rehearsal.stages.doctor.facts import DiskFacts
from rehearsal.stages.doctor.holders import EngineUse, find_ports, look_at_engine
from rehearsal.stages.doctor.judging_environment import judge_port
from rehearsal.stages.doctor.judging_machine import GIB, NEEDED_MEMORY_GIB, has_memory, judge_disk
from rehearsal.stages.doctor.rows import Row
from rehearsal.supply.engine_finding import Engine, find_engine
from rehearsal.supply.engine_home import EngineHome

_OF_THE_CLUSTER = frozenset({"registry", *NodePorts.model_fields})


def require_machine(catalogue: Catalogue, paths: Paths, profile: str) -> None:
    """Raise EnvironmentNotReadyError when a port of the cluster is taken, or a new one does not fit."""
    home = EngineHome.of(paths)
    engine = find_engine(home)
    use = look_at_engine(engine) if isinstance(engine, Engine) else EngineUse((), ())
    refuse_taken(catalogue, use, paths)
    # A cluster that is there is not refused: it may be what fills the disk, and `up` adds nothing to it.
    if record.load(paths.state) is None:
        refuse_small(profile, psutil.virtual_memory().total)
        refuse_full(catalogue, read_disks(written_folders(paths, engine, home)))


def refuse_taken(catalogue: Catalogue, use: EngineUse, paths: Paths) -> None:
    """Raise EnvironmentNotReadyError when a port of the cluster is held by anything but the cluster."""
    found = [one for one in find_ports(catalogue, use, paths) if one.name in _OF_THE_CLUSTER]
    _refuse("PORT_IN_USE", map(judge_port, found))


def refuse_full(catalogue: Catalogue, disks: Iterable[DiskFacts]) -> None:
    """Raise EnvironmentNotReadyError when a file system that a cluster fills is nearly full."""
    _refuse("DISK_NEARLY_FULL", [judge_disk(one, catalogue.limits.min_free_disk_gib) for one in disks])


def refuse_small(profile: str, memory_bytes: int) -> None:
    """Raise EnvironmentNotReadyError when the machine has less memory than the profile needs."""
    if has_memory(profile, memory_bytes):
        return
    needed_gib, has_gib = NEEDED_MEMORY_GIB[profile], memory_bytes / GIB
    fitting = [name for name in NEEDED_MEMORY_GIB if has_memory(name, memory_bytes)]
    least = min(NEEDED_MEMORY_GIB.values())
    raise EnvironmentNotReadyError(
        "PROFILE_TOO_LARGE",
        f"profile {profile} needs {needed_gib:.0f} GiB of memory, this machine has {has_gib:.1f} GiB",
        hint=f"A smaller one fits: rehearsal up --profile {fitting[-1]}"
        if fitting
        else f"Give the machine at least {least:.0f} GiB: no profile needs less.",
    )


def _refuse(code: str, rows: Iterable[Row]) -> None:
    if blocking := [row for row in rows if row.blocks]:
        said = "; ".join(f"{row.title}: {row.summary}" for row in blocking)
        raise EnvironmentNotReadyError(code, said, hint=blocking[0].cure)
