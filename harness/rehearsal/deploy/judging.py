"""The verdict of a deployment, from how Tilt ended, its snapshot and the rollouts. Pure.

Tilt's exit code alone is not believed: it is 0 with a replica missing, and with nothing deployed at all. Nor
is its snapshot: where that trails behind an exit code of 0, the cluster itself has the word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError
from rehearsal.core.verdicts import Verdict, combine
from rehearsal.deploy.rollouts import Rollout
from rehearsal.deploy.snapshot import ResourceState, Snapshot

_TILTFILE_TAIL_LINES = 8  # Starlark's trace and the message


@dataclass(frozen=True, slots=True)
class ResourceResult:
    """One resource's verdict and, if it is not PASS, why, with its last log lines."""

    name: str
    verdict: Verdict
    reason: str = ""
    log_tail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeployResult:
    """The verdict of a deployment and of each of its resources."""

    verdict: Verdict
    resources: tuple[ResourceResult, ...]
    reason: str = ""  # of the whole, when no single resource tells it


def require_start(snapshot: Snapshot) -> None:
    """Raise EnvironmentNotReadyError when Tilt could not deploy: nothing is known of the product then."""
    tiltfile = snapshot.tiltfile
    if tiltfile is not None and tiltfile.failed:
        raise EnvironmentNotReadyError(
            "TILTFILE_REFUSED",
            "the Tiltfile ended with an error:\n" + "\n".join(tiltfile.log_tail[-_TILTFILE_TAIL_LINES:]),
            hint="Its last lines say what to do.",
        )
    if snapshot.cluster_error:
        raise EnvironmentNotReadyError(
            "TILT_CLUSTER_UNREACHABLE",
            f"Tilt lost the cluster: {snapshot.cluster_error}",
            hint="`rehearsal cluster status` says what is down; `rehearsal cluster repair` mends it.",
        )
    if snapshot.fatal_error:
        raise HarnessError(
            "TILT_BROKE",
            f"Tilt ended by itself: {snapshot.fatal_error}",
            hint="Its log is beside the snapshot.",
        )


def judge(exit_code: int, snapshot: Snapshot, rollouts: Sequence[Rollout]) -> DeployResult:
    """Return the verdict of a deployment that began.

    Raises what `require_start` raises, and HarnessError when Tilt failed without saying at what.
    """
    require_start(snapshot)
    if not snapshot.workloads:
        return DeployResult(Verdict.INVALID, (), "nothing was deployed: no resource is enabled")
    results = tuple(_judge_resource(exit_code, one, rollouts) for one in snapshot.workloads)
    verdict = combine(one.verdict for one in results)
    if exit_code != 0 and verdict is Verdict.PASS:
        raise HarnessError(
            "TILT_CONTRADICTS",
            f"`tilt ci` ended with {exit_code}, and no resource of its snapshot says why",
            hint="Its log is beside the snapshot.",
        )
    return DeployResult(verdict, results)


def _judge_resource(exit_code: int, state: ResourceState, rollouts: Sequence[Rollout]) -> ResourceResult:
    reason = _reason(exit_code, state, rollouts)
    if not reason:
        return ResourceResult(state.name, Verdict.PASS)
    return ResourceResult(state.name, Verdict.FAIL, reason, state.log_tail)


def _reason(exit_code: int, state: ResourceState, rollouts: Sequence[Rollout]) -> str:
    if state.failed:
        return state.error or f"update {state.update}, runtime {state.runtime}"
    if exit_code != 0 and not state.settled:
        return f"not ready in time: update {state.update}, runtime {state.runtime}"
    names = {state.name} if state.workload_unseen else {name.split(":")[0] for name in state.objects}
    incomplete = [str(one) for one in rollouts if one.name in names and not one.complete]
    return "; ".join(incomplete)
