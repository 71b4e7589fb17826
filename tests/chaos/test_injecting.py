"""Killing pods: only where it is allowed, proven, in the ledger before it is done, and undone by waiting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rehearsal.chaos import injecting
from rehearsal.chaos.injecting import Extent, Injector, Kill, WorkloadUndo
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError
from rehearsal.core.ledger import Ledger
from rehearsal.core.waiting import WaitTimeoutError

from tests.chaos.fakes import BROKER, INVENTORY, ORDERS, FakeCluster, FakeDatabases, injector_on

ARGUMENTS = {"namespace": ORDERS.namespace, "name": ORDERS.name, "collection": "deployments"}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return an empty ledger."""
    return Ledger(tmp_path)


@pytest.mark.parametrize(("extent", "hit"), [(Extent.ONE, 1), (Extent.ALL, 3)])
def test_as_many_pods_are_killed_as_was_asked_for(ledger: Ledger, extent: Extent, hit: int) -> None:
    cluster = FakeCluster(wanted=3)
    kill = injector_on(cluster, ledger).kill(ORDERS, extent)

    assert len(kill.victims) == len(cluster.deleted) == hit


def test_kill_is_proven_when_the_pods_are_gone(ledger: Ledger) -> None:
    injector = injector_on(FakeCluster(), ledger)

    assert injector.gone(injector.kill(ORDERS, Extent.ALL))


def test_pod_of_the_same_name_with_another_uid_is_no_survivor(ledger: Ledger) -> None:
    cluster = FakeCluster(wanted=1)
    injector = injector_on(cluster, ledger)
    kill = injector.kill(ORDERS, Extent.ONE)
    cluster.pods = [{"metadata": {"name": kill.victims[0].name, "uid": "another"}, "status": {}}]

    assert injector.gone(kill)


def test_kill_that_had_no_effect_is_not_proven(ledger: Ledger) -> None:
    injector = injector_on(FakeCluster(ignores_deletes=True), ledger)

    assert not injector.gone(injector.kill(ORDERS, Extent.ALL))


def test_kill_stands_in_the_ledger_before_it_is_made(ledger: Ledger) -> None:
    class Dying(FakeCluster):
        def delete(self, path: str, *, grace_seconds: int, uid: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        injector_on(Dying(), ledger).kill(ORDERS, Extent.ONE)

    assert [dict(entry.arguments) for entry in ledger.entries()] == [ARGUMENTS]


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/part-of": "something-else"}])
def test_namespace_of_somebody_else_is_not_touched(ledger: Ledger, labels: dict[str, str]) -> None:
    cluster = FakeCluster(labels=labels)
    with pytest.raises(ConfigurationError, match="does not carry"):
        injector_on(cluster, ledger).kill(ORDERS, Extent.ALL)

    assert (cluster.deleted, ledger.entries()) == ([], [])


def test_without_a_ready_pod_there_is_nothing_to_kill(ledger: Ledger) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="no ready pod"):
        injector_on(FakeCluster(wanted=0), ledger).kill(ORDERS, Extent.ALL)


def test_workload_is_whole_when_its_replicas_are_back(ledger: Ledger) -> None:
    injector = injector_on(FakeCluster(looks_until_back=2), ledger)
    injector.kill(ORDERS, Extent.ALL)

    assert [injector.whole(ORDERS) for _ in range(2)] == [False, True]


def test_status_that_still_counts_the_killed_makes_nothing_whole(ledger: Ledger) -> None:
    cluster = FakeCluster(looks_until_back=2, status_trails=True)
    injector = injector_on(cluster, ledger)
    injector.kill(ORDERS, Extent.ONE)
    assert [injector.whole(ORDERS) for _ in range(2)] == [False, True]


def test_undoing_waits_until_the_workload_is_whole(ledger: Ledger) -> None:
    cluster = FakeCluster(looks_until_back=2)
    injector = injector_on(cluster, ledger)
    injector.kill(ORDERS, Extent.ALL)
    WorkloadUndo(injector, timeout_seconds=60)(ARGUMENTS)

    assert len(cluster.pods) == cluster.wanted


def test_workload_that_does_not_come_back_is_said_with_its_pods(ledger: Ledger) -> None:
    injector = injector_on(FakeCluster(looks_until_back=1000), ledger)
    injector.kill(ORDERS, Extent.ONE)

    with pytest.raises(WaitTimeoutError, match="order-2 ready"):
        WorkloadUndo(injector, timeout_seconds=0)(ARGUMENTS)


