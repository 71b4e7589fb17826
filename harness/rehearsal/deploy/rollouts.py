"""Whether every replica of what Tilt applied is there, by the Kubernetes API.

Tilt itself judges only the newest pod of a workload: an older or a missing replica stays green there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from rehearsal.deploy.manifests import OWN_LABEL

_KINDS = {"deployment": "deployments", "statefulset": "statefulsets", "daemonset": "daemonsets"}
_JOBS = "/apis/batch/v1/jobs"
_NAMESPACES = "/api/v1/namespaces?labelSelector=" + quote("=".join(OWN_LABEL))
_SELECTOR = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dtilt"  # Tilt sets the label on what it applies


@dataclass(frozen=True, slots=True)
class Rollout:
    """One workload, as its controller reports it."""

    kind: str
    namespace: str
    name: str
    wanted: int
    updated: int  # replicas of the newest template
    ready: int
    present: int  # replicas of any template
    observed: bool  # whether the controller has seen the newest template

    @property
    def complete(self) -> bool:
        """Whether all wanted replicas are of the newest template and ready, and no older one is left."""
        return self.observed and self.updated == self.ready == self.present == self.wanted

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.namespace}/{self.name}: {self.ready} of {self.wanted} replicas ready, "
            f"{self.updated} up to date, {self.present} present"
        )


class Reader(Protocol):
    """The part of a Kubernetes API client that is needed here."""

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return what a path answers, parsed; None for 404."""


def read_rollouts(api: Reader, applied: Iterable[str]) -> tuple[Rollout, ...]:
    """Return the workloads among `applied`, which names objects as Tilt does.

    That is name:kind or, where it would be ambiguous, name:kind:namespace. One that the API does not know any
    more counts with no replica.
    """
    wanted = {name for name in applied if _kind(name) in _KINDS}
    found: dict[str, Rollout] = {}
    for kind in sorted({_kind(name) for name in wanted}):
        for item in _items(api, f"/apis/apps/v1/{_KINDS[kind]}"):
            rollout = rollout_of(kind, item)
            for name in _names(rollout) & wanted:
                found[name] = rollout
    missing = tuple(_gone(name) for name in sorted(wanted - found.keys()))
    return (*(found[name] for name in sorted(found)), *missing)


def read_named(api: Reader, names: Iterable[str]) -> tuple[Rollout, ...]:
    """Return the workloads and Jobs with these names, of whatever kind; one without any as not there."""
    wanted = set(names)
    if not wanted:
        return ()
    everything = [*_workloads(api), *(_job(item) for item in _items(api, _JOBS))]
    found = [one for one in everything if one.name in wanted]
    missing = sorted(wanted - {one.name for one in found})
    return (*found, *(_gone(f"{name}:workload") for name in missing))


def read_all(api: Reader) -> tuple[Rollout, ...]:
    """Return every workload that Tilt applied; Jobs are none."""
    return tuple(_workloads(api))


def read_templates(api: Reader) -> dict[str, str]:
    """Return a hash of what the pods of every workload that Tilt applied are to be, by its kind and name.

    How many there are is left out, which HPAs change, and so are annotations, of which a restart sets one.
    """
    return {
        f"{kind} {item['metadata']['namespace']}/{item['metadata']['name']}": _hash(item)
        for kind, plural in _KINDS.items()
        for item in _items(api, f"/apis/apps/v1/{plural}")
    }


def _hash(item: Mapping[str, Any]) -> str:
    text = json.dumps(item["spec"]["template"]["spec"], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _workloads(api: Reader) -> Iterator[Rollout]:
    for kind, plural in _KINDS.items():
        yield from (rollout_of(kind, item) for item in _items(api, f"/apis/apps/v1/{plural}"))


def _items(api: Reader, collection: str) -> list[Mapping[str, Any]]:
    """Return what Tilt applied to the project's namespaces: on a cluster of others theirs may apply, too."""
    own = {one["metadata"]["name"] for one in (api.get(_NAMESPACES) or {}).get("items", ())}
    items = (api.get(f"{collection}?{_SELECTOR}") or {}).get("items", ())
    return [one for one in items if one["metadata"]["namespace"] in own]


def _job(item: Mapping[str, Any]) -> Rollout:
    metadata = item["metadata"]
    wanted = item["spec"].get("completions", 1)
    done = item.get("status", {}).get("succeeded", 0)
    return Rollout("job", metadata["namespace"], metadata["name"], wanted, done, done, done, observed=True)


def _kind(name: str) -> str:
    return name.split(":")[1] if ":" in name else ""


def _names(one: Rollout) -> set[str]:
    short = f"{one.name}:{one.kind}"
    return {short, f"{short}:{one.namespace}", f"{short}:{one.namespace}:apps"}


def _gone(name: str) -> Rollout:
    parts = [*name.split(":"), "?"]
    return Rollout(parts[1], parts[2], parts[0], wanted=1, updated=0, ready=0, present=0, observed=False)


def rollout_of(kind: str, item: Mapping[str, Any]) -> Rollout:
    """Return a workload as the API shows it; the kind in lower case."""
    metadata, status = item["metadata"], item.get("status", {})
    if kind == "daemonset":
        wanted = status.get("desiredNumberScheduled", 0)
        updated, ready = status.get("updatedNumberScheduled", 0), status.get("numberReady", 0)
        present = status.get("currentNumberScheduled", 0)
    else:
        wanted = item["spec"].get("replicas", 1)
        updated, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
        present = status.get("replicas", 0)
    observed = status.get("observedGeneration", 0) >= metadata.get("generation", 0)
    return Rollout(kind, metadata["namespace"], metadata["name"], wanted, updated, ready, present, observed)
