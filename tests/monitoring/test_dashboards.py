"""Each committed dashboard is one that Grafana shows, and asks only for what somebody exports."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from pydantic import ValidationError

from tests.monitoring import exported
from tests.monitoring.dashboards import FOLDER, NOT_HERE, Dashboard, faults_of, fill_in, load

_FILES = sorted(FOLDER.glob("*.json"))
each_file = pytest.mark.parametrize("path", _FILES, ids=lambda path: str(path.stem))


def _faults(board: Dashboard) -> list[str]:
    return [
        fault
        for asked in board.expressions()
        for choice in board.choices()
        for fault in faults_of(fill_in(asked, choice))
    ]


@each_file
def test_a_dashboard_has_everything_that_it_has_to(path: Path) -> None:
    assert load(path).uid == f"mambogo-{path.stem}"


@each_file
def test_every_expression_parses_and_asks_for_what_is_exported(path: Path) -> None:
    assert _faults(load(path)) == []


@each_file
def test_a_file_is_written_in_the_one_way(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@each_file
def test_only_a_service_may_lack_what_others_have(path: Path) -> None:
    board = load(path)
    assert len(board.choices()) > 1 or NOT_HERE not in {one.when_empty for one in board.pictures()}


def test_nothing_is_asked_twice() -> None:
    # Written in one way, so that spaces do not make a difference.
    asked = Counter(
        promql_parser.parse(fill_in(target.expr, board.choices()[0])).prettify()
        for board in map(load, _FILES)
        for panel in board.pictures()
        for target in panel.targets
    )
    assert [expression for expression, count in asked.items() if count > 1] == []


def test_all_of_them_fit_into_one_config_map() -> None:
    # A client-side apply keeps the whole object in an annotation, of 256 KiB at most, with quotes escaped.
    content = json.dumps({path.name: path.read_text(encoding="utf-8") for path in _FILES})
    assert len(json.dumps(content)) < 250 * 1024


@pytest.mark.parametrize("job", ["cadvisor", "kube-state-metrics"])
def test_what_is_listed_of_a_job_is_kept_by_it(job: str) -> None:
    kept = exported.kept_by(job)
    assert [name for name in exported.listed()[job] if not kept.fullmatch(name)] == []


def test_nothing_is_listed_that_no_dashboard_asks_for() -> None:
    asked = " ".join(text for board in map(load, _FILES) for text in board.expressions())
    assert [name for name in sorted(exported.of_others()) if name not in asked] == []


def test_a_service_s_metrics_are_read_from_its_source() -> None:
    source = """
class Metrics:
    def __init__(self, metrics):
        metrics.counter("orders", "Orders.")
        metrics.histogram("wait_seconds", "Time.")
        CounterMetricFamily("refused_total", "Refused.")
        for name, read in (("waiting", 1), ("oldest", 2)):
            metrics.gauge_callback(name, read)
        Counter(entry for entry in ())
"""
    waited = {"wait_seconds_bucket", "wait_seconds_sum", "wait_seconds_count"}
    assert set(exported.declared(source)) == {"orders_total", "refused_total", "waiting", "oldest", *waited}


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("kafka_server_replicamanager_leadercount", True),
        ("kafka_network_requestmetrics_totaltimems_99thpercentile", True),
        ("kafka_network_requestmetrics_totaltimems", False),
        ("kafka_log_log_size", False),
    ],
)
def test_kafka_s_metrics_follow_from_its_agent(name: str, *, there: bool) -> None:
    assert exported.is_exported(name) is there


def test_the_same_panel_with_a_choice_has_an_expression_for_each() -> None:
    assert fill_in('up{app="$service", hpa="${service}-hpa"}', "a") == 'up{app="a", hpa="a-hpa"}'


def test_a_variable_that_nobody_sets_is_refused() -> None:
    with pytest.raises(KeyError, match="servcie"):
        fill_in('up{app="$servcie"}', "order-service")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("sum(rate(orders_total[1m])", "unclosed"),
        ("rate(orders_total)", "expected type"),
        ("sum(rate(orders_totl[1m]))", "nobody exports orders_totl"),
        ("up / kube_node_info", "nobody exports kube_node_info"),
        ('{app="order-service"}', "without a name"),
    ],
)
def test_a_planted_mistake_in_an_expression_is_named(expression: str, words: str) -> None:
    (fault,) = faults_of(expression)
    assert words in fault


def _panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in board["panels"] if one["type"] != "row"]


PLANTED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "id of another panel": lambda board: _panels(board)[0].update(id=_panels(board)[1]["id"]),
    "title of another panel": lambda board: _panels(board)[0].update(title=_panels(board)[1]["title"]),
    "overlap": lambda board: _panels(board)[0].update(gridPos=_panels(board)[1]["gridPos"]),
    "too far right": lambda board: _panels(board)[0]["gridPos"].update(x=20, w=8),
    "nothing asked": lambda board: _panels(board)[0].update(targets=[]),
    "empty expression": lambda board: _panels(board)[0]["targets"][0].update(expr=""),
    "no expression": lambda board: _panels(board)[0]["targets"][0].pop("expr"),
    "refId twice": lambda board: _panels(board)[0]["targets"].append(_panels(board)[0]["targets"][0]),
    "unit of one's own": lambda board: _panels(board)[0]["fieldConfig"]["defaults"].update(unit="orders"),
    "a fixed source": lambda board: _panels(board)[0]["datasource"].update(uid="prometheus"),
    "misspelt field": lambda board: _panels(board)[0].update(gridpos={}),
    "old schema": lambda board: board.update(schemaVersion=16),
}


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_mistake_in_a_dashboard_is_refused(name: str) -> None:
    board = json.loads((FOLDER / "shop.json").read_text(encoding="utf-8"))
    PLANTED[name](board)
    with pytest.raises(ValidationError):
        Dashboard.model_validate_json(json.dumps(board))
