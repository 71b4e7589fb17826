"""Kafka's brokers, in a profile that has several. Pure.

The overlay's one is alone in its quorum. Several are its StatefulSet with more pods; what the first has for
itself, its Service and its port on the host, each of the others has, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

from rehearsal.core.catalogue import Catalogue
from rehearsal.deploy.manifests import Manifest, named

_NAME: Final = "kafka"
_HOST: Final = "kafka-host"  # the Service of the first broker's port on the host
_ADVERTISED: Final = re.compile(r"(?<=HOST://127\.0\.0\.1:)\d+")
_POD_NAME: Final = "statefulset.kubernetes.io/pod-name"
# Every broker holds each record, and all but one must have it before it is acknowledged. images/kafka has the
# counts of a broker that is alone.
_COPIES: Final = (
    "KAFKA_CFG_DEFAULT_REPLICATION_FACTOR",
    "KAFKA_CFG_OFFSETS_TOPIC_REPLICATION_FACTOR",
    "KAFKA_CFG_TRANSACTION_STATE_LOG_REPLICATION_FACTOR",
    "KAFKA_CFG_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR",
)
_IN_SYNC: Final = (
    "KAFKA_CFG_MIN_INSYNC_REPLICAS",
    "KAFKA_CFG_TRANSACTION_STATE_LOG_MIN_ISR",
    "KAFKA_CFG_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR",
)


@dataclass(frozen=True, slots=True)
class Brokers:
    """How many brokers there are, and how the host reaches each."""

    host_port: str  # with {} for a broker's number
    node_ports: tuple[int, ...]  # by a broker's number

    @classmethod
    def of(cls, catalogue: Catalogue, profile: str) -> Brokers:
        """Return a profile's brokers; raises ConfigurationError for an unknown profile."""
        node_ports = catalogue.node_ports.model_dump()
        return cls(catalogue.ports.of_broker, tuple(node_ports[name] for name in catalogue.brokers(profile)))


def add_brokers(objects: Sequence[Manifest], brokers: Brokers) -> list[Manifest]:
    """Return the objects with as many brokers; the given ones stay as they are."""
    local = deepcopy(list(objects))
    count = len(brokers.node_ports)
    stateful_set = named(local, "StatefulSet", _NAME)
    pod = stateful_set["spec"]["template"]["spec"]
    # The kubelet puts the number in: KAFKA_CFG_NODE_ID stands above.
    number = "0" if count == 1 else "$(KAFKA_CFG_NODE_ID)"
    _advertise(pod["containers"][0], brokers.host_port.format(number))
    if count == 1:
        return local
    stateful_set["spec"]["replicas"] = count
    _spread(pod)
    _form_quorum(pod["containers"][0], count)
    # How many replicas must be in sync follows from it: the Job asks for all but one.
    topics = named(local, "Job", "topics")["spec"]["template"]["spec"]["containers"][0]
    _set(topics, {"REPLICATION_FACTOR": str(count)})
    first, host = named(local, "Service", f"{_NAME}-0"), named(local, "Service", _HOST)
    # Each port leads to its broker: whoever asks one of them for the partitions of another is refused.
    host["spec"]["selector"] = {_POD_NAME: f"{_NAME}-0"}
    local += _services(first, host, brokers)
    local.append(_budget(stateful_set))
    return local


def _spread(pod: Manifest) -> None:
    """Put each broker on a node of its own, as far as there are nodes.

    The control plane's is one of three: without it two brokers would share a worker, whose loss would be the
    quorum's.
    """
    pod["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app": _NAME}},
        }
    ]
    pod["tolerations"] = [
        {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}
    ]


def _advertise(container: Manifest, port: str) -> None:
    """Have a broker give clients on the host the port by which the host reaches it."""
    name = "KAFKA_CFG_ADVERTISED_LISTENERS"
    _set(container, {name: _ADVERTISED.sub(port, _value(container, name))})


def _form_quorum(container: Manifest, count: int) -> None:
    voter = _value(container, "KAFKA_CFG_CONTROLLER_QUORUM_VOTERS")
    _set(
        container,
        {
            "KAFKA_CFG_CONTROLLER_QUORUM_VOTERS": ",".join(
                voter.replace("0@kafka-0.", f"{number}@kafka-{number}.") for number in range(count)
            ),
            **dict.fromkeys(_COPIES, str(count)),
            **dict.fromkeys(_IN_SYNC, str(count - 1)),
        },
    )


def _value(container: Manifest, name: str) -> str:
    value: str = next(one["value"] for one in container["env"] if one["name"] == name)
    return value


def _set(container: Manifest, values: Mapping[str, str]) -> None:
    """Give variables their values; those that are not there come last."""
    variables = {one["name"]: one for one in container["env"]}
    variables |= {name: {"name": name, "value": value} for name, value in values.items()}
    container["env"] = list(variables.values())


def _services(first: Manifest, host: Manifest, brokers: Brokers) -> Iterator[Manifest]:
    """Yield the further brokers' Services, made after the first one's."""
    for number, node_port in list(enumerate(brokers.node_ports))[1:]:
        yield _led_to(number, first, f"{_NAME}-{number}")
        published = _led_to(number, host, f"{_HOST}-{number}")
        published["spec"]["ports"][0]["nodePort"] = node_port
        yield published


def _led_to(number: int, like: Manifest, name: str) -> Manifest:
    service = deepcopy(like)
    service["metadata"]["name"] = name
    service["spec"]["selector"] = {_POD_NAME: f"{_NAME}-{number}"}
    return service


def _budget(stateful_set: Manifest) -> Manifest:
    """Return what keeps a drained node from taking a second broker away: two of three are the quorum."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {name: stateful_set["metadata"][name] for name in ("name", "namespace", "labels")},
        "spec": {"maxUnavailable": 1, "selector": deepcopy(stateful_set["spec"]["selector"])},
    }
