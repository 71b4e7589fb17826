"""Deploying once, with a Tilt that leaves what the real one left, and an API of our own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Event, StepFinished, StepProgress
from rehearsal.core.verdicts import Verdict
from rehearsal.deploy.deploying import Deployment, describe
from rehearsal.deploy.tilt import CiEnd

_SNAPSHOTS = Path(__file__).parent / "snapshots"


@dataclass
class FakeTilt:
    """A Tilt that leaves a given snapshot."""

    leaves: str | None
    exit_code: int = 0
    asked: list[str] = field(default_factory=list)

    def ci(
        self,
        resources: Sequence[str],
        *,
        snapshot: Path,
        log: Path,
        timeout_seconds: float,
        on_line: Callable[[str], None],
    ) -> CiEnd:
        self.asked += resources
        on_line("        echo │ Building image")
        if self.leaves is not None:
            snapshot.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(_SNAPSHOTS / self.leaves, snapshot)
        return CiEnd(self.exit_code, 1.0, "panic: cannot open display\n")

    def up(self, resources: Sequence[str]) -> int:
        raise AssertionError("not asked for here")


@dataclass
class FakeApi:
    """An API whose Deployment has so many replicas ready, one more at each look."""

    ready: int
    most: int = 2

    def get(self, path: str) -> Mapping[str, Any]:
        if path.startswith("/api/v1/namespaces?"):
            return {"items": [{"metadata": {"name": "rehearsal-echo"}}]}
        if "/deployments" not in path:
            return {"items": []}
        now, self.ready = self.ready, min(self.most, self.ready + 1)
        status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": now}
        metadata = {"name": "echo", "namespace": "rehearsal-echo", "generation": 1}
        return {"items": [{"metadata": metadata, "spec": {"replicas": 2}, "status": status}]}


def _deployment(
    tmp_path: Path,
    tilt: FakeTilt,
    api: FakeApi,
    events: list[Event] | None = None,
    patience_seconds: float = 0.0,
) -> Deployment:
    heard: list[Event] = [] if events is None else events
    return Deployment(tilt, api, tmp_path / "artefacts", heard.append, rollout_seconds=patience_seconds)


def test_a_good_deployment_passes(tmp_path: Path) -> None:
    assert _deployment(tmp_path, FakeTilt("green.json"), FakeApi(2)).run([]).verdict is Verdict.PASS


def test_a_replica_that_comes_later_is_awaited(tmp_path: Path) -> None:
    deployment = _deployment(tmp_path, FakeTilt("green.json"), FakeApi(1), patience_seconds=60)
    assert deployment.run([]).verdict is Verdict.PASS


@pytest.mark.parametrize(("ready", "verdict"), [(2, Verdict.PASS), (1, Verdict.FAIL)])
def test_a_snapshot_that_trails_behind_is_checked_at_the_cluster(
    tmp_path: Path, ready: int, verdict: Verdict
) -> None:
    tilt = FakeTilt("trailing.json")
    assert _deployment(tmp_path, tilt, FakeApi(ready, most=ready)).run([]).verdict is verdict


def test_a_replica_that_never_comes_fails(tmp_path: Path) -> None:
    result = _deployment(tmp_path, FakeTilt("green.json"), FakeApi(1, most=1)).run([])
    assert result.verdict is Verdict.FAIL
    assert "1 of 2 replicas ready" in result.resources[0].reason


def test_a_failed_one_is_described_with_reason_log_and_last_lines(tmp_path: Path) -> None:
    deployment = _deployment(tmp_path, FakeTilt("pull-failed.json", exit_code=1), FakeApi(0, most=0))
    text = describe(deployment.run([]), deployment.log)
    assert text.startswith("FAIL: echo; 0 of 1 resources are well\n\necho: ErrImagePull")
    assert "  | [event: pod rehearsal-echo/echo-" in text
    assert text.endswith(f"The whole log: {deployment.log}")


def test_a_good_one_is_described_in_one_line(tmp_path: Path) -> None:
    deployment = _deployment(tmp_path, FakeTilt("green.json"), FakeApi(2))
    assert describe(deployment.run([]), deployment.log) == "PASS: 1 of 1 resources are well"


def test_no_snapshot_is_the_environment_s_fault_and_shows_the_last_output(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="cannot open display"):
        _deployment(tmp_path, FakeTilt(None, exit_code=1), FakeApi(2)).run([])


def test_the_log_does_not_grow_with_every_deployment_and_the_last_one_is_kept(tmp_path: Path) -> None:
    deployment = _deployment(tmp_path, FakeTilt("green.json"), FakeApi(2))
    for name in ("first", "second", "third"):
        deployment.run([])
        deployment.log.write_text(name)

    assert deployment.log.read_text() == "third"
    assert (deployment.artefacts / "tilt.previous.log").read_text() == "second"
    assert len(list(deployment.artefacts.iterdir())) == 3


def test_only_the_named_resources_are_asked_for(tmp_path: Path) -> None:
    tilt = FakeTilt("green.json")
    _deployment(tmp_path, tilt, FakeApi(2)).run(["echo"])
    assert tilt.asked == ["echo"]


def test_tilt_s_lines_are_progress_without_their_frame(tmp_path: Path) -> None:
    events: list[Event] = []
    _deployment(tmp_path, FakeTilt("green.json"), FakeApi(2), events).run([])
    assert StepProgress("deploy", "echo: Building image") in events


def test_the_step_ends_with_the_verdict(tmp_path: Path) -> None:
    events: list[Event] = []
    _deployment(tmp_path, FakeTilt("green.json"), FakeApi(2), events).run([])
    assert isinstance(events[-1], StepFinished)
    assert events[-1].detail == "PASS: 1 of 1 resources are well"


@pytest.mark.parametrize(
    ("ready", "resources", "said"),
    [(2, [], ["passed"]), (1, [], []), (2, ["echo"], [])],
    ids=["all of it is well", "a replica is missing", "only a part was deployed"],
)
def test_only_a_whole_deployment_that_is_well_is_said_to_have_passed(
    tmp_path: Path, ready: int, resources: list[str], said: list[str]
) -> None:
    heard: list[str] = []
    deployment = _deployment(tmp_path, FakeTilt("green.json"), FakeApi(ready, most=ready))
    replace(deployment, passed=lambda: heard.append("passed")).run(resources)
    assert heard == said
