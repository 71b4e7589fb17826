"""What Tilt's snapshot says: each resource's state, and its last log lines.

`tilt ci` writes the snapshot when it ends, and nothing else of its state outlives it. Judging is left to
`rehearsal.deploy.judging`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rehearsal.core.errors import HarnessError

TILTFILE = "(Tiltfile)"
TAIL_LINES = 25  # what a person reads of a failure before opening the log


@dataclass(frozen=True, slots=True)
class ResourceState:
    """One resource of the Tiltfile, the Tiltfile itself included."""

    name: str
    enabled: bool
    update: str  # ok, error, pending, in_progress, none, not_applicable
    runtime: str
    error: str  # why it failed, in Tilt's or Kubernetes' words; empty when it did not
    objects: tuple[str, ...]  # what it applied, as name:kind or name:kind:namespace
    log_tail: tuple[str, ...]
    pod_status: str = ""  # of its newest pod, as `kubectl get pods` shows it
    waits_for: tuple[str, ...] = ()  # the resources that hold it back

    @property
    def failed(self) -> bool:
        """Whether its update or what runs of it is in error."""
        return "error" in (self.update, self.runtime)

    @property
    def settled(self) -> bool:
        """Whether nothing of it is outstanding and nothing in error."""
        return self.update in _DONE and self.runtime in _DONE

    @property
    def workload_unseen(self) -> bool:
        """Whether a workload of it was still outstanding when the snapshot was written.

        `tilt ci` may decide that all is well before its own view, which the snapshot holds, has caught up:
        seen when nothing had to be changed.
        """
        return not self.failed and not self.settled and self.runtime != "not_applicable"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The end of a Tilt run."""

    resources: tuple[ResourceState, ...]
    fatal_error: str
    cluster_error: str

    @property
    def tiltfile(self) -> ResourceState | None:
        """The state of the Tiltfile's own evaluation."""
        return next((one for one in self.resources if one.name == TILTFILE), None)

    @property
    def workloads(self) -> tuple[ResourceState, ...]:
        """All enabled resources but the Tiltfile."""
        return tuple(one for one in self.resources if one.name != TILTFILE and one.enabled)


_DONE = frozenset({"ok", "not_applicable"})


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Name(_Model):
    name: str


class _Build(_Model):
    error: str = ""


class _Pod(_Model):
    status: str = Field("", alias="podStatus")
    message: str = Field("", alias="podStatusMessage")
    objects: tuple[str, ...] = Field((), alias="displayNames")


class _On(_Model):
    name: str = ""


class _Waiting(_Model):
    on: tuple[_On, ...] = ()


class _Disable(_Model):
    state: str = "Enabled"


class _Status(_Model):
    update: str = Field("", alias="updateStatus")
    runtime: str = Field("", alias="runtimeStatus")
    builds: tuple[_Build, ...] = Field((), alias="buildHistory")
    pod: _Pod | None = Field(None, alias="k8sResourceInfo")
    disable: _Disable = Field(_Disable(), alias="disableStatus")
    waiting: _Waiting | None = None


class _Resource(_Model):
    metadata: _Name
    status: _Status


class _Segment(_Model):
    span: str = Field("", alias="spanId")
    text: str = ""


class _Logs(_Model):
    spans: Mapping[str, Mapping[str, Any]] = {}
    segments: tuple[_Segment, ...] = ()


class _ClusterStatus(_Model):
    error: str = ""


class _Cluster(_Model):
    status: _ClusterStatus = _ClusterStatus()


class _View(_Model):
    resources: tuple[_Resource, ...] = Field((), alias="uiResources")
    clusters: tuple[_Cluster, ...] = ()
    logs: _Logs = Field(_Logs(), alias="logList")
    fatal_error: str = Field("", alias="fatalError")


class _File(_Model):
    view: _View


def read(path: Path) -> Snapshot:
    """Read a snapshot file. Raises HarnessError when it is missing or not what Tilt writes."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return _convert(_File.model_validate(raw).view)
    except (OSError, ValueError, ValidationError) as error:
        raise HarnessError(
            "TILT_SNAPSHOT_UNREADABLE",
            f"Tilt's snapshot {path} cannot be read: {error}",
            hint="Tilt writes it when it ends by itself; its log says whether it did.",
        ) from error


def _convert(view: _View) -> Snapshot:
    tails = _tails(view.logs)
    return Snapshot(
        resources=tuple(_state(one, tails) for one in view.resources),
        fatal_error=view.fatal_error,
        cluster_error=next((one.status.error for one in view.clusters if one.status.error), ""),
    )


def _state(resource: _Resource, tails: Mapping[str, Sequence[str]]) -> ResourceState:
    status, name = resource.status, resource.metadata.name
    return ResourceState(
        name=name,
        enabled=status.disable.state != "Disabled",
        update=status.update,
        runtime=status.runtime,
        error=_error(status),
        objects=status.pod.objects if status.pod else (),
        log_tail=tuple(tails.get(name, ())[-TAIL_LINES:]),
        pod_status=status.pod.status if status.pod else "",
        waits_for=tuple(one.name for one in status.waiting.on if one.name) if status.waiting else (),
    )


def _error(status: _Status) -> str:
    if status.update == "error" and status.builds:
        return status.builds[0].error  # the newest comes first
    if status.runtime == "error" and status.pod:
        return ": ".join(filter(None, [status.pod.status, status.pod.message]))
    return ""


def _tails(logs: _Logs) -> dict[str, list[str]]:
    """Return each resource's log lines, in order; a segment may hold a part of a line or several."""
    owners = {span: str(info.get("manifestName") or "") for span, info in logs.spans.items()}
    texts: dict[str, list[str]] = {}
    for segment in logs.segments:
        texts.setdefault(owners.get(segment.span, ""), []).append(segment.text)
    return {
        owner: [line for line in "".join(parts).splitlines() if line.strip()]
        for owner, parts in texts.items()
    }
