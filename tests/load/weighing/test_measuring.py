"""Batches there and back: what drifts, and what an idle pod uses, is not in the ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from rehearsal.cluster.usage import PodOnNode
from rehearsal.load.weighing.judging import MOST_PAIRS, Measured
from rehearsal.load.weighing.measuring import MOST_IDLE, Scale, TroubleError, VoidError
from rehearsal.load.weighing.operations import REFERENCE_PATH, Operation, of

GET, LIST, PLACE = of("order-service")
ASKED = PodOnNode("order-a", "node", "a", "")
OTHER = PodOnNode("order-b", "node", "b", "")
_BARE_NANOSECONDS = 100_000.0
_COSTS = {GET.key: 9.0, LIST.key: 12.0, PLACE.key: 40.0}
_SECONDS_A_REQUEST = 0.002
_ELSEWHERE = 0.5  # of an order's work is in another pod


@dataclass
class FakePods:
    """Pods whose counters move as they are told."""

    idle: float = 0.0
    now: float = 0.0
    speed: Callable[[float], float] = lambda now: 1.0
    trouble: Callable[[Operation], str] = lambda operation: ""
    gone: Callable[[Sequence[PodOnNode]], bool] = lambda pods: False
    still: bool = False
    nanoseconds: dict[str, float] = field(default_factory=lambda: {"order-a": 0.0, "order-b": 0.0})
    asked: list[str] = field(default_factory=list)

    def counted(self, operation: Operation) -> Sequence[PodOnNode]:
        """Return both pods for orders."""
        return (ASKED, OTHER) if operation.places_orders else (ASKED,)

    def used(self, pods: Sequence[PodOnNode]) -> int:
        """Return what was used, by idling as well."""
        if self.gone(pods):
            raise VoidError("order-b has ended")
        return 0 if self.still else int(sum(self.nanoseconds[one.name] for one in pods))

    def ask(self, operation: Operation) -> None:
        """Use what the operation costs."""
        if said := self.trouble(operation):
            raise TroubleError(said)
        self.asked.append(operation.path if operation.path == REFERENCE_PATH else operation.key)
        weight = _COSTS.get(operation.key, 1.0)
        cost = operation.times * weight * _BARE_NANOSECONDS * self.speed(self.now)
        elsewhere = _ELSEWHERE if operation.places_orders else 0.0
        self.nanoseconds["order-a"] += cost * (1 - elsewhere)
        self.nanoseconds["order-b"] += cost * elsewhere
        seconds = operation.times * _SECONDS_A_REQUEST
        self.now += seconds
        for name in self.nanoseconds:
            self.nanoseconds[name] += self.idle * seconds * 1e9


def _weigh(
    pods: FakePods, pairs: int = 10, operations: Sequence[Operation] = (GET, LIST, PLACE)
) -> list[Measured]:
    scale = Scale(pods, pods.idle, lambda: pods.now)
    return scale.weigh(operations, lambda operation, ratios: len(ratios) >= pairs)


def _ratios(measured: Sequence[Measured]) -> list[float]:
    return [round(sum(one.ratios) / len(one.ratios), 2) for one in measured]


def test_ratios_are_the_operations_costs() -> None:
    assert _ratios(_weigh(FakePods())) == [9.0, 12.0, 40.0]


def test_what_an_idle_pod_uses_is_taken_off_for_each_pod_that_is_counted() -> None:
    assert _ratios(_weigh(FakePods(idle=0.02))) == [9.0, 12.0, 40.0]


def test_a_machine_that_slows_down_all_the_time_changes_nothing_much() -> None:
    found = _ratios(_weigh(FakePods(speed=lambda now: 1 + now / 10)))
    assert found == pytest.approx([9.0, 12.0, 40.0], rel=0.03)


def test_milliseconds_are_those_of_one_request() -> None:
    assert _weigh(FakePods())[0].milliseconds == pytest.approx(0.9)


def test_batches_go_there_and_back_between_bare_ones() -> None:
    pods = FakePods()
    _weigh(pods, pairs=2, operations=(GET, LIST))
    warm_up = [GET.key, LIST.key, REFERENCE_PATH]
    turns = [GET.key, LIST.key, REFERENCE_PATH, LIST.key, GET.key, REFERENCE_PATH]
    assert pods.asked == [*warm_up, REFERENCE_PATH, *turns]


def test_measuring_ends_with_the_most_pairs() -> None:
    (found,) = _weigh(FakePods(), pairs=1000, operations=[GET])
    assert len(found.ratios) == MOST_PAIRS


def test_request_that_failed_is_the_trouble_of_its_operation_alone() -> None:
    pods = FakePods(trouble=lambda one: "was answered 503" if one is LIST else "")
    found = _weigh(pods)
    assert [one.trouble for one in found] == ["", "was answered 503", ""]
    assert [len(one.ratios) for one in found] == [10, 0, 10]


def test_bare_operation_that_failed_is_everybodys_trouble() -> None:
    pods = FakePods(trouble=lambda one: "was answered 503" if one.path == REFERENCE_PATH else "")
    assert {one.trouble for one in _weigh(pods)} == {"was answered 503"}


def test_counter_that_does_not_move_is_trouble() -> None:
    (found,) = _weigh(FakePods(still=True), operations=[GET])
    assert "did not move" in found.trouble


def test_pods_that_were_busy_before_anybody_asked_are_trouble() -> None:
    pods = FakePods(idle=2 * MOST_IDLE)
    found = _weigh(pods)
    assert {one.trouble for one in found} == {"a pod that nobody asked used 60 m of CPU: another load ran"}
    assert pods.asked == []


def test_batch_that_was_cut_off_by_a_pod_s_end_is_left_out() -> None:
    calls = iter(range(1000))
    pods = FakePods(gone=lambda some: OTHER in some and next(calls) == 3)
    (found,) = _weigh(pods, operations=[PLACE])
    assert (found.trouble, len(found.ratios)) == ("", 10)


def test_pod_that_is_gone_for_good_is_trouble() -> None:
    (found,) = _weigh(FakePods(gone=lambda some: OTHER in some), operations=[PLACE])
    assert (found.trouble, found.ratios) == ("order-b has ended", ())


def test_asked_pod_that_is_gone_is_everybodys_trouble() -> None:
    found = _weigh(FakePods(gone=lambda some: True))
    assert {one.trouble for one in found} == {"order-b has ended"}
