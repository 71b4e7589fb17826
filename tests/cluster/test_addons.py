"""The add-ons: whole manifests, in order, that name nothing which the node does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from rehearsal.cluster import addons
from rehearsal.cluster.facts import PodFacts, WorkloadFacts
from rehearsal.core.timing import Timing
from rehearsal.supply.node_image import preloaded_images

from tests.cluster.ground import CATALOGUE, CHECKOUT, planned

SPEC = planned("full")
OBJECTS = addons.manifests(CHECKOUT, SPEC, CATALOGUE.versions, resolvers=["10.0.0.53"])
HEALTHY = [WorkloadFacts(*name, wanted=1, ready=1) for name in addons.WORKLOADS]


def _names() -> list[tuple[str, str, str]]:
    return [(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in OBJECTS]


def _images(value: Any) -> Iterator[str]:
    """Yield every image that is named, also by a manifest inside of a ConfigMap."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            if key == "image":
                yield one
            elif isinstance(one, str) and key.endswith(".yaml"):
                yield from _images(yaml.safe_load(one))
            else:
                yield from _images(one)
    elif isinstance(value, list):
        for one in value:
            yield from _images(one)


def test_every_image_is_in_the_node_from_birth() -> None:
    named = {image for one in OBJECTS for image in _images(one)}

    assert len(named) == 3
    assert named <= {one.reference for one in preloaded_images(CATALOGUE.versions)}


def test_nothing_is_ever_pulled() -> None:
    containers = [
        container
        for one in OBJECTS
        if one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
    ]

    # CoreDNS' own image is kubeadm's.
    assert {one["imagePullPolicy"] for one in containers if "image" in one} == {"IfNotPresent"}
    assert [one["name"] for one in containers if "image" not in one] == ["coredns"]


def test_no_placeholder_of_ours_is_left() -> None:
    assert "${" not in yaml.safe_dump_all(OBJECTS)


def test_variables_of_shells_stay() -> None:
    (config,) = [one for one in OBJECTS if one["metadata"]["name"] == "local-path-config"]

    assert '"$VOL_DIR"' in config["data"]["setup"]


def test_no_object_is_there_twice() -> None:
    assert len(set(_names())) == len(_names())


def test_dns_comes_first() -> None:
    assert _names()[0] == ("ConfigMap", "kube-system", "coredns")


def test_each_namespace_comes_before_what_is_in_it() -> None:
    known = {"", "kube-system", "kube-public", "default"}
    for kind, namespace, name in _names():
        assert namespace in known, f"{kind} {name} comes before its namespace"
        known |= {name} if kind == "Namespace" else set()


def test_each_deployment_is_waited_for() -> None:
    deployed = {(namespace, name) for kind, namespace, name in _names() if kind == "Deployment"}

    assert deployed <= set(addons.WORKLOADS)
    assert {namespace for namespace, _ in addons.WORKLOADS} == set(addons.NAMESPACES)


def test_each_role_that_is_bound_is_there() -> None:
    kubernetes_own = {"extension-apiserver-authentication-reader", "system:auth-delegator"}
    roles = {name for kind, _, name in _names() if kind in ("Role", "ClusterRole")}
    bound = {one["roleRef"]["name"] for one in OBJECTS if one["kind"].endswith("Binding")}

    assert bound <= roles | kubernetes_own


def test_registry_is_announced_under_the_host_s_name() -> None:
    (hosting,) = [one for one in OBJECTS if one["metadata"]["name"] == "local-registry-hosting"]

    assert yaml.safe_load(hosting["data"]["localRegistryHosting.v1"])["host"] == "localhost:5001"


