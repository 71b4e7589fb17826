"""Rows about hardware, kernel and limits; pure functions of the facts."""

from __future__ import annotations

from collections.abc import Iterator

from rehearsal.stages.doctor.facts import DiskFacts, MachineFacts, Option
from rehearsal.stages.doctor.rows import Row, Status
from rehearsal.supply.inotify import sysctl_command, too_low

GIB = 1 << 30
# Measured with the whole stack on one node: 3.2 GiB in all; the rest is for builds and the harness. The sizes
# of the larger profiles are estimates from their replica counts. One that is not among them is not judged.
NEEDED_MEMORY_GIB = {"light": 4.0, "standard": 8.0, "full": 12.0}
# Of a machine that is sold with so much, the kernel and the firmware keep up to a tenth for themselves.
_REPORTED_SHARE = 0.9
_MIN_CORES = 2  # on one core the load generator and the system under test take turns
_ENOUGH_FILES = 65_536  # what a broker or a proxy opens under load, with room
_MIN_FILES = 4_096  # below it the API server and containerd run out
_FIRST_MINOR_WITHOUT_CGROUP_V1 = 35  # kubelet 1.35 refuses cgroup v1
_CLOCK_TOLERANCE_SECONDS = 0.5  # a slewing time daemon moves the clock by far less while we look
_FUTURE_TOLERANCE_SECONDS = 60.0  # a checkout from a network file system may be that far ahead

# Configuration names; without one of the first group there is no container network.
REQUIRED_OPTIONS = {
    "OVERLAY_FS": "image layers",
    "BRIDGE": "the Docker network",
    "VETH": "container interfaces",
    "NF_CONNTRACK": "Services",
    "BRIDGE_NETFILTER": "Services between pods of one node",
}
OPTIONAL_OPTIONS = {
    "NET_SCH_NETEM": ("netem", "delay, loss and reordering of packets by `tc netem`"),
    "IP_VS": ("ipvs", "kube-proxy in IPVS mode"),
    "DUMMY": ("dummy", "dummy interfaces, as node-local DNS uses them"),
    "NFT_QUEUE": ("nft-queue", "kindnet's NetworkPolicy engine"),
}


def cores(facts: MachineFacts) -> Row:
    """Judge the number of cores."""
    measured = {"cores": facts.cores}
    if facts.cores >= _MIN_CORES:
        return Row("cores", "CPU cores", Status.OK, f"{facts.cores}", measured=measured)
    return Row(
        "cores",
        "CPU cores",
        Status.LIMIT,
        f"{facts.cores}, at least {_MIN_CORES} are needed for load",
        explanation="Load generator and system under test share one core: latencies say nothing.",
        measured=measured,
        excludes=("load",),
    )


def has_memory(profile: str, total_bytes: int) -> bool:
    """Return whether a machine with so much memory, as its kernel reports it, is enough for a profile."""
    return total_bytes / GIB >= _REPORTED_SHARE * NEEDED_MEMORY_GIB.get(profile, 0.0)


def memory(facts: MachineFacts) -> Row:
    """Judge memory against what each profile needs."""
    total = facts.memory_total_bytes / GIB
    too_big = tuple(name for name in NEEDED_MEMORY_GIB if not has_memory(name, facts.memory_total_bytes))
    summary = f"{total:.1f} GiB, {facts.memory_available_bytes / GIB:.1f} GiB free"
    measured = {
        "total_bytes": facts.memory_total_bytes,
        "available_bytes": facts.memory_available_bytes,
    }
    if "light" in too_big:
        needed = NEEDED_MEMORY_GIB["light"]
        return Row(
            "memory",
            "Memory",
            Status.BLOCKER,
            summary,
            explanation=f"Profile light needs {needed:.0f} GiB.",
            cure=f"Give the machine at least {needed:.0f} GiB",
            measured=measured,
        )
    if too_big:
        return Row(
            "memory",
            "Memory",
            Status.LIMIT,
            f"{summary}; too little for profile {' and '.join(too_big)}",
            explanation="`up` refuses those: the host would kill pods for memory, not their own limits.",
            measured=measured,
            excludes=tuple(f"profile.{name}" for name in too_big),
        )
    return Row("memory", "Memory", Status.OK, summary, measured=measured)


