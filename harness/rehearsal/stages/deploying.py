"""The deploy stage: everything on the cluster, from this tree, every replica ready."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from rehearsal.core.checks import CheckKind, Severity
from rehearsal.core.verdicts import Verdict
from rehearsal.deploy.judging import DeployResult, ResourceResult
from rehearsal.stages.room import Room, Stage

READY = CheckKind("deploy.ready", "Everything that is deployed becomes ready", Severity.HIGH)
CHECKS = (READY,)


class Deploying(Protocol):
    """The part of a deployment that is needed here."""

    @property
    def log(self) -> Path:
        """Tilt's whole output."""

    def run(self, resources: tuple[str, ...]) -> DeployResult:
        """Deploy and return the verdict."""


def deploy_stage(deployment: Callable[[Path], Deploying]) -> Stage:
    """Return the stage; `deployment` makes what deploys, with a folder for its artefacts."""

    def work(room: Room) -> None:
        deploying = deployment(room.folder)
        result = deploying.run(())
        if result.reason:
            room.record(READY.invalid("everything", result.reason))
        log = str(deploying.log.relative_to(room.run))
        for one in result.resources:
            _record(room, one, log)

    return work


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
