"""Faults on workloads: what is hit, the proof that it was, and the way back.

Every fault stands in the ledger before it is made. Only namespaces that carry the project's own label are
touched, whatever the caller asks for. What is not answered is asked again for a while: all of it may be
repeated. Whether the shop stood it is judged elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from time import sleep
from typing import Any, Protocol, TypeVar

from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError
from rehearsal.core.ledger import Entry, Ledger
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.deploy.manifests import OWN_LABEL

WORKLOAD_ENTRY = "workload"
# The API forgets a pod that is deleted without grace at once; its node ends the processes a moment later.
_NODE_SECONDS = 5.0
_PATIENCE_SECONDS = 30.0  # two requests that the API server never answers, and a third one
_AGAIN_SECONDS = 0.5
_WHOLE_SECONDS = 240.0  # images are on the node; what takes longer does not come back by itself

T = TypeVar("T")


class PodApi(Protocol):
    """The part of a Kubernetes API client that is needed here."""

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return what a path answers, parsed; None for 404."""

    def delete(self, path: str, *, grace_seconds: int, uid: str) -> None:
        """Delete an object; nothing happens when it is gone already, whatever has its name since."""

    def scale(self, path: str, replicas: int) -> None:
        """Set how many replicas an object is to have."""


class Databases(Protocol):
    """What keeps the services' databases."""

    def refuse(self, database: str) -> None:
        """Let nobody into a database, and end who is in it."""

    def admit(self, database: str) -> None:
        """Let everybody in again; harmless when the database is open."""


class Extent(StrEnum):
    """How many pods of a workload a fault hits."""

    ONE = "one"
    ALL = "all"


class Kind(StrEnum):
    """What keeps a workload's pods, by the name of its API's collection."""

    DEPLOYMENT = "deployments"
    STATEFUL_SET = "statefulsets"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, as far as a fault is concerned."""

    name: str
    uid: str
    ready: bool
    ending: bool


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or StatefulSet, by the label that its pods carry."""

    namespace: str
    name: str
    kind: Kind = Kind.DEPLOYMENT

    @property
    def path(self) -> str:
        """Its path in the API."""
        return f"/apis/apps/v1/namespaces/{self.namespace}/{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Kill:
    """A fault that was made: which pods were hit."""

    workload: Workload
    victims: tuple[Pod, ...]
    entry: Entry
    replicas: int | None = None  # what is to come back, where the workload was scaled down
    database: str = ""  # what refuses the workload, which is to be killed before it is let in again


