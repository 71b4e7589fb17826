"""The deploy stage: everything on the cluster, from this tree, every replica ready."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from rehearsal.core.checks import Check, CheckKind, Severity
from rehearsal.core.verdicts import Verdict
from rehearsal.deploy.differences import Comparison, compare
from rehearsal.deploy.hardening import weaknesses
from rehearsal.deploy.judging import DeployResult, ResourceResult
from rehearsal.deploy.leaving import rudenesses, served
from rehearsal.deploy.manifests import Manifest, containers
from rehearsal.deploy.scalability import autoscalers, obstacles, target_name
from rehearsal.stages.artefacts import keep_end, leave_out
from rehearsal.stages.room import Room, Stage

READY = CheckKind("deploy.ready", "Everything that is deployed becomes ready", Severity.HIGH)
FIDELITY = CheckKind(
    "deploy.fidelity", "What runs here differs from production only as explained", Severity.HIGH
)
HARDENED = CheckKind("deploy.hardened", "No container has rights that it does not need", Severity.MEDIUM)
SCALABLE = CheckKind("deploy.scalable", "Every HPA can scale its workload", Severity.HIGH)
GRACEFUL = CheckKind(
    "deploy.graceful", "Pods leave after their traffic, and restart only for their own sake", Severity.HIGH
)
CHECKS = (READY, FIDELITY, HARDENED, SCALABLE, GRACEFUL)
_MOST_LOG_BYTES = 8 << 20  # of Tilt's output, at its end; an ordinary one has 0.4 MiB
_MOST_SNAPSHOT_BYTES = 16 << 20  # an ordinary one has 1.3 MiB
_SHOWN = 5  # differences or weaknesses in a sentence
Manifests: TypeAlias = Sequence[Manifest]


class Deploying(Protocol):
    """The part of a deployment that is needed here."""

    @property
    def log(self) -> Path:
        """Tilt's output."""

    @property
    def snapshot(self) -> Path:
        """Tilt's state at its end."""

    def run(self, resources: tuple[str, ...]) -> DeployResult:
        """Deploy and return the verdict."""


def deploy_stage(
    deployment: Callable[[Path], Deploying],
    manifests: Callable[[], tuple[Manifests, Manifests]],
    working_set_mib: Mapping[str, int],
) -> Stage:
    """Return the stage.

    `deployment` makes what deploys, with a folder for its artefacts; `manifests` are production's and those
    that are deployed here; `working_set_mib` is what an idle pod uses, by workload.
    """

    def work(room: Room) -> None:
        for check in judge_manifests(*manifests(), working_set_mib):
            room.record(check)
        deploying = deployment(room.folder)
        try:
            result = deploying.run(())
        finally:
            keep_end(deploying.log, _MOST_LOG_BYTES)
            leave_out(deploying.snapshot, _MOST_SNAPSHOT_BYTES)
        if result.reason:
            room.record(READY.invalid("everything", result.reason))
        log = str(deploying.log.relative_to(room.run))
        for one in result.resources:
            _record(room, one, log)

    return work


def judge_manifests(
    production: Manifests, local: Manifests, working_set_mib: Mapping[str, int]
) -> Iterator[Check]:
    """Yield what manifests show before anything is deployed."""
    yield judge_fidelity(compare(production, local))
    yield from judge_hardening(local)
    yield from judge_scalability(production, working_set_mib)
    yield from judge_leaving(production)


def judge_fidelity(found: Comparison) -> Check:
    """Return whether every difference from production has a reason."""
    explained = sum(map(len, found.explained.values()))
    if not found.unexplained:
        return FIDELITY.passed(
            "the manifests", f"{explained} fields differ from production, each for a reason"
        )
    return FIDELITY.failed(
        "the manifests",
        f"{len(found.unexplained)} fields differ from production, and nothing says why",
        expected="production's value, or a rule that explains the difference",
        observed="; ".join(map(str, found.unexplained[:_SHOWN])),
        reproduce="rehearsal diff production",
        source="harness/rehearsal/deploy/differences.py",
    )


def judge_hardening(objects: Manifests) -> Iterator[Check]:
    """Yield whether the containers of all workloads are bounded in what they may do and use."""
    looked = list(containers(objects))
    found = [(one.workload, f"{one.container}: {one.what}") for one in weaknesses(objects)]
    yield from _by_workload(
        HARDENED,
        found,
        looked,
        good=f"{len(looked)} containers have no more rights than they need",
        expected="non-root, no privileges, a read-only root, no capabilities, requests and a limit of memory",
        reproduce="rehearsal render",
    )


def judge_scalability(objects: Manifests, working_set_mib: Mapping[str, int]) -> Iterator[Check]:
    """Yield whether each HPA of production can do its work."""
    looked = autoscalers(objects)
    yield from _by_workload(
        SCALABLE,
        [(one.workload, one.what) for one in obstacles(objects, working_set_mib)],
        looked,
        good=f"nothing keeps the HPAs of {', '.join(map(target_name, looked))} from their work",
        expected="requests of what the HPA looks at, room above an idle pod, and replicas left to the HPA",
        reproduce="rehearsal inspect",
    )


def judge_leaving(objects: Manifests) -> Iterator[Check]:
    """Yield whether pods that serve end and restart as they should."""
    looked = served(objects)
    yield from _by_workload(
        GRACEFUL,
        [(one.workload, one.what) for one in rudenesses(objects)],
        looked,
        good=f"the pods of {len(looked)} workloads leave after their traffic, and restart for their own sake",
        expected="a preStop that leaves time to end, and a liveness probe that asks the process only",
        reproduce="rehearsal inspect",
    )


def _by_workload(
    kind: CheckKind,
    found: Sequence[tuple[str, str]],
    looked: Collection[object],
    *,
    good: str,
    expected: str,
    reproduce: str,
) -> Iterator[Check]:
    """Yield a failed check for each workload with something wrong, else that all is well."""
    if not looked:
        yield kind.invalid("the manifests", "there is nothing in them that it looks at")
    elif not found:
        yield kind.passed("the manifests", good)
    for workload in dict.fromkeys(workload for workload, _ in found):
        wrong = [what for one, what in found if one == workload]
        more = f"; and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        yield kind.failed(
            workload,
            f"{workload}: {wrong[0]}{more}",
            expected=expected,
            observed="; ".join(wrong[:_SHOWN]),
            reproduce=reproduce,
            source="k8s",
        )


def _record(room: Room, one: ResourceResult, log: str) -> None:
    if one.verdict is Verdict.PASS:
        room.record(READY.passed(one.name, f"{one.name} is ready"))
        return
    if one.verdict is Verdict.INVALID:
        room.record(READY.invalid(one.name, f"{one.name} was not looked at: {one.reason}"))
        return
    (room.folder / f"{one.name}.txt").write_text("\n".join(one.log_tail) + "\n", encoding="utf-8")
    room.record(
        READY.failed(
            one.name,
            f"{one.name} did not become ready: {one.reason}",
            expected="every replica ready, of the newest template",
            observed=f"{one.reason}; next: {one.hint}" if one.hint else one.reason,
            evidence=(f"{room.stage}/{one.name}.txt", log),
            reproduce=f"rehearsal up --ci {one.name}",
        )
    )