@pytest.mark.parametrize(
    ("timing", "resolution", "patience"),
    [(Timing.PRODUCTION, 15, 10), (Timing.COMPRESSED, 10, 9), (Timing.PRODUCTION, 11, 9)],
)
def test_metrics_are_as_fresh_as_the_timing_says_and_a_kubelet_is_waited_for_nine_tenths_of_it(
    timing: Timing, resolution: int, patience: int
) -> None:
    spec = planned(timing=timing)
    if resolution == 11:  # as rehearsal.toml may have it
        spec = replace(spec, metrics_resolution_seconds=resolution)
    objects = addons.manifests(CHECKOUT, spec, CATALOGUE.versions, resolvers=[])
    (server,) = [
        one for one in objects if (one["kind"], one["metadata"]["name"]) == ("Deployment", "metrics-server")
    ]
    arguments = server["spec"]["template"]["spec"]["containers"][0]["args"]

    assert f"--metric-resolution={resolution}s" in arguments
    assert f"--kubelet-request-timeout={patience}s" in arguments


@pytest.mark.parametrize(
    ("egress", "resolvers", "plugin"),
    [
        pytest.param(False, ["10.0.0.53"], "template ANY ANY { rcode NXDOMAIN }", id="hermetic"),
        pytest.param(True, ["10.0.0.53", "1.1.1.1"], "forward . 10.0.0.53 1.1.1.1", id="egress"),
        pytest.param(True, ["127.0.0.53", "1.1.1.1"], "forward . 1.1.1.1", id="egress-past-a-stub"),
        pytest.param(True, ["127.0.0.53", "::1"], "template ANY ANY { rcode NXDOMAIN }", id="only-a-stub"),
    ],
)
def test_names_outside(egress: bool, resolvers: list[str], plugin: str) -> None:
    assert addons.outside_names(replace(SPEC, egress=egress), resolvers) == plugin


def test_resolvers_of_the_host_are_read_as_the_system_reads_them(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text(
        "# nameserver 9.9.9.9\nnameserver 10.0.0.53\nsearch corp\nnameserver\t10.0.0.54\nnameserver\n",
        encoding="utf-8",
    )

    assert addons.host_resolvers(tmp_path / "resolv.conf") == ["10.0.0.53", "10.0.0.54"]


def test_host_without_resolvers_has_none(tmp_path: Path) -> None:
    assert addons.host_resolvers(tmp_path / "nowhere") == []


def test_healthy_workloads_leave_nothing_to_wait_for() -> None:
    assert addons.unready(HEALTHY) == []


@pytest.mark.parametrize("at", range(len(HEALTHY)))
def test_workload_that_is_gone_or_unhealthy_is_named(at: int) -> None:
    name = "/".join(addons.WORKLOADS[at])
    others = HEALTHY[:at] + HEALTHY[at + 1 :]

    assert addons.unready(others) == [name]
    assert addons.unready([*others, replace(HEALTHY[at], ready=0)]) == [name]


# The engine's time has a fraction, the kubelet's has none.
STARTED = datetime(2026, 11, 26, 13, 33, 4, 900_000, tzinfo=UTC)
BEFORE, SINCE = STARTED - timedelta(seconds=2), STARTED.replace(microsecond=0)
PROXY = PodFacts("kube-system", "kube-proxy-x", "worker", SINCE, ready=True)


def test_node_whose_pods_are_ready_since_its_start_is_settled() -> None:
    elsewhere = PodFacts("kube-system", "elsewhere", "other", BEFORE, ready=False)

    assert addons.unsettled([PROXY, elsewhere], {"worker": STARTED}) == []


@pytest.mark.parametrize(
    ("since", "ready"), [(BEFORE, True), (SINCE, False), (None, False)], ids=["outlived", "unready", "waits"]
)
def test_pod_that_does_not_run_since_its_node_was_started_is_named(
    since: datetime | None, ready: bool
) -> None:
    pod = PodFacts("kube-system", "etcd", "worker", since, ready=ready)

    assert addons.unsettled([PROXY, pod], {"worker": STARTED}) == ["kube-system/etcd"]


def test_node_that_nobody_has_put_kube_proxy_on_is_named() -> None:
    # Its DaemonSet is as it should be until its controller hears of the node.
    joined = {"worker": STARTED, "worker2": STARTED}

    assert addons.unsettled([PROXY], joined) == ["kube-proxy on worker2"]
