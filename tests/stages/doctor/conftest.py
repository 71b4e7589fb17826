"""A machine on which everything is well, to be broken in one place at a time."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from rehearsal.core import catalogue
from rehearsal.stages.doctor.facts import (
    ClockFacts,
    DiskFacts,
    FileState,
    KernelFacts,
    MachineFacts,
    Option,
    PortFacts,
    RangeUse,
)
from rehearsal.stages.doctor.judging_machine import OPTIONAL_OPTIONS, REQUIRED_OPTIONS
from rehearsal.supply.engine_finding import Endpoint, Engine, Origin
from rehearsal.supply.engine_start import Host
from rehearsal.supply.status import SupplyStatus

CHECKOUT = Path(__file__).resolve().parents[3]
GIB = 1 << 30


@pytest.fixture(scope="session")
def rehearsal_catalogue() -> catalogue.Catalogue:
    return catalogue.load(CHECKOUT)


@pytest.fixture
def engine() -> Engine:
    return Engine(
        endpoint=Endpoint("unix:///var/run/docker.sock", "default socket", chosen_by_user=False),
        origin=Origin.USERS,
        pid=100,
        version="28.1.0",
        api_version="1.49",
        cgroup_driver="systemd",
        cgroup_version="2",
        storage_driver="overlay2",
        data_root=Path("/var/lib/docker"),
        default_runtime="runc",
        missing_capabilities=(),
    )


@pytest.fixture
def healthy(rehearsal_catalogue: catalogue.Catalogue, engine: Engine) -> MachineFacts:
    return MachineFacts(
        catalogue=rehearsal_catalogue,
        host=Host(root=True, distribution="debian", release=12, service_manager=None, dockerd=None),
        engine=engine,
        cores=8,
        memory_total_bytes=32 * GIB,
        memory_available_bytes=24 * GIB,
        swap_total_bytes=0,
        disks=(DiskFacts(("system", "cache", "engine"), Path("/"), 100 * GIB, 200 * GIB),),
        cgroup_version=2,
        missing_capabilities=(),
        nofile_hard=1_048_576,
        inotify={"max_user_instances": 8192, "max_user_watches": 1_048_576},
        kernel=KernelFacts(
            "6.1.0", "/proc/config.gz", dict.fromkeys((*REQUIRED_OPTIONS, *OPTIONAL_OPTIONS), Option.PRESENT)
        ),
        ports=tuple(
            PortFacts(name, port, None) for name, port in rehearsal_catalogue.ports.model_dump().items()
        ),
        ranges_in_use=(RangeUse(IPv4Network("192.0.2.0/24"), "a route of this host"),),
        ranges_of_cluster=None,
        proxies={},
        load_1min=0.5,
        clock=ClockFacts(synchronised=True, jump_seconds=0.0, behind_seconds=0.0),
        localhost_names=True,
        kubeconfig=Path("/home/dev/.kube/config"),
        kubeconfig_state=FileState.READABLE,
        browser="/usr/bin/chromium",
        supplies=(SupplyStatus("kind", "tool", "0.31.0", "built", True),),
    )