def test_undoing_gives_back_without_waiting_where_the_cure_is_yet_to_come(ledger: Ledger) -> None:
    cluster = FakeCluster(looks_until_back=1000)
    injector_on(cluster, ledger).stop(BROKER)
    (entry,) = ledger.entries()
    WorkloadUndo(injector_on(cluster, ledger), awaits=False)(entry.arguments)

    assert (cluster.wanted, len(cluster.pods)) == (2, 0)


def test_workload_that_was_removed_since_needs_no_undoing(ledger: Ledger) -> None:
    class Gone(FakeCluster):
        def get(self, path: str) -> Mapping[str, object] | None:
            return None

    WorkloadUndo(injector_on(Gone(), ledger), timeout_seconds=0)(ARGUMENTS)


def test_what_is_stopped_stays_away_until_it_is_restored(ledger: Ledger) -> None:
    cluster = FakeCluster(looks_until_back=1)
    injector = injector_on(cluster, ledger)
    stopped = injector.stop(BROKER)
    assert [injector.gone(stopped), len(injector.pods(BROKER))] == [True, 0]

    injector.restore(stopped)
    assert injector.whole(BROKER)
    assert cluster.scaled == [(BROKER.path, 0), (BROKER.path, 2)]


def test_stop_of_a_killed_run_is_undone_by_its_entry(ledger: Ledger) -> None:
    cluster = FakeCluster(looks_until_back=2)
    injector_on(cluster, ledger).stop(BROKER)
    (entry,) = ledger.entries()
    WorkloadUndo(injector_on(cluster, ledger), timeout_seconds=60)(entry.arguments)

    assert (cluster.wanted, len(cluster.pods)) == (2, 2)


def test_stop_that_never_scaled_down_is_undone_harmlessly(ledger: Ledger) -> None:
    class Dying(FakeCluster):
        def scale(self, path: str, replicas: int) -> None:
            if not replicas:
                raise KeyboardInterrupt
            super().scale(path, replicas)

    cluster = Dying()
    with pytest.raises(KeyboardInterrupt):
        injector_on(cluster, ledger).stop(BROKER)
    (entry,) = ledger.entries()
    WorkloadUndo(injector_on(cluster, ledger), timeout_seconds=60)(entry.arguments)

    assert (cluster.wanted, len(cluster.pods)) == (2, 2)


def test_restoring_a_kill_changes_nothing(ledger: Ledger) -> None:
    cluster = FakeCluster()
    injector = injector_on(cluster, ledger)
    injector.restore(injector.kill(ORDERS, Extent.ALL))

    assert cluster.scaled == []


@pytest.fixture
def databases(monkeypatch: pytest.MonkeyPatch) -> FakeDatabases:
    """Return databases of pods whose node ends them at once."""
    monkeypatch.setattr(injecting, "_NODE_SECONDS", 0.0)
    return FakeDatabases()


def test_what_is_cut_off_is_killed_before_it_is_let_in_again(
    ledger: Ledger, databases: FakeDatabases
) -> None:
    closed_when_killed = []

    class Watched(FakeCluster):
        def delete(self, path: str, *, grace_seconds: int, uid: str) -> None:
            closed_when_killed.append(set(databases.refusing))
            super().delete(path, grace_seconds=grace_seconds, uid=uid)

    cluster = Watched(looks_until_back=1)
    injector = injector_on(cluster, ledger, databases)
    cut = injector.cut_off(INVENTORY, "inventory")
    assert (databases.refusing, cluster.deleted) == ({"inventory"}, [])

    injector.restore(cut)
    assert closed_when_killed == [{"inventory"}] * 2
    assert not databases.refusing
    assert injector.gone(cut)


def test_cutting_off_of_a_killed_run_is_undone_by_its_entry(ledger: Ledger, databases: FakeDatabases) -> None:
    injector = injector_on(FakeCluster(), ledger, databases)
    injector.cut_off(INVENTORY, "inventory")
    (entry,) = ledger.entries()
    assert entry.what == "inventory-service without its database inventory"

    WorkloadUndo(injector, timeout_seconds=60)(entry.arguments)
    assert not databases.refusing


def test_database_that_was_never_closed_is_undone_harmlessly(ledger: Ledger) -> None:
    class Dying(FakeDatabases):
        def refuse(self, database: str) -> None:
            raise KeyboardInterrupt

    injector = injector_on(FakeCluster(), ledger, Dying())
    with pytest.raises(KeyboardInterrupt):
        injector.cut_off(INVENTORY, "inventory")
    (entry,) = ledger.entries()
    WorkloadUndo(injector, timeout_seconds=60)(entry.arguments)


