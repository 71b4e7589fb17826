"""How everything is: the cluster, what is deployed on it, what is to be undone, and the newest run. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rehearsal.cluster import status as cluster_status
from rehearsal.cluster.status import ClusterStatus
from rehearsal.deploy.rollouts import Rollout


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run of this checkout."""

    id: str
    verdict: str
    sentence: str
    page: str  # its report


@dataclass(frozen=True, slots=True)
class Overview:
    """What a person asks for first."""

    cluster: ClusterStatus
    workloads: Sequence[Rollout] = ()
    other_tree: str = ""  # what runs there instead of this tree; empty when it is this one
    to_undo: Sequence[str] = ()  # left by a killed run
    run: LastRun | None = None
    left_on: Sequence[str] = ()  # other clusters, by their contexts: what is there keeps no run from this one

    @property
    def waiting(self) -> list[Rollout]:
        """The workloads that are not whole."""
        return [one for one in self.workloads if not one.complete]

    @property
    def well(self) -> bool:
        """Whether a run could go on with what is there."""
        there = self.cluster.healthy and bool(self.workloads)
        return there and not (self.waiting or self.other_tree or self.to_undo)

    def as_record(self) -> dict[str, object]:
        """Return everything as JSON values."""
        run = self.run
        return {
            "well": self.well,
            "cluster": self.cluster.as_record(),
            "workloads": {
                f"{one.namespace}/{one.name}": {
                    "kind": one.kind,
                    "wanted": one.wanted,
                    "ready": one.ready,
                    "complete": one.complete,
                }
                for one in self.workloads
            },
            "deployed": self.other_tree or "this tree",
            "to_undo": list(self.to_undo),
            "left_on": list(self.left_on),
            "run": run and {"id": run.id, "verdict": run.verdict, "says": run.sentence, "report": run.page},
        }


def render(found: Overview) -> str:
    """Return everything for people."""
    lines = [cluster_status.render(found.cluster)]
    if found.workloads:
        whole = len(found.workloads) - len(found.waiting)
        lines.append(f"stack     {whole} of {len(found.workloads)} workloads are whole")
        lines += [f"waiting   {one}" for one in found.waiting]
        lines.append(f"deployed  {found.other_tree or 'this tree'}")
    elif found.cluster.healthy:
        lines.append("stack     nothing is deployed: rehearsal up")
    lines += [f"LEFT      {what}: rehearsal undo" for what in found.to_undo]
    lines += [f"LEFT      something on {context}: rehearsal undo" for context in found.left_on]
    if found.run:
        lines.append(f"last run  {found.run.verdict}: {found.run.sentence} ({found.run.page})")
    return "\n".join(lines)
