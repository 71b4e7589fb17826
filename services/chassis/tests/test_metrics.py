"""Bounded labels, series that exist from the start, and callback gauges."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mambogo_chassis.metrics import Metrics, MetricsError


def samples(metrics: Metrics) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_declared_combinations_exist_at_zero_before_the_first_increase() -> None:
    metrics = Metrics()
    metrics.counter("orders", "Orders ended.", outcome=("confirmed", "rejected"))
    assert samples(metrics)["orders_total{outcome=rejected}"] == 0


def test_an_undeclared_value_is_counted_as_other() -> None:
    metrics = Metrics()
    orders = metrics.counter("orders", "Orders ended.", outcome=("confirmed",))
    orders.labels(outcome="made-up-by-a-client").inc()
    assert samples(metrics)["orders_total{outcome=other}"] == 1


def test_an_open_label_stops_growing_at_its_limit() -> None:
    metrics = Metrics()
    lag = metrics.gauge("consumer_lag", "Records behind.", topic=(), limit=3)
    for number in range(50):
        lag.labels(topic=f"t{number}").set(1)
    series = [name for name in samples(metrics) if name.startswith("consumer_lag")]
    assert len(series) == 4  # three topics and "other"


def test_a_wrong_label_name_is_refused() -> None:
    family = Metrics().counter("orders", "Orders ended.", outcome=("confirmed",))
    with pytest.raises(MetricsError, match="declared"):
        family.labels(result="confirmed")


def test_a_family_with_too_many_declared_series_is_refused() -> None:
    values = tuple(str(number) for number in range(40))
    with pytest.raises(MetricsError, match="1600 series"):
        Metrics().counter("grid", "Too much.", row=values, column=values)


def test_callback_gauges_of_one_name_form_one_family() -> None:
    metrics = Metrics()
    metrics.gauge_callback("pool_free", "Free connections.", lambda: 3, pool="orders")
    metrics.gauge_callback("pool_free", "Free connections.", lambda: 4, pool="audit")
    found = samples(metrics)
    assert (found["pool_free{pool=orders}"], found["pool_free{pool=audit}"]) == (3, 4)


def test_a_callback_that_raises_leaves_its_series_out_and_is_counted() -> None:
    metrics = Metrics()
    metrics.gauge_callback("broken", "Raises.", lambda: 1 / 0)
    metrics.gauge_callback("sound", "Works.", lambda: 1)
    first = samples(metrics)
    assert "broken" not in first
    assert first["sound"] == 1
    assert samples(metrics)["metric_read_failures_total"] >= 1


def test_two_processes_worth_of_metrics_do_not_share_series() -> None:
    one, other = Metrics(), Metrics()
    one.counter("orders", "Orders ended.").labels().inc()
    other.counter("orders", "Orders ended.")
    assert samples(other)["orders_total"] == 0
