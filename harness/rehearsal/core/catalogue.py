"""The catalogue: `rehearsal.toml`, parsed and checked.

One source for versions, ports, ranges and profiles; the Tiltfile, the noxfile and the tests read the same
file. Unknown keys and wrong types are refused with the place where they stand. What the manifests say is not
repeated here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from rehearsal.core.errors import ConfigurationError
from rehearsal.core.paths import CATALOGUE_FILE
from rehearsal.core.timing import Timing

Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
NodePort = Annotated[int, Field(strict=True, ge=30000, le=32767)]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+(\.\d+)?$")]

# What `ports` and `node_ports` call Kafka's brokers, by their number.
BROKERS = ("kafka", "kafka_1", "kafka_2")
# The `ports` that a run asks.
OF_A_RUN = ("http", "identity", "sandbox", *BROKERS)
# The `ports` that Tilt forwards while it runs, for the links in its interface; nothing else needs them.
FORWARDED = (
    "grafana",
    "gateway",
    "product",
    "cart",
    "order",
    "payment",
    "inventory",
    "config_server",
    "eureka",
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClusterSettings(_Strict):
    """Names of the project's own cluster."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,20}$")]
    default_profile: str

    @property
    def context(self) -> str:
        """Name of the kubeconfig context."""
        return f"kind-{self.name}"


class Versions(_Strict):
    """Pinned versions of everything that is not a language package."""

    kubernetes: Version
    kind: Version
    tilt: Version
    etcd: Version
    coredns: Version
    cri_tools: Version
    pause: Version
    metrics_server: Version
    kube_state_metrics: Version
    local_path_provisioner: Version
    prometheus: Version
    otelcol: Version
    victoria_logs: Version
    debian: str


class Images(_Strict):
    """Images that may be pulled; an empty reference is never pulled."""

    debian: str  # else it is built
    grafana: Annotated[str, Field(pattern=r"^(\S+:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$")]  # else left out


class Ports(_Strict):
    """Ports on 127.0.0.1."""

    registry: Port
    http: Port
    https: Port
    tilt: Port
    kafka: Port
    kafka_1: Port
    kafka_2: Port
    identity: Port
    sandbox: Port
    echo: Port
    prometheus: Port
    alertmanager: Port
    logs: Port
    traces: Port
    grafana: Port
    gateway: Port
    product: Port
    cart: Port
    order: Port
    payment: Port
    inventory: Port
    config_server: Port
    eureka: Port

    @property
    def of_broker(self) -> str:
        """The port of any broker, with `{}` for its number."""
        return _numbered([getattr(self, name) for name in BROKERS])

    @model_validator(mode="after")
    def _brokers_are_numbered(self) -> Ports:
        _ = self.of_broker
        return self


def _numbered(ports: Sequence[int]) -> str:
    """Return ports as one text, with `{}` for the only digit that differs; raises ValueError for others."""
    first = str(ports[0])
    for at in range(len(first)):
        text = f"{first[:at]}{{}}{first[at + 1 :]}"
        if [text.format(number) for number in range(len(ports))] == [str(port) for port in ports]:
            return text
    # All brokers run from one template: each can only put its number into the address that it gives.
    raise ValueError(f"{', '.join(BROKERS)} must differ in one digit only, 0, 1 and 2")


class NodePorts(_Strict):
    """NodePorts behind the published ports."""

    http: NodePort
    https: NodePort
    kafka: NodePort
    kafka_1: NodePort
    kafka_2: NodePort
    identity: NodePort
    sandbox: NodePort
    echo: NodePort
    prometheus: NodePort
    alertmanager: NodePort
    logs: NodePort
    traces: NodePort


class Network(_Strict):
    """Candidate address ranges, in order of preference."""

    docker_subnets: tuple[IPv4Network, ...] = Field(min_length=1)
    pod_subnets: tuple[IPv4Network, ...] = Field(min_length=1)
    service_subnets: tuple[IPv4Network, ...] = Field(min_length=1)


class Limits(_Strict):
    """What the machine must offer, and below what a run ends itself."""

    min_free_disk_gib: Annotated[float, Field(strict=True, gt=0)]
    min_inotify_instances: Annotated[int, Field(strict=True, gt=0)]
    min_inotify_watches: Annotated[int, Field(strict=True, gt=0)]
    max_host_load_per_core: Annotated[float, Field(strict=True, gt=0)]
    stop_free_disk_gib: Annotated[float, Field(strict=True, gt=0)]
    stop_available_memory_mib: Annotated[int, Field(strict=True, gt=0)]


