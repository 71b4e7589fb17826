"""What each dashboard asks, asked of the running Prometheus as Grafana would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rehearsal.core.waiting import NotYet, wait_until

from tests.live.prometheus import HINT, SCRAPE_SECONDS, Prometheus
from tests.monitoring.dashboards import FOLDER, NOT_HERE, Dashboard, Panel, fill_in, load

pytestmark = pytest.mark.cluster

_PANELS = [
    pytest.param(board, panel, id=f"{board.uid.removeprefix('mambogo-')}: {panel.title}")
    for board in map(load, sorted(FOLDER.glob("*.json")))
    for panel in board.pictures()
]


def _empty(prometheus: Prometheus, board: Dashboard, panel: Panel) -> Iterator[str]:
    """Yield what has no series and should have; raises AssertionError for what Prometheus refuses."""
    for target in panel.targets:
        asked = [fill_in(target.expr, choice) for choice in board.choices()]
        without = [one for one in asked if not prometheus.ask("query", query=one)["result"]]
        # What not every service has, one of them has.
        if panel.when_empty is None or (panel.when_empty == NOT_HERE and len(without) == len(asked)):
            yield from without


@pytest.mark.parametrize(("board", "panel"), _PANELS)
def test_a_panel_has_something_to_show(prometheus: Prometheus, board: Dashboard, panel: Panel) -> None:
    def probe() -> bool:
        if empty := list(_empty(prometheus, board, panel)):
            raise NotYet("no series for " + "; ".join(empty))
        return True

    assert wait_until(panel.title, probe, timeout_seconds=SCRAPE_SECONDS, interval_seconds=1.0, hint=HINT)


def test_a_reader_may_choose_each_service(prometheus: Prometheus) -> None:
    board = load(FOLDER / "service.json")
    (asked,) = (one for one in board.expressions() if one.startswith("http_requests_total{kubernetes_"))
    assert prometheus.labels(asked, "app") == set(board.choices())
