"""The deploy stage: one check for each resource."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from rehearsal.core.checks import Check
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.verdicts import Verdict
from rehearsal.deploy.differences import compare
from rehearsal.deploy.judging import DeployResult, ResourceResult
from rehearsal.deploy.manifests import Manifest
from rehearsal.stages.deploying import deploy_stage, judge_fidelity, judge_hardening
from rehearsal.stages.room import Room

_JOB: Manifest = {
    "kind": "Job",
    "metadata": {"name": "topics", "namespace": "mambogo-production"},
    "spec": {"template": {"spec": {"containers": [{"name": "topics"}]}}},
}
GOOD = ResourceResult("product-service", Verdict.PASS)
BAD = ResourceResult("order-service", Verdict.FAIL, "CrashLoopBackOff", ("Traceback", "KeyError: 'DATABASE'"))
UNREACHED = ResourceResult("cdn", Verdict.INVALID, "not reached: it waits for load-balancer")


@dataclass(frozen=True)
class Planted:
    """A deployment that ends as it is told."""

    folder: Path
    result: DeployResult
    lines: int = 1
    snapshot_bytes: int = 2
    error: Exception | None = None

    @property
    def log(self) -> Path:
        """Return where Tilt's output would be."""
        return self.folder / "tilt.log"

    @property
    def snapshot(self) -> Path:
        """Return where Tilt's state would be."""
        return self.folder / "tilt-snapshot.json"

    def run(self, resources: tuple[str, ...]) -> DeployResult:
        """Return the planted result, and leave as much as Tilt once did."""
        self.log.write_bytes(b"a line of sixteen\n" * self.lines)
        self.snapshot.write_bytes(b" " * self.snapshot_bytes)
        if self.error is not None:
            raise self.error
        return self.result


def _deploy(room: Room, *results: ResourceResult, reason: str = "") -> None:
    result = DeployResult(Verdict.PASS, results, reason)
    deploy_stage(lambda folder: Planted(folder, result), lambda: ([_JOB], [_JOB]), {})(room)


def _ready(room: Room) -> list[Check]:
    return [one for one in room.checks if one.id == "deploy.ready"]


@pytest.mark.parametrize("error", [None, EnvironmentNotReadyError("GONE", "it is gone", hint="")])
def test_what_tilt_leaves_is_bounded_also_when_nothing_can_be_said(
    room: Room, error: EnvironmentNotReadyError | None
) -> None:
    def deployment(folder: Path) -> Planted:
        result = DeployResult(Verdict.PASS, (GOOD,))
        return Planted(folder, result, lines=1_000_000, snapshot_bytes=17 << 20, error=error)

    with nullcontext() if error is None else pytest.raises(EnvironmentNotReadyError):
        deploy_stage(deployment, lambda: ([_JOB], [_JOB]), {})(room)

    kept = {path.name: path.stat().st_size for path in room.folder.iterdir()}
    assert set(kept) == {"tilt.log", "tilt-snapshot.json.left-out.txt"}
    assert (7 << 20) < kept["tilt.log"] <= (8 << 20) + 100


def test_each_resource_is_a_check(room: Room) -> None:
    _deploy(room, GOOD, BAD)

    assert [(one.subject, one.verdict) for one in _ready(room)] == [
        ("product-service", Verdict.PASS),
        ("order-service", Verdict.FAIL),
    ]


def test_failed_resource_says_why_and_how_to_repeat_it(room: Room) -> None:
    _deploy(room, BAD)

    (check,) = _ready(room)
    assert "CrashLoopBackOff" in check.sentence
    assert check.reproduce == "rehearsal up --ci order-service"


def test_what_was_not_reached_because_of_it_is_no_failure_of_its_own(room: Room) -> None:
    _deploy(room, BAD, UNREACHED)

    assert [(one.subject, one.verdict) for one in _ready(room)] == [
        ("order-service", Verdict.FAIL),
        ("cdn", Verdict.INVALID),
    ]


def test_evidence_of_a_failed_resource_is_in_the_run(room: Room) -> None:
    _deploy(room, BAD)

    (check,) = _ready(room)
    assert "KeyError" in (room.run / check.evidence[0]).read_text(encoding="utf-8")


@pytest.mark.parametrize("results", [(), (GOOD,)])
def test_deployment_of_nothing_could_not_look(room: Room, results: tuple[ResourceResult, ...]) -> None:
    _deploy(room, *results, reason="nothing was deployed")

    assert _ready(room)[0].verdict is Verdict.INVALID


def test_manifests_are_judged_before_anything_is_deployed(room: Room) -> None:
    _deploy(room, GOOD)

    assert [(one.id, one.verdict) for one in room.checks[:4]] == [
        ("deploy.fidelity", Verdict.PASS),
        ("deploy.hardened", Verdict.FAIL),
        ("deploy.scalable", Verdict.INVALID),
        ("deploy.graceful", Verdict.INVALID),
    ]


def test_field_that_nobody_explains_is_named() -> None:
    other = {**_JOB, "spec": {"template": {"spec": {"containers": [{"name": "topics", "tty": True}]}}}}
    check = judge_fidelity(compare([_JOB], [other]))

    assert check.verdict is Verdict.FAIL
    assert "tty" in check.observed


def test_manifests_without_a_container_show_nothing() -> None:
    assert [one.verdict for one in judge_hardening([])] == [Verdict.INVALID]


def test_each_weak_workload_is_named() -> None:
    other = {**_JOB, "metadata": {"name": "other", "namespace": "mambogo-production"}}

    assert [one.subject for one in judge_hardening([_JOB, other])] == [
        "Job mambogo-production/topics",
        "Job mambogo-production/other",
    ]