class Objectives(_Strict):
    """What the shop promises of orders, and of what else shoppers ask for."""

    order_accepted_ratio: Annotated[float, Field(strict=True, gt=0, le=1)]
    order_p95_seconds: Annotated[float, Field(strict=True, gt=0)]
    page_p95_seconds: Annotated[float, Field(strict=True, gt=0)]
    order_end_seconds: Annotated[float, Field(strict=True, gt=0)]
    recovery_seconds: Annotated[float, Field(strict=True, gt=0)]
    new_pod_seconds: Annotated[float, Field(strict=True, gt=0)]


class Flows(_Strict):
    """What a run offers, on the smallest profile."""

    load_shoppers_per_second: Annotated[float, Field(strict=True, gt=0)]
    load_seconds: Annotated[float, Field(strict=True, gt=0)]
    step_orders_per_second: Annotated[float, Field(strict=True, gt=0)]
    chaos_orders_per_second: Annotated[float, Field(strict=True, gt=0)]
    chaos_control_seconds: Annotated[float, Field(strict=True, gt=0)]
    chaos_outage_seconds: Annotated[float, Field(strict=True, gt=0)]
    chaos_database_seconds: Annotated[float, Field(strict=True, gt=0)]
    thorough_orders_per_second: Annotated[float, Field(strict=True, gt=0)]
    thorough_seconds: Annotated[float, Field(strict=True, gt=0)]


def _absolute(path: Path) -> Path:
    if not path.expanduser().is_absolute():
        raise ValueError(f"{path} would be another file in each folder: begin with / or ~")
    return path.expanduser()


# A host has a dot or a port, or is localhost: any other word is a path on Docker Hub to whoever pushes.
_REGISTRY = r"^((localhost|[a-z0-9-]+(\.[a-z0-9-]+)+)(:\d+)?|[a-z0-9-]+:\d+)(/[a-z0-9._-]+)*$"
# Names a folder, too: `.` and `..` are others'.
ContextName = Annotated[str, Field(pattern=r"[^.]")]


class Elsewhere(_Strict):
    """A cluster that the project did not make, as this machine reaches it."""

    kubeconfig: Annotated[Path, AfterValidator(_absolute)] | None = None  # else where kubectl looks
    registry: Annotated[str, Field(pattern=_REGISTRY)]  # host and path
    profile: str
    timing: Timing  # of its controller manager and its metrics-server
    ports: dict[str, Port]  # of 127.0.0.1: those that a run asks, and others that are not as in `ports`


def _ordered(value: tuple[int, int]) -> tuple[int, int]:
    if value[0] > value[1]:
        raise ValueError(f"{value[0]} is more than {value[1]}")
    return value


Replicas = Annotated[int, Field(strict=True, ge=1, le=100)]
ReplicaRange = Annotated[tuple[Replicas, Replicas], AfterValidator(_ordered)]


class Profile(_Strict):
    """A size of the cluster."""

    summary: str
    workers: Annotated[int, Field(strict=True, ge=0, le=5)]
    timing: Timing
    brokers: Annotated[int, Field(strict=True, ge=1, le=len(BROKERS))] = 1  # of Kafka
    egress: Annotated[bool, Field(strict=True)] = False  # whether pods may reach anything outside
    factor: Annotated[float, Field(strict=True, gt=0, le=1)]  # of production's requests and limits
    cpu_limits: Annotated[bool, Field(strict=True)]
    # Least and most pods by workload, `others` for those not named; without it production's counts.
    replicas: dict[str, ReplicaRange] = {}


class TimingSettings(_Strict):
    """Flags of one HPA timing."""

    summary: str
    controller_manager: dict[str, str]
    metrics_resolution_seconds: Annotated[int, Field(strict=True, ge=10)]  # metrics-server refuses less


