"""Joining a worker again whose container was lost: a new node under the old name and address.

The container is made like one that is still there, so that it is what kind would have made. kubeadm joins it
with a token of its own. Every moment in which this may be cut off leaves a worker that the cluster does not
know, which is how the next attempt finds it. Which workers are to be joined is decided elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from rehearsal.cluster.api import Api
from rehearsal.cluster.engine import NodeEngine
from rehearsal.cluster.plan import ClusterSpec
from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError
from rehearsal.core.waiting import NotYet, wait_until

_BOOT_SECONDS = 120.0  # systemd and containerd; seconds on an idle machine
_TOKEN_MINUTES = 15  # a join takes seconds; whoever finds the token later cannot use it
_ROLE_LABEL = "io.x-k8s.kind.role"
_JOIN_FILE = "/kind/rejoin.json"
_JOIN_COMMAND = re.compile(
    r"kubeadm join (?P<endpoint>\S+) --token (?P<token>\S+) --discovery-token-ca-cert-hash (?P<hash>\S+)"
)


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a node needs to be let into the cluster."""

    endpoint: str
    token: str
    authority_hash: str


def join_worker(
    engine: NodeEngine,
    api: Api,
    spec: ClusterSpec,
    name: str,
    address: IPv4Address,
    progress: Callable[[str], None],
) -> None:
    """Make a worker's container anew and join it; whatever is left of the old one is removed first."""
    progress(f"{name}: container")
    engine.remove(name, volumes=True)
    # kubeadm refuses a name that is still Ready; its pods and its volumes went with the container.
    api.delete(f"/api/v1/nodes/{name}")
    engine.clone(spec.control_plane, name, {_ROLE_LABEL: "worker"}, spec.network, address)
    wait_until(
        f"the boot of {name}",
        lambda: _containerd_runs(engine, name),
        timeout_seconds=_BOOT_SECONDS,
        hint=f"`docker logs {name}` says what it is doing.",
    )
    progress(f"{name}: kubeadm join")
    invitation = _invite(engine, spec.control_plane)
    engine.execute(name, ["tee", _JOIN_FILE], stdin=join_configuration(spec, name, address, invitation))
    engine.execute(name, ["kubeadm", "join", "--config", _JOIN_FILE])


def join_configuration(spec: ClusterSpec, name: str, address: IPv4Address, invitation: Invitation) -> str:
    """Return kubeadm's configuration for a worker: what kind writes for one, with a token of ours."""
    arguments = {
        "node-ip": str(address),
        "provider-id": f"kind://docker/{spec.name}/{name}",
        "node-labels": "",
    }
    return json.dumps(
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "JoinConfiguration",
            "discovery": {
                "bootstrapToken": {
                    "apiServerEndpoint": invitation.endpoint,
                    "token": invitation.token,
                    "caCertHashes": [invitation.authority_hash],
                }
            },
            "nodeRegistration": {
                "criSocket": "unix:///run/containerd/containerd.sock",
                "kubeletExtraArgs": [{"name": key, "value": value} for key, value in arguments.items()],
            },
            # As kind does: a container fails checks that are meant for machines, such as swap.
            "skipPhases": ["preflight"],
        }
    )


def _containerd_runs(engine: NodeEngine, name: str) -> bool:
    try:
        return engine.execute(name, ["systemctl", "is-active", "containerd"]).strip() == "active"
    except EnvironmentNotReadyError as error:
        raise NotYet(error.message) from error


def _invite(engine: NodeEngine, control_plane: str) -> Invitation:
    command = ["kubeadm", "token", "create", f"--ttl={_TOKEN_MINUTES}m", "--print-join-command"]
    return read_invitation(engine.execute(control_plane, command))


def read_invitation(said: str) -> Invitation:
    """Read the join command that kubeadm prints; raises HarnessError when there is none."""
    found = _JOIN_COMMAND.search(said)
    if not found:
        raise HarnessError(
            "JOIN_COMMAND_UNKNOWN",
            f"kubeadm prints no join command: {said.strip()}",
            hint="`rehearsal cluster down`, then `up`, makes the cluster anew.",
        )
    return Invitation(found["endpoint"], found["token"], found["hash"])
