"""The sampler: what it asks, what it keeps, and what it knows of its own blindness and cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.waiting import wait_until
from rehearsal.load.autoscaling.facts import Sample
from rehearsal.load.autoscaling.sampling import Lookout, Sampler, Watch

from tests.load.autoscaling.objects import FakeReader


def _lookout(reader: FakeReader) -> Lookout:
    return Lookout(reader, "shop", "order-service-hpa", "order-service")


def _sample(t: float) -> Sample:
    return Sample(t, 2, 2, ())


def test_look_sees_hpa_scale_pods_and_usage() -> None:
    seen = _lookout(FakeReader(replicas=3, desired=4, ready=2)).look(7.0)

    assert (seen.t, seen.replicas, seen.desired, len(seen.pods), seen.ready) == (7.0, 3, 4, 3, 2)
    assert all(pod.usage for pod in seen.pods)


def test_look_asks_for_the_pods_of_the_workload_only() -> None:
    reader = FakeReader()
    _lookout(reader).look(0.0)

    assert all("app%3Dorder-service" in path for path in reader.asked if "/pods" in path)
    assert len(reader.asked) == 4


def test_specification_is_the_clusters() -> None:
    assert _lookout(FakeReader()).autoscaler().most == 6


def test_metrics_api_that_is_away_leaves_pods_without_usage() -> None:
    seen = _lookout(FakeReader(measured=False)).look(0.0)

    assert [pod.usage for pod in seen.pods] == [None, None]


def test_api_that_does_not_answer_is_no_look() -> None:
    with pytest.raises(EnvironmentNotReadyError):
        _lookout(FakeReader(answers=False)).look(0.0)


def test_hpa_that_is_not_there_is_named() -> None:
    with pytest.raises(EnvironmentNotReadyError, match="cart-service-hpa"):
        Lookout(FakeReader(), "shop", "cart-service-hpa", "cart-service").look(0.0)


def test_sampler_looks_as_long_as_it_is_entered() -> None:
    with Sampler(_sample, interval_seconds=0.001) as sampler:
        wait_until("three looks", lambda: len(sampler.watch.samples) >= 3, timeout_seconds=60, hint="")
    taken = len(sampler.watch.samples)

    assert taken == len(sampler.watch.samples)
    assert sampler.latest() == sampler.watch.samples[-1]
    assert sampler.watch.cpu_seconds > 0


def test_look_that_fails_is_kept_as_an_error_and_the_next_one_is_taken() -> None:
    reader = FakeReader(answers=False)
    lookout = _lookout(reader)
    with Sampler(lookout.look, interval_seconds=0.001) as sampler:
        wait_until("an error", lambda: sampler.watch.errors, timeout_seconds=60, hint="")
        reader.answers = True
        wait_until("a look", sampler.latest, timeout_seconds=60, hint="")

    assert sampler.watch.errors[0] == "no answer"


@pytest.mark.parametrize(
    ("times", "gap"), [((1.0, 2.0, 9.0), 7.0), ((5.0, 6.0, 7.0), 5.0), ((1.0, 2.0, 3.0), 7.0), ((), 10.0)]
)
def test_gap_counts_from_the_beginning_to_the_end(times: tuple[float, ...], gap: float) -> None:
    assert Watch([_sample(t) for t in times], [], began=0.0, ended=10.0).longest_gap_seconds == gap


def test_cost_is_a_share_of_one_core() -> None:
    assert Watch([], [], began=0.0, ended=50.0, cpu_seconds=1.0).cpu_share == 0.02


def test_each_look_is_on_disk_whole_while_the_sampler_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "samples.ndjson"
    with Sampler(_lookout(FakeReader()).look, interval_seconds=60.0, file=file):
        (line,) = file.read_text(encoding="utf-8").splitlines()

    assert json.loads(line)["pods"][0]["usage"]["milli"]["cpu"] == 5


def test_look_that_cannot_be_written_down_is_said_and_counts(tmp_path: Path) -> None:
    with Sampler(_sample, interval_seconds=60.0, file=tmp_path / "nowhere" / "samples.ndjson") as sampler:
        pass

    assert len(sampler.watch.samples) == 1
    assert "not written down" in sampler.watch.errors[0]