class Catalogue(_Strict):
    """All of `rehearsal.toml`."""

    cluster: ClusterSettings
    versions: Versions
    images: Images
    ports: Ports
    node_ports: NodePorts
    network: Network
    limits: Limits
    objectives: Objectives
    flows: Flows
    profiles: dict[str, Profile]
    working_set_mib: dict[str, Annotated[int, Field(strict=True, ge=1)]]
    timings: dict[Timing, TimingSettings]
    contexts: dict[ContextName, Elsewhere] = {}  # by the name of a kubeconfig context

    @model_validator(mode="after")
    def _names_resolve(self) -> Catalogue:
        if self.cluster.default_profile not in self.profiles:
            raise ValueError(f"cluster.default_profile: no profile {self.cluster.default_profile!r}")
        missing = set(Timing) - set(self.timings)
        if missing:
            raise ValueError(f"timings: {', '.join(sorted(missing))} missing")
        _require_distinct("ports", self.ports)
        _require_distinct("node_ports", self.node_ports)
        for name, place in self.contexts.items():
            self._require_whole(name, place)
        return self

    def _require_whole(self, name: str, place: Elsewhere) -> None:
        if name == self.cluster.context:
            raise ValueError(f"contexts: {name} is the project's own cluster, which needs no table")
        if place.profile not in self.profiles:
            raise ValueError(f"contexts.{name}.profile: no profile {place.profile!r}")
        if unknown := sorted(place.ports.keys() - Ports.model_fields.keys()):
            raise ValueError(f"contexts.{name}.ports: there is no port {', '.join(unknown)}")
        if missing := [port for port in OF_A_RUN if port not in place.ports]:
            raise ValueError(f"contexts.{name}.ports: {', '.join(missing)} missing: a run asks there")
        own = {number: port for port, number in self.ports.model_dump().items()}
        for port in OF_A_RUN:
            if (number := place.ports[port]) in own:
                raise ValueError(f"contexts.{name}.ports: {port} is {number}, which is ports.{own[number]}")
        try:
            _require_distinct(f"contexts.{name}.ports", self.ports_at(name))
        except ValidationError as error:
            said = "; ".join(item["msg"] for item in error.errors())
            raise ValueError(f"contexts.{name}.ports: {said}") from error

    def ports_at(self, context: str) -> Ports:
        """Return the ports by which a cluster of `contexts` is reached."""
        return Ports.model_validate({**self.ports.model_dump(), **self.contexts[context].ports})

    def elsewhere(self, context: str) -> Elsewhere:
        """Return a cluster of others; raises ConfigurationError for one that is not in `contexts`."""
        if context not in self.contexts:
            raise ConfigurationError(
                "CONTEXT_NOT_ALLOWED",
                f"context {context!r} may not be used",
                hint=f"Describe it in {CATALOGUE_FILE}, [contexts.{context}], if faults may be injected "
                "there (docs/how-to/rehearse-elsewhere.md).",
            )
        return self.contexts[context]

    def profile(self, name: str) -> Profile:
        """Return a profile by name; raises ConfigurationError for an unknown one."""
        try:
            return self.profiles[name]
        except KeyError:
            raise ConfigurationError(
                "PROFILE_UNKNOWN",
                f"there is no profile {name!r}",
                hint=f"Profiles in {CATALOGUE_FILE}: {', '.join(self.profiles)}.",
            ) from None

    def brokers(self, profile: str) -> tuple[str, ...]:
        """Return what `ports` and `node_ports` call the brokers that a profile has."""
        return BROKERS[: self.profile(profile).brokers]


def _require_distinct(table: str, ports: Ports | NodePorts) -> None:
    first: dict[int, str] = {}
    for name, port in ports.model_dump().items():
        if port in first:
            raise ValueError(f"{table}: {first[port]} and {name} are both {port}")
        first[port] = name


def load(root: Path) -> Catalogue:
    """Read and check `rehearsal.toml` in `root`."""
    path = root / CATALOGUE_FILE
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        return Catalogue.model_validate(raw)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            "CATALOGUE_UNREADABLE", f"{path} cannot be read: {error}", hint="Restore it from git."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            "CATALOGUE_SYNTAX", f"{CATALOGUE_FILE} is not TOML: {error}", hint="Correct the line it names."
        ) from error
    except ValidationError as error:
        raise ConfigurationError(
            "CATALOGUE_INVALID",
            f"{CATALOGUE_FILE} is not valid:\n" + "\n".join(_explain(error)),
            hint="The comments in the file say what each key means.",
        ) from error


def _explain(error: ValidationError) -> list[str]:
    return [
        f"  {'.'.join(str(part) for part in item['loc']) or '(file)'}: {item['msg']}"
        for item in error.errors()
    ]
