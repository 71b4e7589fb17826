"""The verdict of a deployment; each case plants what Tilt's own exit code would hide or blur."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError
from rehearsal.core.verdicts import Verdict
from rehearsal.deploy.judging import judge
from rehearsal.deploy.rollouts import Rollout
from rehearsal.deploy.snapshot import TILTFILE, ResourceState, Snapshot

_ROLLOUT = Rollout("deployment", "shop", "echo", wanted=2, updated=2, ready=2, present=2, observed=True)
_ECHO = ResourceState("echo", True, "ok", "ok", "", ("echo:deployment",), ("last line",))
_TILTFILE = ResourceState(TILTFILE, True, "ok", "not_applicable", "", (), ("Error in fail: wrong context",))


def _snapshot(*resources: ResourceState, cluster_error: str = "", fatal_error: str = "") -> Snapshot:
    return Snapshot((_TILTFILE, *resources), fatal_error, cluster_error)


def test_all_well_passes() -> None:
    assert judge(0, _snapshot(_ECHO), [_ROLLOUT]).verdict is Verdict.PASS


def test_a_missing_replica_fails_though_tilt_is_green() -> None:
    result = judge(0, _snapshot(_ECHO), [replace(_ROLLOUT, ready=1)])
    assert result.verdict is Verdict.FAIL
    assert "1 of 2 replicas ready" in result.resources[0].reason


def test_a_red_resource_fails_though_tilt_ended_with_0() -> None:
    red = replace(_ECHO, runtime="error", error="CrashLoopBackOff")
    assert judge(0, _snapshot(red), [_ROLLOUT]).verdict is Verdict.FAIL


def test_the_failing_resource_is_named_with_its_last_lines() -> None:
    red = replace(_ECHO, name="cart", runtime="error", error="CrashLoopBackOff")
    result = judge(1, _snapshot(_ECHO, red), [])
    bad = [one for one in result.resources if one.verdict is Verdict.FAIL]
    assert [(one.name, one.reason, one.log_tail) for one in bad] == [
        ("cart", "CrashLoopBackOff", ("last line",))
    ]


def test_a_resource_that_was_not_ready_in_time_fails() -> None:
    result = judge(1, _snapshot(replace(_ECHO, runtime="pending")), [])
    assert result.resources[0].reason == "not ready in time: update ok, runtime pending"


def test_one_error_is_one_failure_and_the_rest_was_not_reached() -> None:
    red = replace(_ECHO, name="orders", runtime="error", error="CrashLoopBackOff")
    held = replace(_ECHO, name="cart", update="pending", runtime="pending", waits_for=("orders",))
    later = replace(_ECHO, name="cdn", update="pending", runtime="pending")
    starting = replace(_ECHO, name="keycloak", runtime="pending")
    result = judge(1, _snapshot(held, _ECHO, red, later, starting), [])
    assert result.verdict is Verdict.FAIL
    assert [(one.name, one.verdict, one.reason) for one in result.resources] == [
        ("cart", Verdict.INVALID, "not reached: it waits for orders"),
        ("echo", Verdict.PASS, ""),
        ("orders", Verdict.FAIL, "CrashLoopBackOff"),
        ("cdn", Verdict.INVALID, "not reached: the deployment ended at orders"),
        ("keycloak", Verdict.INVALID, "not ready when the deployment ended at orders"),
    ]


def test_when_the_time_is_over_it_was_what_did_not_become_ready_not_what_waits_for_it() -> None:
    slow = replace(_ECHO, name="orders", runtime="pending", pod_status="Running")
    held = replace(_ECHO, name="cart", update="pending", runtime="pending", waits_for=("orders",))
    result = judge(1, _snapshot(held, slow), [])
    assert [one.name for one in result.of(Verdict.FAIL)] == ["orders"]
    assert [one.name for one in result.of(Verdict.INVALID)] == ["cart"]


def test_where_nothing_was_applied_in_time_all_of_it_failed() -> None:
    held = replace(_ECHO, update="in_progress", runtime="pending")
    assert judge(1, _snapshot(held), []).of(Verdict.FAIL) != ()


def test_every_failure_has_a_next_step_and_nothing_else_has() -> None:
    red = replace(_ECHO, name="orders", runtime="error", error="CrashLoopBackOff")
    result = judge(1, _snapshot(_ECHO, red), [])
    assert [bool(one.hint) for one in result.resources] == [False, True]


@pytest.mark.parametrize("objects", [("echo:deployment",), ()])
def test_where_the_snapshot_trails_behind_a_good_end_the_cluster_has_the_word(
    objects: tuple[str, ...],
) -> None:
    trailing = replace(_ECHO, update="in_progress", runtime="pending", objects=objects)
    verdicts = [
        judge(0, _snapshot(trailing), [one]).verdict for one in (_ROLLOUT, replace(_ROLLOUT, ready=1))
    ]
    assert verdicts == [Verdict.PASS, Verdict.FAIL]


def test_a_trailing_resource_without_a_workload_has_nothing_to_wait_for() -> None:
    trailing = replace(_ECHO, update="in_progress", runtime="not_applicable", objects=())
    assert judge(0, _snapshot(trailing), []).verdict is Verdict.PASS


def test_nothing_deployed_is_invalid() -> None:
    assert judge(0, _snapshot(), []).verdict is Verdict.INVALID


def test_everything_disabled_is_invalid() -> None:
    assert judge(0, _snapshot(replace(_ECHO, enabled=False)), []).verdict is Verdict.INVALID


def test_a_refusing_tiltfile_is_no_verdict_on_the_product() -> None:
    refused = Snapshot((replace(_TILTFILE, update="error"),), "", "")
    with pytest.raises(EnvironmentNotReadyError, match="wrong context"):
        judge(1, refused, [])


def test_a_lost_cluster_is_no_verdict_on_the_product() -> None:
    with pytest.raises(EnvironmentNotReadyError, match="TILT_CLUSTER_UNREACHABLE"):
        judge(1, _snapshot(_ECHO, cluster_error="connection refused"), [])


def test_tilt_s_own_failure_is_the_harness_s_error() -> None:
    with pytest.raises(HarnessError, match="TILT_BROKE"):
        judge(1, _snapshot(_ECHO, fatal_error="panic"), [])


def test_a_failure_that_nothing_explains_does_not_pass() -> None:
    with pytest.raises(HarnessError, match="TILT_CONTRADICTS"):
        judge(1, _snapshot(_ECHO), [_ROLLOUT])
