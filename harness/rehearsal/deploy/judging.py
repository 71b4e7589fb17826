"""The verdict of a deployment, from how Tilt ended, its snapshot and the rollouts. Pure.

Tilt's exit code alone is not believed: it is 0 with a replica missing, and with nothing deployed at all. Nor
is its snapshot: where that trails behind an exit code of 0, the cluster itself has the word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError
from rehearsal.core.verdicts import Verdict, combine
from rehearsal.deploy.advising import next_step
from rehearsal.deploy.rollouts import Rollout
from rehearsal.deploy.snapshot import ResourceState, Snapshot

_TILTFILE_TAIL_LINES = 8  # Starlark's trace and the message


@dataclass(frozen=True, slots=True)
class ResourceResult:
    """One resource's verdict and, if it is not PASS, why, with its last log lines.

    INVALID is one that nobody could judge, because another ended the deployment before it was reached.
    """

    name: str
    verdict: Verdict
    reason: str = ""
    log_tail: tuple[str, ...] = ()
    hint: str = ""  # what to do next about a failure


@dataclass(frozen=True, slots=True)
class DeployResult:
    """The verdict of a deployment and of each of its resources, in the order of the Tiltfile."""

    verdict: Verdict
    resources: tuple[ResourceResult, ...]
    reason: str = ""  # of the whole, when no single resource tells it

    def of(self, verdict: Verdict) -> tuple[ResourceResult, ...]:
        """Return the resources with a verdict."""
        return tuple(one for one in self.resources if one.verdict is verdict)


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
    culprits = _culprits(snapshot.workloads) if exit_code != 0 else ()
    results = tuple(_judge_resource(one, culprits, rollouts) for one in snapshot.workloads)
    verdict = combine(one.verdict for one in results)
    if exit_code != 0 and verdict is Verdict.PASS:
        raise HarnessError(
            "TILT_CONTRADICTS",
            f"`tilt ci` ended with {exit_code}, and no resource of its snapshot says why",
            hint="Its log is beside the snapshot.",
        )
    return DeployResult(verdict, results)


def _culprits(states: Sequence[ResourceState]) -> tuple[ResourceState, ...]:
    """Return what a deployment failed at: `tilt ci` ends at the first error, whatever else is under way.

    Where nothing is in error the time was over: then those that were applied and did not become ready, for
    which others may have waited, else all that were not done.
    """
    unsettled = [one for one in states if not one.settled]
    failed = [one for one in unsettled if one.failed]
    return tuple(failed or [one for one in unsettled if one.update == "ok"] or unsettled)


def _judge_resource(
    state: ResourceState, culprits: Sequence[ResourceState], rollouts: Sequence[Rollout]
) -> ResourceResult:
    if culprits and not state.settled and state not in culprits:
        return ResourceResult(state.name, Verdict.INVALID, _not_reached(state, culprits))
    rollouts = [one for one in rollouts if one.name in _names(state) and not one.complete]
    reason = _reason(state, culprits, rollouts)
    if not reason:
        return ResourceResult(state.name, Verdict.PASS)
    return ResourceResult(state.name, Verdict.FAIL, reason, state.log_tail, next_step(state, rollouts))


def _not_reached(state: ResourceState, culprits: Sequence[ResourceState]) -> str:
    if state.waits_for:
        return f"not reached: it waits for {', '.join(state.waits_for)}"
    ended = f"the deployment ended at {', '.join(one.name for one in culprits)}"
    if state.update == "ok":
        return f"not ready when {ended}"
    return f"not reached: {ended}"


def _reason(state: ResourceState, culprits: Sequence[ResourceState], incomplete: Sequence[Rollout]) -> str:
    if state.failed:
        return state.error or f"update {state.update}, runtime {state.runtime}"
    if state in culprits:
        pod = f", its pod is {state.pod_status}" if state.pod_status else ""
        return f"not ready in time: update {state.update}, runtime {state.runtime}{pod}"
    return "; ".join(map(str, incomplete))


def _names(state: ResourceState) -> set[str]:
    """Return what the workloads of a resource are called."""
    return {state.name} if state.workload_unseen else {name.split(":")[0] for name in state.objects}
