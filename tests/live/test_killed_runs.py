"""`kill -9` of a run in the middle of each stage's work, then the same again by nox: clean, nothing left.

The second run is a person's next command, nothing in between: it undoes what the killed one left, and passes.
It needs the stack of this tree on the project's own cluster; with compressed timing all of it takes 40
minutes, a moment alone what `-k` names (`-- -k chaos-outage`).
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from rehearsal.cluster import record
from rehearsal.cluster.engine import DockerNodeEngine, connect
from rehearsal.cluster.facts import ContainerState
from rehearsal.cluster.record import Phase, Record
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths
from rehearsal.core.verdicts import ExitCode
from rehearsal.deploy import provenance
from rehearsal.stages.registry import BY_NAME, NAMES
from rehearsal.supply.supplies import make_supplies

from tests.live.conftest import ROOT
from tests.live.killed_machine import Machine, begun, outside
from tests.show.program import rehearsal

pytestmark = [pytest.mark.cluster, pytest.mark.killed, pytest.mark.timeout(2400)]

_REPORT_SECONDS = 60.0
_ORDERS = "Deployment mambogo-production/order-service"
_KAFKA = "StatefulSet mambogo-managed/kafka"
_TAP = "rehearsal.contract.tapping.program"
# What Tilt says of an image that it builds, and of objects that it applies.
_TILT_WORKS = re.compile(r"Building image|Objects applied to cluster")


@dataclass(frozen=True)
class Moment:
    """Something that a run is in the middle of."""

    stage: str
    arguments: tuple[str, ...]  # of the run
    missing: Callable[[Machine, Path], str]  # what of it has not come yet
    then: tuple[str, ...] = ()  # of the next run; without any the same again
    broken: Callable[[Machine], bool] | None = (
        None  # whether its fault is there, which does not heal by itself
    )

    def not_come(self, machine: Machine, folder: Path) -> str:
        """Return what is missing for the kill."""
        if not begun(folder, self.stage):
            return f"{self.stage} has not begun"
        return self.missing(machine, folder)


def _stage(*names: str) -> tuple[str, ...]:
    return ("--stages", ",".join(names))


def _experiment(id_: str) -> tuple[str, ...]:
    return (*_stage("chaos"), "--experiment", id_)


def _nothing(machine: Machine, folder: Path) -> str:
    return ""


def _mending(machine: Machine, folder: Path) -> str:
    return "" if begun(folder, "cluster", "network") else "it is not at the nodes' network yet"


def _tilting(machine: Machine, folder: Path) -> str:
    log = folder / "deploy" / "tilt.log"
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    if not machine.processes("/tilt ci"):
        return "Tilt does not run"
    return "" if _TILT_WORKS.search(said) else "Tilt has neither built nor applied anything"


def _fuzzing(machine: Machine, folder: Path) -> str:
    return "" if machine.processes("/st ") and machine.processes(_TAP) else "no fuzzer runs beside a tap"


def _scaling(machine: Machine, folder: Path) -> str:
    (floor,) = (
        one["spec"]["minReplicas"]
        for one in machine.get("hpa", "mambogo-production")
        if one["spec"]["scaleTargetRef"]["name"] == "order-service"
    )
    return "" if machine.replicas()[_ORDERS] > floor else f"order-service has its {floor} replicas"


def _shopping(machine: Machine, folder: Path) -> str:
    return "" if machine.processes("rehearsal.load.journeys.generator") else "no shopper is there yet"


def _reading(machine: Machine, folder: Path) -> str:
    return "" if machine.processes(_TAP) else "no tap reads yet"


def _entered(machine: Machine, folder: Path) -> str:
    return "" if machine.left() else "nothing stands in the ledger"


def _without_kafka(machine: Machine) -> bool:
    return machine.replicas()[_KAFKA] == 0


def _shut_out(machine: Machine) -> bool:
    return not machine.admits("inventory")


def _broken(fault: Callable[[Machine], bool]) -> Callable[[Machine, Path], str]:
    def missing(machine: Machine, folder: Path) -> str:
        # The ledger first: it costs nothing to look at, and comes before the fault.
        return _entered(machine, folder) or ("" if fault(machine) else "the fault is not there yet")

    return missing


MOMENTS = {
    "doctor": Moment("doctor", _stage("doctor"), _nothing),
    "mended-cluster": Moment("cluster", _stage("cluster"), _mending),
    "deploy": Moment("deploy", _stage("deploy"), _tilting),
    "contract": Moment("contract", _stage("contract", "events"), _fuzzing),
    "load-step": Moment("load", _stage("load"), _scaling),
    "load-journeys": Moment("load", _stage("load"), _shopping, then=_stage("events")),
    "chaos-kill": Moment("chaos", _experiment("kill-one-order-service"), _entered),
    "chaos-outage": Moment(
        "chaos", _experiment("outage-kafka"), _broken(_without_kafka), broken=_without_kafka
    ),
    "chaos-cut-off": Moment(
        "chaos", _experiment("cut-off-inventory-service"), _broken(_shut_out), broken=_shut_out
    ),
    "events": Moment("events", _stage("events"), _reading),
}
# By tests of their own: what they need is not what is there.
_APART = {"supply"}


@pytest.fixture(scope="module")
def machine(
    folders: Paths, settings: Catalogue, made: Record, tmp_path_factory: pytest.TempPathFactory
) -> Machine:
    """The project's own cluster, which must have been deployed from this tree."""
    kubectl = make_supplies(folders, settings, emit=lambda event: None, docker=None).tool("kubectl")
    temporary = tmp_path_factory.mktemp("runs")
    return Machine(kubectl, folders.kubeconfig, made.spec.context, folders.state / "ledger", temporary)


