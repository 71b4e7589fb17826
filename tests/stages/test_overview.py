"""The overview: well only when a run could go on with what is there, and what is not well is named."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rehearsal.cluster.record import Phase, Record
from rehearsal.cluster.status import ClusterStatus
from rehearsal.deploy.rollouts import Rollout
from rehearsal.stages.overview import LastRun, Overview, render

from tests.cluster.ground import planned

ORDERS = Rollout("deployment", "mambogo-production", "order-service", 2, 2, 2, 2, observed=True)
STANDING = ClusterStatus(Record(planned(), Phase.READY, {}))
WELL = Overview(STANDING, [ORDERS], run=LastRun("r-1", "PASS", "All 9 checks hold.", "runs/r-1/report.html"))


def test_whole_stack_of_this_tree_is_well() -> None:
    assert WELL.well
    assert "1 of 1 workloads are whole" in render(WELL)
    assert "deployed  this tree" in render(WELL)
    assert "last run  PASS: All 9 checks hold." in render(WELL)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (replace(WELL, workloads=[replace(ORDERS, ready=1)]), "order-service: 1 of 2 replicas ready"),
        (replace(WELL, other_tree="another tree"), "deployed  another tree"),
        (replace(WELL, to_undo=["kafka is stopped"]), "LEFT      kafka is stopped: rehearsal undo"),
        (replace(WELL, workloads=[]), "nothing is deployed: rehearsal up"),
        (Overview(ClusterStatus(None, problems=["there is no cluster"])), "there is no cluster"),
        (replace(WELL, cluster=replace(STANDING, problems=["node x is not Ready"])), "node x is not Ready"),
    ],
    ids=["missing replica", "other tree", "left behind", "empty cluster", "no cluster", "sick cluster"],
)
def test_what_is_not_well_is_named(found: Overview, said: str) -> None:
    assert not found.well
    assert said in render(found)


def test_what_is_left_on_another_cluster_is_named_and_keeps_no_run_from_this_one() -> None:
    found = replace(WELL, left_on=["staging"])

    assert found.well
    assert "LEFT      something on staging: rehearsal undo" in render(found)
    assert found.as_record()["left_on"] == ["staging"]


def test_scripts_get_the_same() -> None:
    found = replace(WELL, workloads=[replace(ORDERS, ready=1)], to_undo=["kafka is stopped"])
    record = json.loads(json.dumps(found.as_record()))

    assert record["well"] is False
    assert record["workloads"]["mambogo-production/order-service"]["ready"] == 1
    assert record["to_undo"] == ["kafka is stopped"]
    assert record["run"]["verdict"] == "PASS"
    assert record["deployed"] == "this tree"


def test_without_a_run_there_is_none_in_the_record() -> None:
    assert Overview(STANDING).as_record()["run"] is None
