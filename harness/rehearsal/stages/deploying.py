"""The deploy stage: everything on the cluster, from this tree, every replica ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from rehearsal.core.checks import Check, CheckKind, Severity
from rehearsal.core.verdicts import Verdict
from rehearsal.deploy.differences import Comparison, compare
from rehearsal.deploy.hardening import weaknesses
from rehearsal.deploy.judging import DeployResult, ResourceResult
from rehearsal.deploy.manifests import Manifest, containers
from rehearsal.stages.room import Room, Stage

READY = CheckKind("deploy.ready", "Everything that is deployed becomes ready", Severity.HIGH)
FIDELITY = CheckKind(
    "deploy.fidelity", "What runs here differs from production only as explained", Severity.HIGH
)
HARDENED = CheckKind("deploy.hardened", "No container has rights that it does not need", Severity.MEDIUM)
CHECKS = (READY, FIDELITY, HARDENED)
_SHOWN = 5  # differences or weaknesses in a sentence
Manifests: TypeAlias = Sequence[Manifest]


class Deploying(Protocol):
    """The part of a deployment that is needed here."""

    @property
    def log(self) -> Path:
        """Tilt's whole output."""

    def run(self, resources: tuple[str, ...]) -> DeployResult:
        """Deploy and return the verdict."""


def deploy_stage(
    deployment: Callable[[Path], Deploying], manifests: Callable[[], tuple[Manifests, Manifests]]
) -> Stage:
    """Return the stage.

    `deployment` makes what deploys, with a folder for its artefacts; `manifests` are production's and those
    that are deployed here.
    """

    def work(room: Room) -> None:
        production, local = manifests()
        room.record(judge_fidelity(compare(production, local)))
        room.record(judge_hardening(local))
        deploying = deployment(room.folder)
        result = deploying.run(())
        if result.reason:
            room.record(READY.invalid("everything", result.reason))
        log = str(deploying.log.relative_to(room.run))
        for one in result.resources:
            _record(room, one, log)

    return work


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


def judge_hardening(objects: Sequence[Manifest]) -> Check:
    """Return whether the containers of all workloads are bounded in what they may do and use."""
    looked = list(containers(objects))
    if not looked:
        return HARDENED.invalid("the manifests", "there is no container in them")
    found = list(weaknesses(objects))
    if not found:
        return HARDENED.passed(
            "the manifests", f"{len(looked)} containers have no more rights than they need"
        )
    return HARDENED.failed(
        "the manifests",
        f"{len(found)} weaknesses in {len({(one.workload, one.container) for one in found})} containers",
        expected="non-root, no privileges, a read-only root, no capabilities, requests and a limit of memory",
        observed="; ".join(map(str, found[:_SHOWN])),
        reproduce="rehearsal render",
    )


def _record(room: Room, one: ResourceResult, log: str) -> None:
    if one.verdict is Verdict.PASS:
        room.record(READY.passed(one.name, f"{one.name} is ready"))
        return
    (room.folder / f"{one.name}.txt").write_text("\n".join(one.log_tail) + "\n", encoding="utf-8")
    room.record(
        READY.failed(
            one.name,
            f"{one.name} did not become ready: {one.reason}",
            expected="every replica ready, of the newest template",
            observed=one.reason,
            evidence=(f"{room.stage}/{one.name}.txt", log),
            reproduce=f"rehearsal up --ci {one.name}",
        )
    )
