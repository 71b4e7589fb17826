"""`rehearsal up --ci` on bad input: it ends in its own code, and names what, why, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from rehearsal.cli import environment_commands
from rehearsal.cli.composition import Workshop
from rehearsal.cli.main import run
from rehearsal.cluster import engine as cluster_engine
from rehearsal.core import catalogue
from rehearsal.core.verdicts import ExitCode
from rehearsal.deploy import kustomize, pushing
from rehearsal.deploy.deploying import Deployment
from rehearsal.deploy.manifests import Manifest, named
from rehearsal.deploy.rendering import Renderer
from rehearsal.deploy.tilt import CiEnd
from rehearsal.stages.doctor import requiring
from rehearsal.supply import inotify

from tests.cli.conftest import CHECKOUT, Ground
from tests.deploy.base import overlay_objects
from tests.deploy.endings import ENDINGS, Ending

_GIB = 1 << 30


@dataclass
class FailedTilt:
    """A Tilt that ends at one error."""

    ending: Ending
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
        self.ending.write(snapshot)
        return CiEnd(1, 1.0, "")

    def up(self, resources: Sequence[str]) -> int:
        self.asked += resources
        return ExitCode.PASS


class NoApi:
    """An API that nobody has to ask."""

    def get(self, path: str) -> Mapping[str, Any]:
        raise AssertionError(f"{path} was asked for, though nothing is well")


@pytest.fixture
def brought_up(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Return a ground on which a cluster is there."""
    monkeypatch.setattr(environment_commands, "bring_up", lambda *_, **__: None)
    return ground


def _use(tilt: FailedTilt, monkeypatch: pytest.MonkeyPatch) -> None:
    def deployment(shop: Workshop, artefacts: Path) -> Deployment:
        return Deployment(tilt, NoApi(), artefacts, shop.emit)

    monkeypatch.setattr(Workshop, "deployment", deployment)
    monkeypatch.setattr(Workshop, "tilt", lambda shop: tilt)


def _fail(ending: Ending, monkeypatch: pytest.MonkeyPatch) -> int:
    _use(FailedTilt(ending), monkeypatch)
    return run(["up", "--ci"])


@pytest.mark.parametrize("ci", [["--ci"], []], ids=["ci", "stay"])
@pytest.mark.usefixtures("brought_up")
def test_a_part_is_named_as_for_tilt_itself(ci: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tilt = FailedTilt(ENDINGS["never-ready"])
    _use(tilt, monkeypatch)
    run(["up", *ci, "--profile", "light", "order", "gateway"])
    assert tilt.asked == ["order", "gateway"]


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.usefixtures("brought_up")
def test_a_failure_ends_with_1_and_is_told_in_full(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ending = ENDINGS[name]
    code = _fail(ending, monkeypatch)
    said = capsys.readouterr().out
    assert code == ExitCode.FAIL
    told = [f"\n{ending.resource}: ", *(f"  | {line}" for line in ending.lines), "  next: ", *ending.says]
    assert [one for one in told if one not in said] == []


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.usefixtures("brought_up")
def test_one_failure_is_not_reported_as_several(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _fail(ENDINGS[name], monkeypatch)
    said = capsys.readouterr().out
    assert said.count("next: ") == 1
    assert f"\nFAIL: {ENDINGS[name].resource}; " in f"\n{said}"
    assert said.index(f"\n{ENDINGS[name].resource}: ") < f"{said}\nnot judged:".index("\nnot judged:")


@pytest.mark.usefixtures("brought_up")
def test_what_waits_for_the_failure_is_named_with_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _fail(ENDINGS["failed-migration"], monkeypatch)
    said = capsys.readouterr().out
    assert "\nnot judged:\n  order-service: not reached: it waits for orders-migrations\n" in said


@pytest.mark.usefixtures("brought_up")
def test_a_manifest_that_kubernetes_would_not_take_ends_with_2_before_anything_is_pushed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = overlay_objects()
    named(objects, "Deployment", "order-service")["spec"]["replica"] = 2
    code = _render_at_up(objects, monkeypatch)
    said = capsys.readouterr().err
    assert code == ExitCode.USAGE
    assert "order-service: spec.replica: there is no such field; replicas is meant?" in said
    assert "k8s/base/deployments/order-service.yaml" in said
    assert "next: Correct it" in said


@pytest.mark.usefixtures("brought_up")
def test_a_secret_that_nobody_makes_is_said_before_a_pod_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = overlay_objects()
    container = named(objects, "Deployment", "order-service")["spec"]["template"]["spec"]["containers"][0]
    lost = {"secretKeyRef": {"name": "orders-databse", "key": "password"}}
    container["env"].append({"name": "LOST", "valueFrom": lost})
    code = _render_at_up(objects, monkeypatch)
    said = capsys.readouterr().err
    assert code == ExitCode.USAGE
    assert "Deployment mambogo-production/order-service names Secret orders-databse" in said


def _render_at_up(objects: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run `up` with these manifests on a machine that has everything and may change nothing."""

    def forbidden(*_: object) -> None:
        raise AssertionError("something was changed before the manifests were looked at")

    supply = SimpleNamespace(image=lambda name: None, image_if_to_be_had=lambda name: None)
    node = SimpleNamespace(name="mambogo-control-plane", id="1")
    here = Renderer(
        CHECKOUT,
        catalogue.load(CHECKOUT),
        Path("kubectl"),
        lambda name: f"rehearsal/{name}:abc",
        lambda name: False,
        "localhost:5001",
    )
    monkeypatch.setattr(kustomize, "build", lambda kubectl, folder: deepcopy(objects))
    monkeypatch.setattr(
        cluster_engine, "DockerNodeEngine", lambda docker: SimpleNamespace(nodes=lambda name: [node])
    )
    monkeypatch.setattr(pushing, "EngineRegistry", lambda *_: SimpleNamespace(has=forbidden, push=forbidden))
    monkeypatch.setattr(Workshop, "supplies", supply)
    monkeypatch.setattr(Workshop, "docker", None)
    monkeypatch.setattr(Workshop, "api", lambda shop: SimpleNamespace(apply=forbidden, get=forbidden))
    monkeypatch.setattr(Workshop, "renderer", lambda shop: here)
    return run(["up", "--ci"])


@pytest.mark.parametrize(
    ("profile", "memory_gib", "told"),
    [
        (
            "standard",
            6,
            ["profile standard needs 8 GiB of memory", "6.0 GiB", "rehearsal up --profile light"],
        ),
        ("full", 10, ["profile full needs 12 GiB", "rehearsal up --profile standard"]),
        ("light", 3, ["profile light needs 4 GiB", "Give the machine at least 4 GiB"]),
    ],
)
@pytest.mark.usefixtures("ground")
def test_a_profile_that_does_not_fit_the_machine_ends_with_3_before_anything_is_made(
    profile: str,
    memory_gib: int,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(inotify, "ensure_inotify", lambda limits, emit: None)
    monkeypatch.setattr(requiring, "find_engine", lambda home: None)
    monkeypatch.setattr(requiring, "refuse_taken", lambda *_: None)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=memory_gib * _GIB))
    code = run(["up", "--ci", "--profile", profile])
    said = capsys.readouterr().err
    assert code == ExitCode.ENVIRONMENT
    assert [one for one in told if one not in said] == []
