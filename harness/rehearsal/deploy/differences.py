"""Every difference between what runs here and what production applies, each with the rule that made it. Pure.

A rule names kind and field. A difference that no rule explains is a mistake in a manifest or in the scale
model: it fails the tests, and `rehearsal diff production`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rehearsal.deploy.credentials import MANAGED
from rehearsal.deploy.manifests import Manifest, identity
from rehearsal.deploy.monitoring import MONITORING

# What no comparison of manifests can show comes first, the great exception before all.
PREMISES = (
    "Production's six services are Spring applications. Here they are Python, with the same interfaces, "
    "paths, settings and dependencies.",
    "Production's network policies are applied here and not enforced: the cluster's network has no engine "
    "for them. Who reaches whom under them is computed by the project's tests, not tried.",
)
WHOLE = ""  # the field of a difference that is a whole object
ABSENT = "(absent)"


@dataclass(frozen=True, slots=True)
class Rule:
    """Why some fields differ; all patterns must match as a whole."""

    name: str
    reason: str
    kind: str
    field: str = WHOLE
    namespace: str = r".*"
    object: str = r".*"

    def explains(self, one: Difference) -> bool:
        """Return whether a difference is of this rule's making."""
        pairs = (
            (self.kind, one.kind),
            (self.field, one.field),
            (self.namespace, one.namespace),
            (self.object, one.object),
        )
        return all(re.fullmatch(pattern, text) for pattern, text in pairs)


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one object, there and here; the field is empty for an object that is on one side only."""

    kind: str
    namespace: str
    object: str
    field: str
    production: str
    local: str

    def __str__(self) -> str:
        where = f"{self.kind} {self.namespace or '-'}/{self.object}"
        return f"{where} {self.field}: {self.production} -> {self.local}".replace(" : ", ": ")


_WORKLOAD = "Deployment|StatefulSet"
_CONTAINER = r"spec\.template\.spec\.containers\.[^.]+\."

RULES = (
    Rule("managed", "what production buys runs here", r".*", namespace=MANAGED),
    Rule("managed-namespace", "what production buys runs here", "Namespace", object=MANAGED),
    Rule("monitoring", "production's guide has a configuration only", r".*", namespace=MONITORING),
    Rule(
        "monitoring-cluster-wide",
        "what watches here sees the nodes and all pods",
        "Namespace|ClusterRole|ClusterRoleBinding",
        object=f"{MONITORING}|mambogo-prometheus",
    ),
    Rule("secrets", "values are made at `up` and never pass through Tilt", "Secret"),
    Rule("endpoints", "the managed services are elsewhere", "Service", r"spec\.externalName", "default"),
    Rule("issuer", "tokens are those of the Keycloak here", "ConfigMap", r"data\.ISSUER_URL"),
    Rule("tracing", "production's guide has no collector", "ConfigMap", r"data\.OTLP_ENDPOINT"),
    Rule("harness-client", "the harness asks for tokens, too", "ConfigMap", r"data\.AUTHORIZED_PARTIES"),
    Rule(
        "registry-servers",
        "only as many registry servers are named as there are",
        "ConfigMap",
        r"data\.(EUREKA_URLS|urls|peered)",
    ),
    Rule("own-label", "chaos touches only what carries it", "Namespace", r"metadata\.labels\.app\..*"),
    Rule("images", "built here, named by content", f"{_WORKLOAD}|Job", _CONTAINER + "image"),
    Rule("pull-policy", "a tag says its content here", f"{_WORKLOAD}|Job", _CONTAINER + "imagePullPolicy"),
    Rule(
        "scale", "the profile's factor", _WORKLOAD, _CONTAINER + r"resources\.(requests|limits)\.(cpu|memory)"
    ),
    Rule("replicas", "the profile's counts", _WORKLOAD, r"spec\.replicas"),
    Rule("autoscaling", "the profile's counts", "HorizontalPodAutoscaler", r"spec\.(min|max)Replicas"),
    Rule(
        "one-broker",
        "one broker cannot hold three replicas",
        "Job",
        _CONTAINER + r"env\.REPLICATION_FACTOR\.value",
    ),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences, by the rule that explains them, and those that none explains."""

    explained: Mapping[str, tuple[Difference, ...]]
    unexplained: tuple[Difference, ...]


def compare(production: Sequence[Manifest], local: Sequence[Manifest]) -> Comparison:
    """Return the differences of two sets of objects."""
    explained: dict[str, list[Difference]] = {rule.name: [] for rule in RULES}
    unexplained: list[Difference] = []
    for one in _differences(production, local):
        rule = next((rule for rule in RULES if rule.explains(one)), None)
        (explained[rule.name] if rule else unexplained).append(one)
    return Comparison({name: tuple(some) for name, some in explained.items()}, tuple(unexplained))


def describe(comparison: Comparison) -> str:
    """Return the comparison for a person: rules with their differences, what nobody explains last."""
    lines = [*PREMISES]
    for rule in RULES:
        if some := comparison.explained[rule.name]:
            lines += ["", f"{rule.name}: {rule.reason} ({len(some)})", *(f"  {one}" for one in some)]
    if comparison.unexplained:
        lines += ["", "UNEXPLAINED:", *(f"  {one}" for one in comparison.unexplained)]
    return "\n".join(lines)


def _differences(production: Sequence[Manifest], local: Sequence[Manifest]) -> Iterator[Difference]:
    there, here = ({identity(one): one for one in objects} for objects in (production, local))
    for name in [*there, *(name for name in here if name not in there)]:
        yield from _of_object(there.get(name), here.get(name))


def _of_object(there: Manifest | None, here: Manifest | None) -> Iterator[Difference]:
    one = there or here or {}
    place = one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]
    if there is None or here is None:
        texts = ["there" if side else ABSENT for side in (there, here)]
        yield Difference(*place, WHOLE, *texts)
        return
    before, after = dict(_fields(there)), dict(_fields(here))
    for field in [*before, *(field for field in after if field not in before)]:
        old, new = before.get(field, ABSENT), after.get(field, ABSENT)
        if old != new:
            yield Difference(*place, field, old, new)


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each leaf with its path; list items go by their name, where all have one."""
    if isinstance(value, Mapping) and value:
        parts = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and value:
        named = all(isinstance(item, Mapping) and "name" in item for item in value)
        parts = [(str(item["name"] if named else number), item) for number, item in enumerate(value)]
    else:
        yield path, str(value)
        return
    for name, item in parts:
        yield from _fields(item, f"{path}.{name}" if path else name)