def swap(facts: MachineFacts) -> Row:
    """Judge swap: it hides what a memory limit does."""
    measured = {"total_bytes": facts.swap_total_bytes}
    if not facts.swap_total_bytes:
        return Row("swap", "Swap", Status.OK, "none", measured=measured)
    return Row(
        "swap",
        "Swap",
        Status.LIMIT,
        f"{facts.swap_total_bytes / GIB:.1f} GiB",
        explanation="A container at its memory limit may swap instead of being killed: `sudo swapoff -a`.",
        measured=measured,
        excludes=("oom-kill",),
    )


def disks(facts: MachineFacts) -> Iterator[Row]:
    """Judge each file system that images, caches or the system lie on."""
    for disk in facts.disks:
        yield judge_disk(disk, facts.catalogue.limits.min_free_disk_gib)


def judge_disk(disk: DiskFacts, needed_gib: float) -> Row:
    """Judge whether a file system has room for a cluster."""
    free = disk.free_bytes / GIB
    enough = free >= needed_gib
    roles = ", ".join(disk.roles)
    return Row(
        f"disk.{disk.roles[0]}",
        f"Disk ({roles})",
        Status.OK if enough else Status.BLOCKER,
        f"{free:.1f} GiB free of {disk.total_bytes / GIB:.0f}, {needed_gib:g} needed",
        explanation="" if enough else "The kubelet evicts pods and removes images on a full disk.",
        cure="" if enough else f"Free space at {disk.path}: `rehearsal supply prune`, `docker system df`",
        measured={
            "path": str(disk.path),
            "free_bytes": disk.free_bytes,
            "total_bytes": disk.total_bytes,
        },
    )


def cgroup(facts: MachineFacts) -> Row:
    """Judge the cgroup version against the pinned Kubernetes."""
    version, kubernetes = facts.cgroup_version, facts.catalogue.versions.kubernetes
    measured = {"version": version, "kubernetes": kubernetes}
    if version == 2:
        return Row("cgroup", "Control groups", Status.OK, "v2", measured=measured)
    if version is None:
        return Row(
            "cgroup",
            "Control groups",
            Status.BLOCKER,
            "not mounted",
            explanation="No container can be given a share of CPU and memory.",
            cure="sudo mount -t cgroup2 none /sys/fs/cgroup",
            measured=measured,
        )
    works = int(kubernetes.split(".")[1]) < _FIRST_MINOR_WITHOUT_CGROUP_V1
    return Row(
        "cgroup",
        "Control groups",
        Status.LIMIT if works else Status.BLOCKER,
        f"v1; Kubernetes {kubernetes} {'runs' if works else 'refuses to run'} on it",
        explanation="Kubernetes 1.35 and later, memory QoS and pressure stall figures need version 2.",
        cure="" if works else "Boot with systemd.unified_cgroup_hierarchy=1, or pin Kubernetes 1.34",
        measured=measured,
        excludes=("cgroup-v2",),
    )


def open_files(facts: MachineFacts) -> Row:
    """Judge the hard limit of open files, which containers inherit."""
    hard = facts.nofile_hard
    measured = {"hard": hard}
    if hard >= _ENOUGH_FILES:
        return Row("open-files", "Open files", Status.OK, f"hard limit {hard}", measured=measured)
    if hard >= _MIN_FILES:
        return Row(
            "open-files",
            "Open files",
            Status.LIMIT,
            f"hard limit {hard}, below {_ENOUGH_FILES}",
            explanation=f"No process, in a container or not, holds more than {hard} connections.",
            measured=measured,
            excludes=("many-connections",),
        )
    return Row(
        "open-files",
        "Open files",
        Status.BLOCKER,
        f"hard limit {hard}, below {_MIN_FILES}",
        explanation="The API server and containerd run out of file descriptors.",
        cure=f"ulimit -H -n {_ENOUGH_FILES} (as root, before the engine starts)",
        measured=measured,
    )


