"""What the autoscaler's decisions depend on, as plain values. Pure.

Times are Unix seconds, CPU and memory thousandths of a core or of a byte, as the controller counts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

CPU = "cpu"


class Select(StrEnum):
    """Which of several policies counts."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class PolicyKind(StrEnum):
    """What a policy's value counts."""

    PODS = "Pods"
    PERCENT = "Percent"


@dataclass(frozen=True, slots=True)
class Policy:
    """How much may change within a period."""

    kind: PolicyKind
    value: int
    period_seconds: float


@dataclass(frozen=True, slots=True)
class Rules:
    """`behavior.scaleUp` or `behavior.scaleDown`; None means the controller's own value."""

    policies: tuple[Policy, ...]
    select: Select = Select.MAX
    window_seconds: float | None = None
    tolerance: float | None = None


# What the API server fills in where a behaviour is written without them.
DEFAULT_UP = Rules(
    (Policy(PolicyKind.PERCENT, 100, 15.0), Policy(PolicyKind.PODS, 4, 15.0)), window_seconds=0.0
)
DEFAULT_DOWN = Rules((Policy(PolicyKind.PERCENT, 100, 15.0),))


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How fast an autoscaler may go in each direction."""

    up: Rules = DEFAULT_UP
    down: Rules = DEFAULT_DOWN


@dataclass(frozen=True, slots=True)
class Target:
    """A share of their request that pods shall use on average."""

    resource: str
    percent: int


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """The specification of an HPA. Without a behaviour the controller goes by older rules."""

    name: str
    workload: str
    least: int
    most: int
    targets: tuple[Target, ...]
    behaviour: Behaviour | None = None


@dataclass(frozen=True, slots=True)
class Controller:
    """The flags of the HPA's controller that decisions depend on; Kubernetes' own values."""

    sync_seconds: float = 15.0
    tolerance: float = 0.1
    down_window_seconds: float = 300.0
    cpu_initialization_seconds: float = 300.0
    initial_readiness_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a pod used, as the metrics API says."""

    at: float
    window_seconds: float
    milli: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as the controller sees it. `ready` is None without such a condition."""

    name: str
    phase: str = "Running"
    deleted: bool = False
    started: float | None = None
    ready: bool | None = None
    ready_changed: float = 0.0
    address: str = ""
    requests: Mapping[str, int] = field(
        default_factory=dict
    )  # of each resource that every container requests
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at an autoscaler and its pods."""

    t: float
    replicas: int  # that the workload's specification asks for
    desired: int  # that the autoscaler's status says
    pods: tuple[Pod, ...]
    trouble: str = ""  # what its conditions say when it cannot work

    @property
    def ready(self) -> int:
        """How many pods can take traffic."""
        return sum(pod.ready is True and not pod.deleted for pod in self.pods)