def _unanswered() -> EnvironmentNotReadyError:
    return EnvironmentNotReadyError("API_UNREACHABLE", "no answer", hint="look")


@dataclass
class Late(FakeCluster):
    """Does the first of each that it is asked for, and does not say so."""

    answered: set[str] = field(default_factory=set)

    def get(self, path: str) -> Mapping[str, object] | None:
        """Answer, from the second time on."""
        found = super().get(path)
        self._cut_off(f"GET {path}")
        return found

    def delete(self, path: str, *, grace_seconds: int, uid: str) -> None:
        """Delete; what comes back has the same name, as in a StatefulSet."""
        super().delete(path, grace_seconds=grace_seconds, uid=uid)
        name = path.rsplit("/", 1)[1]
        if name not in {pod["metadata"]["name"] for pod in self.pods}:
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            self.pods.append({"metadata": {"name": name, "uid": f"{uid}-anew"}, "status": ready})
        self._cut_off(f"DELETE {path}")

    def scale(self, path: str, replicas: int) -> None:
        """Scale."""
        super().scale(path, replicas)
        self._cut_off(f"SCALE {path} {replicas}")

    def _cut_off(self, request: str) -> None:
        if request not in self.answered:
            self.answered.add(request)
            raise _unanswered()


@dataclass
class LateDatabases(FakeDatabases):
    """Do what they are asked for, and do not say so the first time."""

    answered: set[str] = field(default_factory=set)

    def refuse(self, database: str) -> None:
        """Close a database."""
        super().refuse(database)
        self._cut_off("refuse")

    def admit(self, database: str) -> None:
        """Open it again."""
        super().admit(database)
        self._cut_off("admit")

    def _cut_off(self, request: str) -> None:
        if request not in self.answered:
            self.answered.add(request)
            raise _unanswered()


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch, databases: FakeDatabases) -> None:
    monkeypatch.setattr(injecting, "_AGAIN_SECONDS", 0.01)


FAULTS = pytest.mark.parametrize(
    "make",
    [
        lambda injector: injector.kill(ORDERS, Extent.ALL),
        lambda injector: injector.stop(BROKER),
        lambda injector: injector.cut_off(INVENTORY, "inventory"),
    ],
    ids=["kill", "stop", "cut-off"],
)


@FAULTS
@pytest.mark.usefixtures("_impatient")
def test_fault_is_made_and_ended_although_no_first_question_is_answered(
    ledger: Ledger, make: Callable[[Injector], Kill]
) -> None:
    databases = LateDatabases()
    injector = injector_on(Late(), ledger, databases)
    kill = make(injector)
    assert len(ledger.entries()) == 1

    injector.restore(kill)
    assert not databases.refusing
    assert kill.victims


@pytest.mark.usefixtures("_impatient")
def test_what_came_back_under_the_same_name_is_not_hit_by_asking_again(ledger: Ledger) -> None:
    cluster = Late(wanted=1)
    kill = injector_on(cluster, ledger).kill(ORDERS, Extent.ALL)

    (victim,) = kill.victims
    assert cluster.deleted == [victim.name] * 2
    assert [pod["metadata"]["uid"] for pod in cluster.pods] == [f"{victim.uid}-anew"]


@FAULTS
@pytest.mark.usefixtures("_impatient")
def test_fault_is_undone_although_no_first_question_is_answered(
    ledger: Ledger, make: Callable[[Injector], Kill]
) -> None:
    cluster, databases = Late(), LateDatabases()
    injector = injector_on(cluster, ledger, databases)
    make(injector)
    (entry,) = ledger.entries()
    cluster.answered.clear()
    WorkloadUndo(injector, timeout_seconds=60)(entry.arguments)

    assert (cluster.wanted, len(cluster.pods)) == (2, 2)
    assert not databases.refusing


@pytest.mark.usefixtures("_impatient")
def test_api_that_stays_silent_ends_the_fault_which_stays_in_the_ledger(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(FakeCluster):
        def scale(self, path: str, replicas: int) -> None:
            raise _unanswered()

    monkeypatch.setattr(injecting, "_PATIENCE_SECONDS", 0.05)
    with pytest.raises(EnvironmentNotReadyError, match="no answer"):
        injector_on(Silent(), ledger).stop(BROKER)

    assert [entry.arguments["replicas"] for entry in ledger.entries()] == ["2"]
