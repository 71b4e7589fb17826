"""Killing pods: only where it is allowed, proven, in the ledger before it is done, and undone by waiting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from rehearsal.chaos import injecting
from rehearsal.chaos.injecting import Extent, WorkloadUndo
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
        def delete(self, path: str, *, grace_seconds: int) -> None:
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
        def delete(self, path: str, *, grace_seconds: int) -> None:
            closed_when_killed.append(set(databases.refusing))
            super().delete(path, grace_seconds=grace_seconds)

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