@dataclass(frozen=True, slots=True)
class Injector:
    """Kills pods without grace, takes away what they need, and knows when a workload is whole again.

    What makes a fault or ends it raises WaitTimeoutError when the API gives no answer for long.
    """

    api: PodApi
    ledger: Ledger
    databases: Databases

    def pods(self, workload: Workload) -> tuple[Pod, ...]:
        """Return the workload's pods that are there."""
        selector = f"labelSelector=app%3D{workload.name}"
        found = self.api.get(f"/api/v1/namespaces/{workload.namespace}/pods?{selector}") or {}
        return tuple(sorted((_pod(item) for item in found.get("items", ())), key=lambda pod: pod.name))

    def kill(self, workload: Workload, extent: Extent) -> Kill:
        """Delete one or all ready pods at once, as a node that loses power would.

        Raises ConfigurationError for a namespace that is not the project's, EnvironmentNotReadyError when no
        pod is there to be killed.
        """
        ready = self._ready(workload)
        victims = tuple(ready[:1] if extent is Extent.ONE else ready)
        entry = self._enter(workload, f"{len(victims)} killed pods of {workload.name}")
        self._delete(workload, victims)
        return Kill(workload, victims, entry)

    def stop(self, workload: Workload) -> Kill:
        """Take all pods away until `restore`; raises as `kill` does."""
        victims = tuple(self._ready(workload))
        found = _answered(workload.name, lambda: self.api.get(workload.path)) or {}
        replicas = int(found.get("spec", {}).get("replicas", len(victims)))
        entry = self._enter(workload, f"{workload.name}, scaled from {replicas} to 0", replicas=str(replicas))
        self.scale(workload, 0)
        self._delete(workload, victims)
        return Kill(workload, victims, entry, replicas)

    def cut_off(self, workload: Workload, database: str) -> Kill:
        """Take a workload's database away until `restore`, which also kills its pods; raises as `kill` does.

        What a pod has taken in hand meanwhile must not be lost with it.
        """
        victims = tuple(self._ready(workload))
        entry = self._enter(workload, f"{workload.name} without its database {database}", database=database)
        _answered(f"the end of database {database}", lambda: self.databases.refuse(database))
        return Kill(workload, victims, entry, database=database)

    def restore(self, kill: Kill) -> None:
        """End an outage: what was scaled down comes back. Of a kill there is nothing to restore.

        A workload without its database is killed first, and let in when none of its pods runs any more.
        """
        if kill.replicas is not None:
            self.scale(kill.workload, kill.replicas)
        if kill.database:
            self._delete(kill.workload, kill.victims)
            sleep(_NODE_SECONDS)
            self.admit(kill.database)

    def scale(self, workload: Workload, replicas: int) -> None:
        """Set how many replicas a workload is to have."""
        _answered(f"{replicas} replicas of {workload.name}", lambda: self.api.scale(workload.path, replicas))

    def admit(self, database: str) -> None:
        """Let everybody into a database again; harmless when it is open."""
        _answered(f"the return of database {database}", lambda: self.databases.admit(database))

    def exists(self, workload: Workload) -> bool:
        """Return whether the cluster has the workload."""
        return _answered(workload.name, lambda: self.api.get(workload.path)) is not None

    def gone(self, kill: Kill) -> bool:
        """Return whether none of the pods that were hit is there any more: the proof of the fault."""
        there = {pod.uid for pod in self.pods(kill.workload)}
        return not there & {pod.uid for pod in kill.victims}

    def whole(self, workload: Workload) -> bool:
        """Return whether the workload has every replica that it wants, ready.

        Its status alone is not believed: for a moment after a kill it still counts the pods that are gone.
        """
        found = self.api.get(workload.path)
        if found is None:
            return False
        status = found.get("status", {})
        wanted = found["spec"].get("replicas", 1)
        counts = [status.get(name, 0) for name in ("readyReplicas", "updatedReplicas", "replicas")]
        counts.append(sum(pod.ready and not pod.ending for pod in self.pods(workload)))
        # One that wants no replicas is stopped, not whole.
        return wanted > 0 and all(count == wanted for count in counts)

    def _enter(self, workload: Workload, what: str, **more: str) -> Entry:
        return self.ledger.enter(
            WORKLOAD_ENTRY,
            what,
            namespace=workload.namespace,
            name=workload.name,
            collection=workload.kind,
            **more,
        )

    def _ready(self, workload: Workload) -> list[Pod]:
        self._require_own(workload.namespace)
        pods = _answered(f"the pods of {workload.name}", lambda: self.pods(workload))
        ready = [pod for pod in pods if pod.ready and not pod.ending]
        if not ready:
            raise EnvironmentNotReadyError(
                "NO_POD_TO_KILL",
                f"{workload.name} has no ready pod",
                hint=f"`kubectl get pods -n {workload.namespace}` shows why.",
            )
        return ready

    def _delete(self, workload: Workload, victims: Sequence[Pod]) -> None:
        for pod in victims:
            path = f"/api/v1/namespaces/{workload.namespace}/pods/{pod.name}"
            # By its uid: whoever asks again must not hit what came back under the same name.
            delete = partial(self.api.delete, path, grace_seconds=0, uid=pod.uid)
            _answered(f"the end of {pod.name}", delete)

    def _require_own(self, namespace: str) -> None:
        found = _answered(namespace, lambda: self.api.get(f"/api/v1/namespaces/{namespace}")) or {}
        key, value = OWN_LABEL
        if found.get("metadata", {}).get("labels", {}).get(key) != value:
            raise ConfigurationError(
                "NAMESPACE_NOT_OURS",
                f"namespace {namespace} does not carry {key}={value}: no fault is injected into it",
                hint="Label it so if faults may be injected there.",
            )


@dataclass(frozen=True, slots=True)
class WorkloadUndo:
    """Undoes a fault: what was taken away comes back, the controller makes new pods, and is awaited."""

    injector: Injector
    timeout_seconds: float = _WHOLE_SECONDS
    awaits: bool = True

    def __call__(self, arguments: Mapping[str, str]) -> None:
        """Wait until the workload is whole.

        Raises WaitTimeoutError when it does not become so, or nobody says whether it is.
        """
        workload = Workload(arguments["namespace"], arguments["name"], Kind(arguments["collection"]))
        if not self.injector.exists(workload):
            return  # its cluster or the workload itself was removed since
        if "database" in arguments:
            self.injector.admit(arguments["database"])
        if "replicas" in arguments:
            self.injector.scale(workload, int(arguments["replicas"]))
        if not self.awaits:
            return

        def probe() -> bool:
            try:
                if self.injector.whole(workload):
                    return True
                seen = _described(self.injector.pods(workload))
            except EnvironmentNotReadyError as error:
                raise NotYet(error.message) from error
            raise NotYet(seen)

        wait_until(
            f"every replica of {workload.name}",
            probe,
            timeout_seconds=self.timeout_seconds,
            hint=f"`kubectl describe pods -n {workload.namespace} -l app={workload.name}`",
            interval_seconds=0.5,
        )


def _answered(what: str, ask: Callable[[], T]) -> T:
    """Return an answer; ask again while there is none. Raises WaitTimeoutError with what was said last."""

    def probe() -> tuple[T]:
        try:
            return (ask(),)  # in a tuple, because an answer may be nothing
        except EnvironmentNotReadyError as error:
            raise NotYet(error.message) from error

    (answer,) = wait_until(
        what,
        probe,
        timeout_seconds=_PATIENCE_SECONDS,
        hint="Does the API server answer? The project's own cluster is mended by `rehearsal cluster repair`.",
        interval_seconds=_AGAIN_SECONDS,
    )
    return answer


def _pod(item: Mapping[str, Any]) -> Pod:
    metadata = item["metadata"]
    conditions = {one["type"]: one["status"] for one in item.get("status", {}).get("conditions", ())}
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        ready=conditions.get("Ready") == "True",
        ending="deletionTimestamp" in metadata,
    )


def _described(pods: Sequence[Pod]) -> str:
    return ", ".join(f"{pod.name} {'ready' if pod.ready else 'not ready'}" for pod in pods) or "no pod"