def inotify(facts: MachineFacts) -> Row:
    """Judge the inotify limits, which `up` raises as root."""
    raises = too_low(facts.inotify, facts.catalogue.limits)
    found = ", ".join(f"{name} {value}" for name, value in facts.inotify.items())
    if not raises:
        return Row("inotify", "inotify limits", Status.OK, found, measured=dict(facts.inotify))
    target = ", ".join(f"{name} to {value}" for name, value in raises.items())
    return Row(
        "inotify",
        "inotify limits",
        Status.WILL_FIX if facts.host.root else Status.BLOCKER,
        f"{found}; {'raises' if facts.host.root else 'to be raised:'} {target}",
        explanation="Kubelets, containerd and Tilt share them; when they run out, file watches fail.",
        cure="" if facts.host.root else sysctl_command(raises),
        measured=dict(facts.inotify),
    )


def kernel(facts: MachineFacts) -> Iterator[Row]:
    """Judge the kernel: one row for what everything needs, one for each thing that only some tests need."""
    found = facts.kernel.options
    lost = [name for name in REQUIRED_OPTIONS if found.get(name) is Option.ABSENT]
    unknown = [name for name in REQUIRED_OPTIONS if found.get(name, Option.UNKNOWN) is Option.UNKNOWN]
    if lost:
        status, summary = Status.BLOCKER, f"{facts.kernel.release} lacks {', '.join(lost)}"
    elif unknown:
        status, summary = Status.LIMIT, f"{facts.kernel.release}: configuration cannot be read"
    else:
        status, summary = Status.OK, f"{facts.kernel.release} has all that is required"
    yield Row(
        "kernel",
        "Kernel",
        status,
        summary,
        explanation="; ".join(f"{name}: {REQUIRED_OPTIONS[name]}" for name in lost or unknown),
        cure="Boot a kernel with " + ", ".join(f"CONFIG_{name}" for name in lost) if lost else "",
        measured={"release": facts.kernel.release, "source": facts.kernel.source, "missing": lost},
    )
    for name, (need, what) in OPTIONAL_OPTIONS.items():
        yield _optional(name, need, what, found.get(name, Option.UNKNOWN))


def _optional(name: str, need: str, what: str, option: Option) -> Row:
    present = option is Option.PRESENT
    return Row(
        f"kernel.{need}",
        f"Kernel: {need}",
        Status.OK if present else Status.LIMIT,
        option.value,
        explanation="" if present else f"CONFIG_{name} is {option}. Not possible here: {what}.",
        measured={"option": f"CONFIG_{name}", "state": option.value},
        excludes=() if present else (f"kernel.{need}",),
    )


def load(facts: MachineFacts) -> Row:
    """Judge the host's load: a node that boots too slowly is given up by kind."""
    per_core = facts.load_1min / facts.cores
    limit = facts.catalogue.limits.max_host_load_per_core
    measured = {"load_1min": facts.load_1min, "per_core": round(per_core, 2), "limit_per_core": limit}
    summary = f"{facts.load_1min:.1f}, {per_core:.1f} per core"
    if per_core <= limit:
        return Row("load", "Host load", Status.OK, summary, measured=measured)
    return Row(
        "load",
        "Host load",
        Status.BLOCKER,
        f"{summary}, above {limit:g}",
        explanation="kind gives a node 30 s to boot, and latencies measured on a busy host are the host's.",
        cure="End what keeps the machine busy (`top`), or wait, then again",
        measured=measured,
    )


def clock(facts: MachineFacts) -> Row:
    """Judge the wall clock: tokens, certificates and leases live by it."""
    seen = facts.clock
    measured = {
        "synchronised": seen.synchronised,
        "jump_seconds": round(seen.jump_seconds, 3),
        "behind_seconds": round(seen.behind_seconds, 3),
    }
    trouble = []
    if abs(seen.jump_seconds) > _CLOCK_TOLERANCE_SECONDS:
        trouble.append(f"it jumped by {seen.jump_seconds:.1f} s while it was watched")
    if seen.behind_seconds > _FUTURE_TOLERANCE_SECONDS:
        trouble.append(f"files of the checkout are {seen.behind_seconds:.0f} s in the future")
    if trouble:
        return Row(
            "clock",
            "Clock",
            Status.LIMIT,
            "; ".join(trouble),
            explanation="Tokens and certificates may be refused, and times of events cannot be compared.",
            measured=measured,
            excludes=("clock",),
        )
    synchronised = {True: "synchronised", False: "runs free, nobody synchronises it", None: "steady"}
    return Row("clock", "Clock", Status.OK, synchronised[seen.synchronised], measured=measured)
