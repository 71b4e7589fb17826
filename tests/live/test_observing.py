"""One order on the live cluster, found again by its trace: what each service did, and what was logged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from rehearsal.cli import main
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.verdicts import ExitCode
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.observe.asking import store_client
from rehearsal.observe.logs import VictoriaLogs

from tests.live.bench import Bench
from tests.live.conftest import ROOT

pytestmark = pytest.mark.cluster

# An order's way: accepted, its goods reserved, its money taken.
_ON_THE_WAY = {"gateway-service", "order-service", "inventory-service", "payment-service"}
_ARRIVE_SECONDS = 120.0  # services send spans every five seconds, the collector reads files each second
_HINT = "`kubectl logs -n mambogo-monitoring ds/otel-collector` says what did not arrive."


@pytest.fixture
def logs(settings: Catalogue) -> Iterator[VictoriaLogs]:
    with store_client(settings.ports.logs) as client:
        yield VictoriaLogs(client)


def _ordered(capsys: pytest.CaptureFixture[str]) -> str:
    """Place an order as a person would and return its trace."""
    assert main.run(["shop"]) == ExitCode.PASS
    said = capsys.readouterr().out
    # On a busy machine lines come later than a person wants to wait.
    assert re.search(r"^  place the order: (cache .*, load balancer .*, gateway |no times of)", said, re.M)
    found = re.search(r"`rehearsal trace ([0-9a-f]{32})`", said)
    assert found is not None
    return found[1]


def _trail(trace_id: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return what `rehearsal trace` knows, once the services' spans are one tree and the lines are there.

    A batch of spans may arrive before the one with their parents.
    """

    def probe() -> dict[str, Any]:
        code = main.run(["trace", trace_id, "--json"])
        trail: dict[str, Any] = json.loads(capsys.readouterr().out)
        if code != ExitCode.PASS:
            raise NotYet(str(trail))
        services = {one["service"] for one in trail["spans"]}
        said = {one["container"] for one in trail["logs"]}
        if not services >= _ON_THE_WAY or not said >= {"gateway-service", "order-service"}:
            raise NotYet(f"spans of {sorted(services)}, lines of {sorted(said)}")
        if len(tops := _tops(trail)) > 1:
            raise NotYet(f"no parents of {tops}")
        return trail

    return wait_until(
        "the order's trail", probe, timeout_seconds=_ARRIVE_SECONDS, interval_seconds=1, hint=_HINT
    )


def _tops(trail: dict[str, Any]) -> list[tuple[str, str]]:
    """Return service and name of the spans whose parent is not there."""
    known = {one["id"] for one in trail["spans"]}
    return [(one["service"], one["name"]) for one in trail["spans"] if one["parent_id"] not in known]


def test_an_order_is_one_tree_of_spans_with_its_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    trace_id = _ordered(capsys)
    trail = _trail(trace_id, capsys)
    # The client records nothing: below it stands the gateway alone.
    assert _tops(trail) == [("gateway-service", "post /api/orders/**")]
    said = {one["container"]: one["fields"] for one in trail["logs"]}
    assert {name for name, fields in said.items() if "trace_id" not in fields} == {"cdn"}
    assert {fields.get("trace_id", trace_id) for fields in said.values()} == {trace_id}
    assert not any(one["failed"] for one in trail["spans"])
    assert {one["kind"] for one in trail["spans"]} >= {"server", "producer", "consumer"}


def test_a_request_id_leads_to_the_same_trace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    trace_id = _ordered(capsys)
    trail = _trail(trace_id, capsys)
    [request_id] = {
        one["fields"]["request_id"] for one in trail["logs"] if one["container"] == "gateway-service"
    }
    assert main.run(["trace", request_id, "--json"]) == ExitCode.PASS
    assert json.loads(capsys.readouterr().out)["trace_id"] == trace_id


def test_every_pod_s_log_is_there(bench: Bench, logs: VictoriaLogs) -> None:
    talkers = _talkers(bench)
    assert len({namespace for namespace, _ in talkers}) >= 4

    def probe() -> bool:
        lost = [pod for _, pod in talkers if not logs.lines(f'_time:1d "k8s.pod.name":="{pod}"', 1)]
        if lost:
            raise NotYet(f"no line of {lost}")
        return True

    assert wait_until(
        "a line of each pod", probe, timeout_seconds=_ARRIVE_SECONDS, interval_seconds=1, hint=_HINT
    )


def _talkers(bench: Bench) -> list[tuple[str, str]]:
    """Return namespace and name of each running pod that has said something."""
    found = []
    for pod in bench.core.list_pod_for_all_namespaces(field_selector="status.phase=Running").items:
        place = pod.metadata.namespace, pod.metadata.name
        container = pod.spec.containers[0].name
        if not place[0].startswith("rehearsal-tests-") and bench.core.read_namespaced_pod_log(
            place[1], place[0], container=container, tail_lines=1
        ):
            found.append(place)
    return found
