"""Reading the machine: real ports, file systems and files; written-down trees where the kernel is asked."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.paths import Paths
from rehearsal.stages.doctor import collecting
from rehearsal.stages.doctor.clock import read_clock
from rehearsal.stages.doctor.facts import DiskFacts, FileState, Option, PortFacts
from rehearsal.stages.doctor.holders import EngineUse, Published, find_ports
from rehearsal.stages.doctor.requiring import refuse_full, refuse_taken
from rehearsal.supply import capabilities

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system: root")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(root=tmp_path, cache=tmp_path / "cache", state=tmp_path / "state")


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def _echo_port(catalogue: Catalogue, port: int, use: EngineUse, paths: Paths) -> PortFacts:
    changed = catalogue.model_copy(update={"ports": catalogue.ports.model_copy(update={"echo": port})})
    return next(one for one in find_ports(changed, use, paths) if one.name == "echo")


@pytest.mark.enable_socket
def test_program_that_listens_on_a_port_is_named(
    rehearsal_catalogue: Catalogue, paths: Paths, listener: int
) -> None:
    holder = _echo_port(rehearsal_catalogue, listener, EngineUse((), ()), paths).holder
    assert holder is not None
    assert (holder.pid, holder.ours) == (os.getpid(), False)


@pytest.mark.enable_socket
def test_port_is_free_when_the_program_has_closed_it(rehearsal_catalogue: Catalogue, paths: Paths) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    assert _echo_port(rehearsal_catalogue, port, EngineUse((), ()), paths).holder is None


@pytest.mark.parametrize(
    ("container", "labels", "ours"),
    [
        ("web", {}, False),
        ("mambogo-registry", {}, True),
        ("mambogo-control-plane", {"io.x-k8s.kind.cluster": "mambogo"}, True),
        ("other-control-plane", {"io.x-k8s.kind.cluster": "other"}, False),
    ],
)
def test_container_that_publishes_a_port_is_named(
    rehearsal_catalogue: Catalogue, paths: Paths, container: str, labels: dict[str, str], ours: bool
) -> None:
    use = EngineUse((), (Published(8090, container, labels),))
    holder = _echo_port(rehearsal_catalogue, 8090, use, paths).holder
    assert holder is not None
    assert (holder.container, holder.ours) == (container, ours)


def _with_port(catalogue: Catalogue, name: str, port: int) -> Catalogue:
    return catalogue.model_copy(update={"ports": catalogue.ports.model_copy(update={name: port})})


def _on_free_ports(catalogue: Catalogue) -> Catalogue:
    """Ports of this moment: a cluster of the machine's own may hold those of the catalogue."""
    with ExitStack() as stack:
        probes = {name: stack.enter_context(socket.socket()) for name in catalogue.ports.model_dump()}
        for probe in probes.values():
            probe.bind(("127.0.0.1", 0))
        free = {name: probe.getsockname()[1] for name, probe in probes.items()}
    return catalogue.model_copy(update={"ports": catalogue.ports.model_copy(update=free)})


@pytest.mark.enable_socket
@pytest.mark.parametrize("name", ["echo", "registry"])
def test_up_refuses_a_port_that_a_program_holds_and_says_which(
    rehearsal_catalogue: Catalogue, paths: Paths, listener: int, name: str
) -> None:
    with pytest.raises(EnvironmentNotReadyError) as caught:
        refuse_taken(
            _with_port(_on_free_ports(rehearsal_catalogue), name, listener), EngineUse((), ()), paths
        )
    assert f"Port {listener} ({name}): in use by program" in caught.value.message
    assert f"(pid {os.getpid()})" in caught.value.message
    assert f"change ports.{name} in rehearsal.toml" in caught.value.hint


@pytest.mark.enable_socket
def test_up_refuses_a_port_that_a_container_publishes_and_says_which(
    rehearsal_catalogue: Catalogue, paths: Paths
) -> None:
    free = _on_free_ports(rehearsal_catalogue)
    with pytest.raises(EnvironmentNotReadyError, match="in use by container web") as caught:
        refuse_taken(free, EngineUse((), (Published(free.ports.echo, "web", {}),)), paths)
    assert "`docker stop web`" in caught.value.hint


@pytest.mark.enable_socket
def test_port_of_tilt_is_not_the_cluster_s(
    rehearsal_catalogue: Catalogue, paths: Paths, listener: int
) -> None:
    free = _with_port(rehearsal_catalogue, "tilt", listener)
    ours = {"io.x-k8s.kind.cluster": "mambogo"}
    published = [
        Published(port, "mambogo-control-plane", ours)
        for name, port in free.ports.model_dump().items()
        if name != "tilt"
    ]
    refuse_taken(free, EngineUse((), tuple(published)), paths)


@needs_root
def test_full_file_system_below_a_folder_is_seen(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)  # noqa: S607
    try:
        (small / "filler").write_bytes(bytes(900_000))
        _, cache = collecting.read_disks({"system": tmp_path, "cache": small / "not" / "yet"})
    finally:
        subprocess.run(["umount", small], check=True)  # noqa: S607
    assert (cache.roles, cache.path, cache.free_bytes < 200_000) == (("cache",), small, True)


def test_up_refuses_a_disk_that_is_nearly_full_and_says_which(rehearsal_catalogue: Catalogue) -> None:
    needed = int(rehearsal_catalogue.limits.min_free_disk_gib * (1 << 30))
    roomy = DiskFacts(("cache",), Path("/cache"), needed, 2 * needed)
    full = DiskFacts(("engine",), Path("/engine"), needed - 1, 2 * needed)

    refuse_full(rehearsal_catalogue, [roomy])
    with pytest.raises(EnvironmentNotReadyError, match=r"Disk \(engine\): .* GiB free of") as caught:
        refuse_full(rehearsal_catalogue, [roomy, full])
    assert (caught.value.code, "Free space at /engine" in caught.value.hint) == ("DISK_NEARLY_FULL", True)


