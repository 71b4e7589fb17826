"""Breaks of production's manifests, each in a service that is drawn."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import yaml

from rehearsal.detection.model import Cause, Family, Planted

AREA: Final = "manifests"
DEPLOYMENTS: Final = Path("k8s", "base", "deployments")
SERVICES: Final = (
    "cart-service",
    "gateway-service",
    "inventory-service",
    "order-service",
    "payment-service",
    "product-service",
)
_FAT_PERCENT: Final = 110  # of the working set: an idle pod uses nine tenths of its request

Deployment = dict[str, Any]
Break = Callable[[Path, str, Deployment], str]


def replicas(root: Path, service: str, one: Deployment) -> str:
    """Say how many replicas there are, beside an HPA that says it, too."""
    one["spec"]["replicas"] = 5
    return "spec.replicas 5 in the manifest"


def no_cpu_request(root: Path, service: str, one: Deployment) -> str:
    """Request no CPU, of which an HPA's target is a share."""
    del _container(one)["resources"]["requests"]["cpu"]
    return "no request of CPU"


def fat_idle(root: Path, service: str, one: Deployment) -> str:
    """Request hardly more memory than an idle pod uses."""
    catalogue = tomllib.loads((root / "rehearsal.toml").read_text("utf-8"))
    request = catalogue["working_set_mib"][service] * _FAT_PERCENT // 100
    _container(one)["resources"]["requests"]["memory"] = f"{request}Mi"
    return f"a request of {request}Mi of memory, an idle pod uses {catalogue['working_set_mib'][service]}Mi"


def no_pre_stop(root: Path, service: str, one: Deployment) -> str:
    """End before anybody knows."""
    del _container(one)["lifecycle"]
    return "no preStop"


def liveness_on_dependencies(root: Path, service: str, one: Deployment) -> str:
    """Restart when the database is away."""
    _container(one)["livenessProbe"]["httpGet"]["path"] = "/actuator/health"
    return "liveness asks /actuator/health, and so the database"


_SCALABLE: Final = frozenset({"deploy.scalable"})
_GRACEFUL: Final = frozenset({"deploy.graceful"})
# A container that is weak for it is as good a name of a missing request as an HPA that cannot work.
_UNREQUESTED: Final = _SCALABLE | {"deploy.hardened"}
_BREAKS: Final[tuple[tuple[str, str, Break, frozenset[str]], ...]] = (
    ("replicas-under-hpa", "5 replicas in the manifest", replicas, _SCALABLE),
    ("no-cpu-request", "no request of CPU", no_cpu_request, _UNREQUESTED),
    ("fat-idle", "a request of memory of 1.1 times an idle pod", fat_idle, _SCALABLE),
    ("no-prestop", "no preStop", no_pre_stop, _GRACEFUL),
    ("liveness-on-database", "liveness on the aggregate", liveness_on_dependencies, _GRACEFUL),
)


def families() -> tuple[Family, ...]:
    """Return a family for each kind of break."""
    return tuple(
        Family(name, AREA, magnitude, "inspect", partial(plant, made=made, checks=checks))
        for name, magnitude, made, checks in _BREAKS
    )


def plant(root: Path, random: Random, made: Break, checks: frozenset[str]) -> Planted:
    """Make a break in the Deployment of a service that is drawn."""
    service = random.choice(SERVICES)
    path = root / DEPLOYMENTS / f"{service}.yaml"
    one = yaml.safe_load(path.read_text("utf-8"))
    said = made(root, service, one)
    path.write_text(yaml.safe_dump(one, sort_keys=False), "utf-8")
    return Planted(f"{service}: {said}", Cause(checks, (service,)))


def _container(one: Deployment) -> dict[str, Any]:
    found: dict[str, Any] = one["spec"]["template"]["spec"]["containers"][0]
    return found
