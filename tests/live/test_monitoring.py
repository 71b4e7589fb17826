"""Prometheus on the live cluster: it sees what it should, and its rules have something to look at."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from rehearsal.core.waiting import NotYet, wait_until

from tests.live.bench import Bench
from tests.live.prometheus import HINT, SCRAPE_SECONDS, Prometheus
from tests.monitoring.dashboards import SERVICES

pytestmark = pytest.mark.cluster

_SERVICES = set(SERVICES)


def _pods(bench: Bench, wanted: Callable[[Any], bool]) -> set[str]:
    """Return the names of the running pods that are wanted; a benchmark's own come and go."""
    return {
        pod.metadata.name
        for pod in bench.core.list_pod_for_all_namespaces().items
        if pod.status.phase == "Running"
        and pod.metadata.deletion_timestamp is None
        and not pod.metadata.namespace.startswith("rehearsal-tests-")
        and wanted(pod)
    }


def _annotated(pod: Any) -> bool:
    return (pod.metadata.annotations or {}).get("prometheus.io/scrape") == "true"


def _limited(pod: Any) -> bool:
    return any("memory" in (one.resources.limits or {}) for one in pod.spec.containers)


def _of_the_shop(pod: Any) -> bool:
    return (pod.metadata.labels or {}).get("app") in _SERVICES


def _equal(found: Callable[[], set[str]], wanted: Callable[[], set[str]]) -> None:
    """Wait until both are the same and not empty; autoscalers change the one before the other."""

    def probe() -> bool:
        seen, due = found(), wanted()
        if seen != due or not due:
            raise NotYet(f"missing {sorted(due - seen)}, too many {sorted(seen - due)}")
        return True

    assert wait_until(
        "a series of each", probe, timeout_seconds=SCRAPE_SECONDS, interval_seconds=1.0, hint=HINT
    )


def test_every_target_is_up(prometheus: Prometheus) -> None:
    def probe() -> set[str]:
        targets = prometheus.ask("targets", state="active")["activeTargets"]
        bad = [f"{one['scrapeUrl']} {one['health']} {one['lastError']}" for one in targets]
        bad = [said for said, one in zip(bad, targets, strict=True) if one["health"] != "up"]
        if bad:
            raise NotYet("; ".join(bad))
        return {one["labels"]["job"] for one in targets}

    jobs = wait_until("every target", probe, timeout_seconds=SCRAPE_SECONDS, interval_seconds=1.0, hint=HINT)
    assert jobs == {"kubernetes-pods", "cadvisor", "kube-state-metrics", "prometheus", "alertmanager"}


# Of the last minute: Prometheus shows what is five minutes old, unless it noted that a pod had gone.
_SCRAPED = 'last_over_time(up{job="kubernetes-pods"}[1m]) == 1'


def test_every_pod_that_asks_for_it_is_scraped(prometheus: Prometheus, bench: Bench) -> None:
    _equal(
        lambda: prometheus.labels(_SCRAPED, "kubernetes_pod_name"),
        lambda: _pods(bench, _annotated),
    )


@pytest.mark.parametrize(
    ("exporter", "series"),
    [
        ("postgres", 'pg_stat_database_numbackends{datname="orders"}'),
        ("redis", "redis_up == 1"),
        ("kafka", "kafka_server_replicamanager_leadercount"),
        ("keycloak", "jvm_threads_current or jvm_threads_live_threads"),
        ("node", "node_memory_MemAvailable_bytes"),
        ("kube-state-metrics", "kube_pod_info"),
        ("cadvisor", "container_memory_working_set_bytes"),
    ],
    ids=lambda value: str(value) if "_" not in str(value) else "",
)
def test_each_exporter_says_what_it_is_there_for(prometheus: Prometheus, exporter: str, series: str) -> None:
    def probe() -> bool:
        if not prometheus.ask("query", query=series)["result"]:
            raise NotYet("no series")
        return True

    assert wait_until(series, probe, timeout_seconds=SCRAPE_SECONDS, interval_seconds=1.0, hint=HINT)


# What the left side of each alert has to have a series for: its label, and the pods.
_LEFT_SIDES = [
    ("guide", "HighErrorRate", "kubernetes_pod_name", _of_the_shop),
    ("guide", "HighMemoryUsage", "pod", lambda pod: True),
    ("guide", "PodCrashLooping", "pod", lambda pod: True),
    ("corrected", "HighMemoryUsage", "pod", _limited),
    ("corrected", "PodCrashLooping", "pod", lambda pod: True),
]


@pytest.mark.parametrize(
    ("group", "alert", "label", "pods"),
    _LEFT_SIDES,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_alert_s_left_side_has_a_series_of_each_pod(
    prometheus: Prometheus, bench: Bench, group: str, alert: str, label: str, pods: Callable[[Any], bool]
) -> None:
    left = _left_side(prometheus.rules(group)[alert])
    # Jobs' pods have ended, and a benchmark's own come and go: neither has to be seen, nor is it wrong.
    _equal(
        lambda: prometheus.labels(left, label) & _pods(bench, lambda pod: True),
        lambda: _pods(bench, pods),
    )


def test_both_groups_of_rules_are_in_force_and_told_apart(prometheus: Prometheus) -> None:
    rules = {group: prometheus.rules(group).values() for group in ("guide", "corrected")}
    labels = {group: {one["labels"].get("rules") for one in found} for group, found in rules.items()}
    assert labels == {"guide": {None}, "corrected": {"corrected"}}


def test_the_error_rate_has_a_series_of_each_service(prometheus: Prometheus) -> None:
    left = _left_side(prometheus.rules("corrected")["HighErrorRate"])
    _equal(lambda: prometheus.labels(left, "app") & _SERVICES, lambda: _SERVICES)


def _left_side(rule: dict[str, Any]) -> str:
    """Return an alert's expression without its last comparison with a number."""
    left, number = re.fullmatch(r"(.*)\s[<>]\s+([\d.]+)\s*", str(rule["query"]), re.DOTALL).groups()  # type: ignore[union-attr]  # fails the test
    assert float(number) > 0 or rule["name"] == "PodCrashLooping"
    return left


def test_no_corrected_alert_fires_on_a_shop_that_is_well(prometheus: Prometheus, bench: Bench) -> None:
    rules = prometheus.rules("corrected")
    assert rules
    firing = {name: rule["alerts"] for name, rule in rules.items() if rule["state"] == "firing"}
    # A machine that is busy with other things makes the kubelet restart what answers too late: said rightly.
    crashed = {str(one["labels"]["pod"]) for one in firing.pop("PodCrashLooping", [])}
    assert (firing, crashed - _restarted(bench)) == ({}, set())


def _restarted(bench: Bench) -> set[str]:
    pods = bench.core.list_pod_for_all_namespaces().items
    return {
        pod.metadata.name
        for pod in pods
        if any(one.restart_count for one in pod.status.container_statuses or ())
    }


def test_alerts_have_somewhere_to_go(prometheus: Prometheus) -> None:
    assert len(prometheus.ask("alertmanagers")["activeAlertmanagers"]) == 1
