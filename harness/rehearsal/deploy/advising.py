"""What to do next about a resource that failed, by the kind of its failure. Pure.

The kind is read from what Tilt and Kubernetes say of it; whether it failed is decided in
`rehearsal.deploy.judging`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rehearsal.deploy.rollouts import Rollout
from rehearsal.deploy.snapshot import ResourceState

# How Tilt begins the error of an update, by what refused it.
_APPLYING = "kubernetes apply"
_BUILDING = re.compile(r"ImageBuild|build failed|failed to solve|Docker", re.IGNORECASE)
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff")
# A container cannot even be made: what its environment or its volumes name is not there.
_INCOMPLETE = ("CreateContainerConfigError", "CreateContainerError")
# What stands in the lines may have passed since: these count only while the pod has not come further.
_NOT_MADE, _NOT_PLACED = "ContainerCreating", "Pending"
_MISSING = re.compile(r'(?:secret|configmap) "[^"]+" not found|references non-existent', re.IGNORECASE)
_NO_ROOM = re.compile(r"nodes are available|Insufficient (?:cpu|memory)|FailedScheduling")


def next_step(state: ResourceState, incomplete: Sequence[Rollout] = ()) -> str:
    """Return what somebody does next about a failed resource, with the command."""
    again = f"`rehearsal up --ci {state.name}`"
    if state.update == "error":
        return _after_update(state, again)
    if state.pod_status in _NOT_PULLED:
        return f"`rehearsal cluster repair` mends the registry and the nodes' way to it; then {again}."
    said = "\n".join(state.log_tail)
    if state.pod_status in _INCOMPLETE or (state.pod_status == _NOT_MADE and _MISSING.search(said)):
        return (
            "`rehearsal prepare` makes all Secrets again. What it does not make is misspelt in k8s/, or "
            f"missing there: `rehearsal render` prints what was applied. Then {again}."
        )
    if state.pod_status == _NOT_PLACED and _NO_ROOM.search(said):
        return (
            'No node has room for its pod: `eval "$(rehearsal env)"; kubectl describe nodes` shows what they '
            "hold. For a smaller profile: `rehearsal down`, then `rehearsal up --profile light`."
        )
    if _is_job(state):
        return f"Correct what its last lines complain about, then run the Job again: {again}."
    if incomplete:
        one = incomplete[0]
        which = f"kubectl --namespace {one.namespace} describe {one.kind} {one.name}"
        return f'`eval "$(rehearsal env)"; {which}` says what its pods lack; then {again}.'
    return (
        f"`rehearsal logs {state.name}` has all of its lines, `rehearsal explain deploy.ready` how to tell a "
        f"crash from a probe; then {again}."
    )


def _after_update(state: ResourceState, again: str) -> str:
    if _APPLYING in state.error:
        return f"Correct it in k8s/: `rehearsal render` prints what was applied. Then {again}."
    if _BUILDING.search(state.error):
        return f"Correct what its build complains about; then {again}."
    return f"Correct what its last lines complain about; then {again}."


def _is_job(state: ResourceState) -> bool:
    return any(name.split(":")[1:2] == ["job"] for name in state.objects)