@pytest.fixture
def prepared(request: pytest.FixtureRequest, made: Record) -> None:
    """See to it that the stage has something to do: a node's guard that is gone, an order's events."""
    name = request.node.callspec.params["name"]
    if name == "mended-cluster":
        with closing(connect()) as docker:
            guard = ["nft", "delete", "table", "inet", "rehearsal"]
            DockerNodeEngine(docker).execute(made.spec.control_plane, guard)
    if name == "events":
        rehearsal("shop").well()


def test_every_stage_has_its_moment() -> None:
    # The report is made when all stages are over; that of a killed run is made below.
    assert {one.stage for one in MOMENTS.values()} | _APART == set(NAMES) - {"report"}


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("name", MOMENTS)
def test_a_run_after_a_killed_one_is_clean_and_leaves_nothing(
    machine: Machine, folders: Paths, name: str
) -> None:
    moment = MOMENTS[name]
    assert machine.left() == []
    before, replicas, engine = machine.there(), machine.replicas(), outside()
    killed = machine.kill(moment.arguments, lambda folder: moment.not_come(machine, folder))
    machine.await_end_of_processes()
    # Else nothing was there to be undone or made again, and the rest would prove nothing.
    assert bool(machine.left()) == (moment.stage == "chaos")
    assert bool(machine.temporary_folders()) == (name == "contract")
    assert moment.broken is None or moment.broken(machine)
    assert (folders.state / provenance.FILE_NAME).exists() == (moment.stage != "deploy")
    _report_of(killed)

    machine.nox("e2e", *(moment.then or moment.arguments), code=_well(moment.stage))

    assert machine.left() == []
    machine.await_end_of_processes()
    assert machine.temporary_folders() == []
    assert moment.broken is None or not moment.broken(machine)
    machine.await_replicas(replicas)
    assert machine.there() == before
    assert outside() - engine == set()
    rehearsal("cluster", "status").well()


def test_a_run_after_one_that_was_killed_in_supply_is_clean(machine: Machine, tmp_path: Path) -> None:
    # An empty cache: what was built before would leave nothing to be killed in.
    before = machine.there()
    machine.kill(
        _stage("supply"),
        lambda folder: "" if machine.processes("/go build") else "no program is built yet",
        XDG_CACHE_HOME=str(tmp_path),
    )
    machine.await_end_of_processes()
    assert list(tmp_path.glob("mambogo-rehearsal/supplies/*/.building-*"))

    machine.nox("e2e", *_stage("supply"), code=_well("supply"))

    machine.await_end_of_processes()
    assert (machine.left(), machine.there()) == ([], before)


# A cluster in the making


@pytest.fixture(scope="module")
def pace(made: Record) -> tuple[str, ...]:
    """The options that make a cluster as the one that was there."""
    return ("--profile", made.spec.profile, "--timing", made.spec.timing.value)


@pytest.fixture(scope="module")
def nothing(machine: Machine, pace: tuple[str, ...]) -> Iterator[set[tuple[str, str]]]:
    """What is on the engine without a cluster; in the end the one that was there is back, with the stack."""
    rehearsal("down").well()
    yield outside()
    machine.nox("up", "--ci", *pace)


@pytest.mark.parametrize("then", ["e2e", "down"], ids=["new-cluster-then-e2e", "new-cluster-then-down"])
def test_nothing_is_left_of_a_cluster_that_was_killed_in_the_making(
    machine: Machine,
    folders: Paths,
    made: Record,
    pace: tuple[str, ...],
    nothing: set[tuple[str, str]],
    then: str,
) -> None:
    run = (*_stage("cluster"), *pace)
    with closing(connect()) as docker:
        engine = DockerNodeEngine(docker)
        machine.kill(run, lambda folder: _unmade(engine, folders, made.spec.control_plane))
        assert _unmade(engine, folders, made.spec.control_plane) == ""
    assert machine.left() == ["the cluster that a run made"]

    # By the stage a whole cluster is made in between, and removed because the run has made it.
    if then == "e2e":
        machine.nox("e2e", *run, code=_well("cluster"))
    else:
        machine.nox("down")

    assert machine.left() == []
    machine.await_end_of_processes()
    # What was there before may have ended, such as the container of a build.
    assert outside() - nothing == set()


def _unmade(engine: DockerNodeEngine, folders: Paths, node: str) -> str:
    """Return why a cluster is not in the middle of being made."""
    there = engine.container(node)
    if there is None or there.state is not ContainerState.RUNNING:
        return "no node runs yet"
    found = record.load(folders.state)
    return "" if found is not None and found.phase is Phase.CREATING else "its making is over"


def _well(stage: str) -> ExitCode:
    """Return how a run of this stage alone ends when all is well: one that only prepares judges nothing."""
    return ExitCode.PASS if BY_NAME[stage].judges else ExitCode.INVALID


def _report_of(killed: Path) -> None:
    """Have the report of a killed run made."""
    argv = [sys.executable, "-m", "rehearsal", "report", killed.name]
    done = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_REPORT_SECONDS
    )
    assert (done.returncode, (killed / "report.json").exists()) == (0, True), done.stderr