def test_folders_on_one_file_system_are_one_disk(tmp_path: Path) -> None:
    (disk,) = collecting.read_disks({"cache": tmp_path, "engine": tmp_path / "new"})
    assert disk.roles == ("cache", "engine")


def _kernel_tree(root: Path, text: str) -> Path:
    (root / "proc").mkdir()
    (root / "proc/config.gz").write_bytes(gzip.compress(text.encode()))
    return root


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ("CONFIG_NET_SCH_NETEM=y", Option.PRESENT),
        ("# CONFIG_NET_SCH_NETEM is not set", Option.ABSENT),
        ("CONFIG_NET_SCH_NETEM=m", Option.ABSENT),  # no module folder: it cannot be loaded
        ("CONFIG_NET_SCH_NETEM_OTHER=y", Option.ABSENT),
    ],
)
def test_kernel_option_is_read_from_the_configuration(tmp_path: Path, line: str, state: Option) -> None:
    kernel = collecting.read_kernel(_kernel_tree(tmp_path, line), "6.1.0")
    assert kernel.options["NET_SCH_NETEM"] is state


@pytest.mark.parametrize(("disabled", "state"), [("0", Option.PRESENT), ("1", Option.ABSENT)])
def test_module_counts_only_where_it_can_be_loaded(tmp_path: Path, disabled: str, state: Option) -> None:
    root = _kernel_tree(tmp_path, "CONFIG_NET_SCH_NETEM=m")
    (root / "proc/sys/kernel").mkdir(parents=True)
    (root / "proc/sys/kernel/modules_disabled").write_text(disabled)
    (root / "lib/modules/6.1.0").mkdir(parents=True)
    (root / "lib/modules/6.1.0/modules.dep").write_text("kernel/net/sched/sch_netem.ko.xz: kernel/lib/x.ko\n")
    assert collecting.read_kernel(root, "6.1.0").options["NET_SCH_NETEM"] is state


def test_loaded_module_counts_without_any_configuration(tmp_path: Path) -> None:
    (tmp_path / "sys/module/br_netfilter").mkdir(parents=True)
    options = collecting.read_kernel(tmp_path, "6.1.0").options
    assert (options["BRIDGE_NETFILTER"], options["VETH"]) == (Option.PRESENT, Option.UNKNOWN)


def test_kernel_configuration_is_also_found_below_boot(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/config-6.1.0").write_text("CONFIG_VETH=y\n")
    assert collecting.read_kernel(tmp_path, "6.1.0").options["VETH"] is Option.PRESENT


@pytest.mark.parametrize(("made", "version"), [(("cgroup.controllers",), 2), (("memory/",), 1), ((), None)])
def test_cgroup_version_is_that_of_the_controllers(
    tmp_path: Path, made: tuple[str, ...], version: int | None
) -> None:
    for name in made:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    assert collecting.cgroup_version(tmp_path) == version


def test_proxy_variables_are_read_in_either_case() -> None:
    environment = {"http_proxy": "a", "NO_PROXY": "b", "HTTPS_PROXY": "", "PATH": "c"}
    assert collecting.read_proxies(environment) == {"http_proxy": "a", "NO_PROXY": "b"}


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (None, FileState.ABSENT),
        ("", FileState.READABLE),
        ("apiVersion: v1\nkind: Config\n", FileState.READABLE),
        ("apiVersion: v1\nkind: Conf", FileState.DAMAGED),
        ("clusters: [", FileState.DAMAGED),
        ("just words", FileState.DAMAGED),
    ],
)
def test_kubeconfig_is_judged_by_what_is_in_it(tmp_path: Path, text: str | None, state: FileState) -> None:
    file = tmp_path / "config"
    if text is not None:
        file.write_text(text)
    assert collecting.file_state(file) is state


def test_kubeconfig_that_is_a_folder_is_denied(tmp_path: Path) -> None:
    assert collecting.file_state(tmp_path) is FileState.DENIED


def test_first_file_of_the_kubeconfig_variable_counts() -> None:
    assert collecting.user_kubeconfig({"KUBECONFIG": "/a:/b"}) == Path("/a")


@pytest.mark.enable_socket
def test_name_that_cannot_exist_does_not_resolve() -> None:
    assert collecting.resolves("no.such.name.invalid", timeout_seconds=30) in (False, None)


def test_own_network_is_not_counted_as_taken(rehearsal_catalogue: Catalogue) -> None:
    own, other = IPv4Network("172.30.0.0/24"), IPv4Network("198.51.100.0/24")
    use = EngineUse((("mambogo-rehearsal", own), ("bridge", other)), ())
    found = collecting.ranges_in_use(rehearsal_catalogue, use)
    assert [(one.subnet, one.by) for one in found if one.by.startswith("Docker")] == [
        (other, "Docker network bridge")
    ]


def test_clock_that_was_set_back_is_seen_by_a_file_of_the_future(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    future = file.stat().st_mtime + 7200
    os.utime(file, (future, future))
    assert read_clock(0.0, 0.0, newest=file).behind_seconds > 7000


def test_bounding_set_without_a_capability_is_named(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1/status").write_text("Name:\tx\nCapBnd:\t000001fffeffffff\n")
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/kernel/cap_last_cap").write_text("40\n")
    assert capabilities.missing_for_process(1, proc=tmp_path) == ("CAP_SYS_RESOURCE",)


def test_capabilities_the_kernel_does_not_know_are_not_missing() -> None:
    assert capabilities.missing((1 << 38) - 1, last=37) == ()
